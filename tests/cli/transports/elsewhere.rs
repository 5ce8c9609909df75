//! Other ways than the URL's own: unix sockets, other addresses, IPv6, proxies, redirects.

use std::net::{Ipv6Addr, TcpListener};

use super::authority::Authority;
use super::server::{OK, RecordingServer, field};
use super::{answered, assert_all, complaint};
use crate::support::{loadgen, report_of_command, run};

const ENGINES: [&str; 2] = ["raw", "reqwest"];

#[test]
fn a_unix_socket_is_driven_with_host_and_path_of_the_url() {
    let authority = Authority::new();
    for (scheme, options) in [("http", ""), ("https", "-k")] {
        for engine in ENGINES {
            let path =
                authority.write("unused", "").replace("unused", &format!("{scheme}-{engine}"));
            let tls = (scheme == "https").then(|| authority.issue("api.test").server());
            let server = RecordingServer::unix(path.as_ref(), tls);
            let words = format!(
                "{scheme}://api.test/a?b=c -n 50 -c 3 --engine {engine} {options} --unix-socket {path}"
            );
            answered(&words, 50, 200);
            let heads = server.heads();
            assert_eq!(heads.len(), 50);
            assert!(heads[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{}", heads[0]);
            assert_eq!(field(&heads[0], "Host"), Some("api.test"));
        }
    }
    let path = authority.write("unused", "").replace("unused", "open");
    let _server = RecordingServer::unix(path.as_ref(), None);
    answered(&format!("http://api.test/ -R 500 -n 100 --unix-socket {path}"), 100, 200);
    let words = format!("http://api.test/ -n 50 -c 3 --disable-keepalive --unix-socket {path}");
    answered(&words, 50, 200);
}

#[test]
fn a_missing_unix_socket_is_named() {
    let long = format!("/tmp/{}", "x".repeat(200));
    for (path, part) in [("/nowhere/api.sock", "No such file"), (long.as_str(), "too long")] {
        for engine in ENGINES {
            let said = complaint(&format!("http://h/ --engine {engine} --unix-socket {path}"));
            assert!(said.contains(path) && said.contains(part), "{said}");
        }
    }
    // More clients than it lets wait: the first ones stand, the others knock again.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("full");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a path");
    rustix::net::listen(&listener, 2).expect("it listens");
    let words = format!("http://h/ -c 16 -R 10 -T 1s --unix-socket {}", path.display());
    let said = complaint(&words);
    assert!(said.contains("full") && said.contains("unix socket"), "{said}");
}

#[test]
fn an_ipv6_address_is_driven_over_tls() {
    let authority = Authority::new();
    let server =
        RecordingServer::tls_on((Ipv6Addr::LOCALHOST, 0).into(), authority.issue("::1").server());
    for engine in ENGINES {
        let trust = authority.file();
        let url = format!("https://{}/", server.address);
        answered(&format!("{url} -n 20 -c 2 --engine {engine} --cacert {trust}"), 20, 200);
    }
    let host = server.address.to_string();
    assert!(server.heads().iter().all(|head| field(head, "Host") == Some(&host)));
}

#[test]
fn connect_to_changes_the_address_and_keeps_the_host_name() {
    let authority = Authority::new();
    let secure = RecordingServer::tls(authority.issue("api.test").server());
    let plain = RecordingServer::plain();
    for engine in ENGINES {
        let options = format!("-n 20 -c 2 --engine {engine} --cacert {}", authority.file());
        for (url, host, server) in [
            ("http://api.test/", "api.test", &plain),
            ("http://api.test:81/", "api.test:81", &plain),
            ("https://api.test/", "api.test", &secure),
            ("https://api.test:444/", "api.test:444", &secure),
        ] {
            let before = server.heads().len();
            let rules = format!(
                "--connect-to other::x:1 --connect-to api.test::127.0.0.1:{}",
                server.port()
            );
            answered(&format!("{url} {options} {rules}"), 20, 200);
            let heads = server.heads().split_off(before);
            assert_eq!(heads.len(), 20);
            assert!(heads.iter().all(|head| field(head, "Host") == Some(host)), "{heads:?}");
        }
    }
    // The address that is tried is named.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let said = complaint(&format!("http://api.test/ --connect-to ::127.0.0.1:{}", free.port()));
    assert!(said.contains(&free.to_string()) && said.contains("refused"), "{said}");
}

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let server = RecordingServer::scripted(|head| match head.split(' ').nth(1) {
        Some("/end") => OK.to_owned(),
        Some("/circle") => redirect("/circle"),
        _ => redirect("/end"),
    });
    let url = format!("http://{}", server.address);
    let report = answered(&format!("{url}/begin -n 20 -c 2"), 20, 302);
    assert_eq!(report.text("run.engine"), "raw");
    let report = answered(&format!("{url}/begin -n 20 -c 2 --redirects 1"), 20, 200);
    assert_eq!(report.text("run.engine"), "reqwest");
    let notes = report.value("verdict.notes").to_string();
    assert!(notes.contains("redirects are followed"), "{notes}");
    let before = server.heads().len();
    // The answer that is not followed any more is the answer.
    answered(&format!("{url}/circle -n 10 -c 2 --redirects 2"), 10, 302);
    assert_eq!(server.heads().len() - before, 30);
    let refused = run(&format!("{url}/begin --redirects 1 --engine raw"));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--engine raw does not support --redirects"), "{refused:?}");
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn a_proxy_is_used_and_its_password_is_not_shown() {
    let proxy = RecordingServer::plain();
    let address = proxy.address;
    let words =
        format!("http://target.invalid/x -n 20 -c 2 --proxy http://user:onyx-lantern@{address}");
    let (finished, report) = report_of_command(loadgen(&words), |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_all(&report, 20, 200);
    assert_eq!(report.text("run.engine"), "reqwest");
    let heads = proxy.heads();
    assert!(heads[0].starts_with("GET http://target.invalid/x HTTP/1.1\r\n"), "{}", heads[0]);
    // user:onyx-lantern
    let login = field(&heads[0], "Proxy-Authorization");
    assert_eq!(login, Some("Basic dXNlcjpvbnl4LWxhbnRlcm4="));
    let shown = [finished.stdout, finished.stderr, report.json()].concat();
    assert!(!shown.contains("onyx") && shown.contains("through the proxy"), "{shown}");
}

#[test]
fn an_unreachable_proxy_is_reported_before_the_run() {
    // Free a moment ago.
    let gone =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("free");
    let named = format!("http://target.invalid/ -d 1h --proxy http://user:onyx@{gone}");
    let mut inherited = loadgen("http://target.invalid/ -d 1h");
    inherited.env("http_proxy", format!("http://user:onyx@{gone}"));
    for mut command in [loadgen(&named), inherited] {
        let finished = crate::support::Process::start("loadgen", &mut command).finish();
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let said = format!("the proxy: cannot connect to {gone}");
        assert!(
            finished.stderr.contains(&said) && finished.stderr.contains("--proxy"),
            "{finished:?}"
        );
        assert!(!finished.stderr.contains("onyx"), "{finished:?}");
    }
    let named = loadgen("http://target.invalid/ --proxy http://user:onyx@proxy.invalid");
    let finished = crate::support::Process::start("loadgen", &mut { named }).finish();
    assert!(finished.stderr.contains("the proxy: cannot resolve proxy.invalid"), "{finished:?}");
}

#[test]
fn a_proxy_from_the_environment_is_not_used_for_this_machine() {
    let (proxy, target) = (RecordingServer::plain(), RecordingServer::plain());
    let environment = |words: &str| {
        let mut command = loadgen(words);
        command.env("http_proxy", format!("http://u:onyx@{}", proxy.address));
        command.env("no_proxy", "spared.invalid");
        command
    };
    let (_, report) = report_of_command(environment("http://target.invalid/ -n 10 -c 1"), |_| ());
    assert_all(&report, 10, 200);
    let notes = report.value("verdict.notes").to_string();
    assert!(notes.contains(&proxy.address.to_string()), "{notes}");
    assert!(notes.contains("from the environment") && !notes.contains("onyx"), "{notes}");
    assert_eq!(proxy.heads().len(), 10);
    // Neither for this machine, nor for what is spared, nor where the raw engine is asked for.
    let own = format!("http://{}/ -n 10 -c 1", target.address);
    let (_, report) = report_of_command(environment(&own), |_| ());
    assert_eq!((report.text("run.engine"), target.heads().len()), ("raw", 10));
    for words in ["http://spared.invalid/", "http://target.invalid/ --engine raw"] {
        let process = crate::support::Process::start("loadgen", &mut environment(words));
        let finished = process.finish();
        assert!(finished.stderr.contains("cannot resolve"), "{words}: {finished:?}");
    }
    // A script writes what the raw engine sends, so that it is asked for, too.
    let script = tempfile::NamedTempFile::new().expect("a file");
    let words = format!("http://target.invalid/ -s {}", script.path().display());
    let finished = crate::support::Process::start("loadgen", &mut environment(&words)).finish();
    assert!(finished.stderr.contains("cannot resolve"), "{finished:?}");
    assert_eq!(proxy.heads().len(), 10);
}
