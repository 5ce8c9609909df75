//! https: who is trusted, what is said of those who are not, and that the counts are those of plain http.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConnection;

use super::authority::{Authority, Identity};
use super::server::RecordingServer;
use super::{answered, complaint};
use crate::support::run;

const ENGINES: [&str; 2] = ["", "--engine reqwest"];

fn url(server: &RecordingServer) -> String {
    format!("https://localhost:{}/", server.port())
}

#[test]
fn https_is_driven_with_a_given_authority() {
    let authority = Authority::new();
    for (options, engine) in [("", "raw"), ("-R 400", "raw"), ("--engine reqwest", "reqwest")] {
        let server = RecordingServer::tls(authority.issue("localhost").server());
        let words = format!("{} -n 200 -c 4 {options} --cacert {}", url(&server), authority.file());
        let report = answered(&words, 200, 200);
        assert_eq!(report.text("run.engine"), engine);
        assert_eq!(report.text("run.protocol"), "HTTP/1.1");
        assert_eq!(server.heads().len(), 200);
        assert!(engine == "reqwest" || server.connections() == 1 + 4, "{server:?}");
    }
}

#[test]
fn tls_1_2_and_1_3_are_supported() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = RecordingServer::tls(authority.issue("localhost").speaking(&[version]));
        let words = format!("{} -n 50 -c 2 --cacert {}", url(&server), authority.file());
        answered(&words, 50, 200);
    }
}

#[test]
fn bodies_and_answers_of_many_tls_records_are_complete() {
    let authority = Authority::new();
    let (large, count) = (1_500_000, 12);
    let body = authority.write("body", &"b".repeat(large));
    let server = RecordingServer::verbose_tls(authority.issue("localhost").server(), 300_000);
    for load in ["-c 3", "-c 3 -R 100"] {
        let words = format!("{} -n {count} {load} -f {body} -k", url(&server));
        let report = answered(&words, count, 200);
        assert!(report.count("requests.bytes_read") >= 300_000 * count);
        assert!(report.count("requests.bytes_written") >= large as u64 * count);
    }
    assert_eq!(server.bytes(), 2 * large * count as usize);
}

#[test]
fn kernel_timestamps_are_those_of_the_encrypted_bytes() {
    let authority = Authority::new();
    let server = RecordingServer::tls(authority.issue("localhost").server());
    let report = answered(&format!("{} -R 500 -n 250 -c 4 -k", url(&server)), 250, 200);
    // The kernel starts to take timestamps a moment after the first socket requests them.
    assert!(report.count("requests.timed_when_read") < 125, "{}", report.json());
}

/// Only `close_notify` ends the answer, and both come in one segment. TCP stays open, so a client that waits for its
/// end would hang.
#[test]
fn an_answer_may_end_with_close_notify_in_the_same_segment() {
    let config = Arc::new(Authority::new().issue("localhost").server());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || farewell(socket, config));
        }
    });
    let words = format!("https://localhost:{port}/ -n 10 -c 2 -t 1 -T 5s -k");
    let report = answered(&words, 10, 200);
    assert_eq!(report.count("requests.failed"), 0, "{}", report.json());
}

fn farewell(mut socket: std::net::TcpStream, config: Arc<rustls::ServerConfig>) -> Option<()> {
    let mut session = ServerConnection::new(config).ok()?;
    let mut request = Vec::new();
    while !request.ends_with(b"}") && !request.ends_with(b"\r\n\r\n") {
        session.complete_io(&mut socket).ok()?;
        let mut piece = [0; 4_096];
        match session.reader().read(&mut piece) {
            Ok(0) => return None,
            Ok(len) => request.extend_from_slice(&piece[..len]),
            Err(_) => {}
        }
    }
    session.writer().write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it").ok()?;
    session.send_close_notify();
    let mut wire = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut wire).ok()?;
    }
    socket.write_all(&wire).ok()?;
    std::thread::sleep(Duration::from_secs(30));
    Some(())
}

#[test]
fn a_bad_certificate_is_refused_before_the_run_and_accepted_with_k() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let known = format!("--cacert {}", authority.file());
    for (identity, trust, parts) in [
        (authority.issue("localhost"), "", ["certificate not trusted", "--cacert"]),
        (stranger.issue("localhost"), known.as_str(), ["certificate not trusted", "-k"]),
        (authority.issue("elsewhere.test"), &known, ["is for", "not for localhost"]),
        (authority.issue_expired("localhost"), &known, ["expired", "-k"]),
    ] {
        let server = RecordingServer::tls(identity.server());
        for engine in ENGINES {
            let words = format!("{} -d 60s {engine} {trust}", url(&server));
            let said = complaint(&words);
            let address = format!("localhost:{}", server.port());
            assert!(said.contains("no TLS with") && said.contains(&address), "{said}");
            assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
            let before = server.heads().len();
            assert!(before.is_multiple_of(10), "nothing was sent by the run that was refused");
            answered(&format!("{} -n 10 -c 2 {engine} -k", url(&server)), 10, 200);
        }
        assert_eq!(server.heads().len(), 20);
    }
}

