//! Against a real server: https, HTTP/2 with and without TLS, and its unix socket.

use super::{answered, complaint};
use crate::support::{Nginx, data};

#[test]
fn nginx_is_driven_over_every_transport() {
    let Some(nginx) = Nginx::start() else { return };
    let trust = format!("--cacert {}", data("ca.pem"));
    let (secure, plain) = (format!("{} {trust}", nginx.secure()), nginx.h2c());
    let socket = format!("http://nginx.test/ --unix-socket {}", nginx.socket("socket"));
    let socket2 = format!("http://nginx.test/ --http2 --unix-socket {}", nginx.socket("h2c"));
    for (way, protocol) in [
        (secure.clone(), "HTTP/1.1"),
        (format!("{secure} --disable-keepalive"), "HTTP/1.1"),
        (format!("{secure} --engine reqwest"), "HTTP/1.1"),
        (format!("{secure} --http2 --streams 5"), "HTTP/2"),
        (format!("{plain} --http2 --streams 5"), "HTTP/2"),
        (socket, "HTTP/1.1"),
        (socket2, "HTTP/2"),
    ] {
        for load in ["-c 3 -t 2", "-c 3 -R 600"] {
            let report = answered(&format!("{way} -n 300 {load}"), 300, 200);
            assert_eq!(report.text("run.protocol"), protocol, "{way}");
        }
    }
}

#[test]
fn redirects_are_followed_over_http_2() {
    let Some(nginx) = Nginx::start() else { return };
    let url = format!("{}from --http2 -k -n 20 -c 2", nginx.secure());
    answered(&url, 20, 302);
    answered(&format!("{url} --redirects 1"), 20, 200);
}

#[test]
fn transports_that_the_target_does_not_offer_are_refused_before_the_run() {
    let Some(nginx) = Nginx::start() else { return };
    let (secure, h2c) = (nginx.secure(), nginx.h2c());
    let said = complaint(&secure);
    assert!(said.contains("no TLS with localhost") && said.contains("--cacert"), "{said}");
    // 128 is what nginx takes.
    let said = complaint(&format!("{secure} -k --http2 --streams 129"));
    assert!(said.contains("128") && said.contains("--streams"), "{said}");
    let said = complaint(&format!("{h2c} --http2 --streams 129"));
    assert!(said.contains("128") && said.contains("--streams"), "{said}");
    let said = complaint(&format!("http://h/ --http2 --unix-socket {}", nginx.socket("socket")));
    assert!(said.contains("no HTTP/2 with the unix socket"), "{said}");
    let authority = super::authority::Authority::new();
    let server = super::server::RecordingServer::tls(authority.issue("localhost").server());
    let said = complaint(&format!("https://localhost:{}/ -k --http2", server.port()));
    assert!(said.contains("no HTTP/2 with") && said.contains("leave --http2 out"), "{said}");
}