#[test]
fn a_self_signed_certificate_can_be_trusted_directly() {
    let files = Authority::new();
    let identity = Identity::self_signed("localhost");
    let trust = format!("--cacert {}", files.write("own.pem", &identity.pem));
    let server = RecordingServer::tls(identity.server());
    for engine in ENGINES {
        answered(&format!("{} -n 20 -c 2 {engine} {trust}", url(&server)), 20, 200);
    }
    // It is trusted for its own name only, and for no other server.
    let by_address = format!("https://127.0.0.1:{}/ -n 1 -c 1 {trust}", server.port());
    assert!(complaint(&by_address).contains("not for 127.0.0.1"));
    let other = url(&RecordingServer::tls(Identity::self_signed("localhost").server()));
    for trust in [trust.as_str(), ""] {
        let said = complaint(&format!("{other} -n 1 -c 1 {trust}"));
        assert!(said.contains("signs itself") && said.contains("--cacert"), "{said}");
    }
}

#[test]
fn a_server_without_tls_is_reported() {
    let plain = RecordingServer::scripted(|_| {
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".into()
    });
    let talking = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = talking.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut socket in talking.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut socket, b"220 mail.test ESMTP\r\n");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let said = complaint(&format!("https://{address}/ -d 60s -k"));
    assert!(
        said.contains(&address.to_string()) && said.contains("TLS; is this an http://"),
        "{said}"
    );
    // It waits for the end of a head that does not come.
    let said = complaint(&format!("{} -d 60s -T 1s -k", url(&plain)));
    assert!(said.contains("did not answer the handshake"), "{said}");
}

#[test]
fn a_required_client_certificate_is_sent() {
    let authority = Authority::new();
    let server = RecordingServer::tls(authority.issue("localhost").asking(&authority));
    let client = authority.issue("loadgen");
    let (cert, key) =
        (authority.write("client.pem", &client.pem), authority.write("client.key", &client.key));
    let both = authority.write("both.pem", &format!("{}{}", client.pem, client.key));
    let url = format!("{} -n 20 -c 2 --cacert {}", url(&server), authority.file());
    for engine in ENGINES {
        let said = complaint(&format!("{url} {engine}"));
        assert!(said.contains("--cert") && said.contains("refused the connection"), "{said}");
        let report = answered(&format!("{url} {engine} --cert {cert} --key {key}"), 20, 200);
        assert!(report.text("run.command").contains("--key"));
        answered(&format!("{url} {engine} --cert {both}"), 20, 200);
    }
    let stranger = Authority::new().issue("loadgen");
    let unknown = authority.write("x.pem", &format!("{}{}", stranger.pem, stranger.key));
    assert!(complaint(&format!("{url} --cert {unknown}")).contains("refused the connection"));
}

#[test]
fn a_closed_tls_connection_is_reconnected() {
    let authority = Authority::new();
    let server = RecordingServer::tls(authority.issue("localhost").server());
    let finished = crate::support::report_of_command(
        {
            let words = format!("{} -n 60 -c 3 -R 300 -k -H", url(&server));
            let mut command = super::loadgen(&words);
            command.arg("Connection: close");
            command
        },
        |_| (),
    );
    let report = finished.1;
    // Each connection answers one request. A second one that crossed the close is lost, none is counted twice.
    let (done, failed) = (report.count("requests.completed"), report.count("requests.failed"));
    assert_eq!((done + failed, report.count("requests.sent")), (60, 60), "{}", report.json());
    assert!(done >= 30 && report.count("requests.reconnects") + 3 >= done, "{}", report.json());
}

#[test]
fn data_after_close_notify_is_ignored() {
    let config = Arc::new(Authority::new().issue("localhost").server());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut session = ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut request = [0; 4096];
            // The request comes after the handshake; a client that only tries comes with none.
            while !matches!(session.reader().read(&mut request), Ok(1..)) {
                match session.complete_io(&mut socket) {
                    Ok((1.., _) | (_, 1..)) => {}
                    _ => break,
                }
            }
            session.send_close_notify();
            let mut last_words = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut last_words).expect("into memory");
            }
            last_words.extend([0; 12 * 1024]);
            let _ = socket.write_all(&last_words);
        }
    });
    let words = format!("https://localhost:{port}/ -n 3 -c 1 -k -T 1s --format json");
    let finished = run(&format!("{words} --allow-limited --allow-failed"));
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("a report");
    assert_eq!((&report["requests"]["failed"], finished.code), (&3.into(), Some(0)), "{report}");
}
