//! `rediss://` and `mqtts://`, under an authority that is only known through `SSL_CERT_FILE`.

use super::assert_whole;
use crate::support::{Mosquitto, Redis, data, loadgen, report_of_command, run};

/// The address of a server that speaks TLS only.
fn secure(url: &str) -> String {
    url.replacen("://", "s://", 1)
}

fn servers() -> Option<(Redis, Mosquitto)> {
    Some((Redis::with_tls("hidden1")?, Mosquitto::with_tls("user", "hidden2")?))
}

#[test]
fn a_run_over_tls_delivers_everything() {
    let Some(servers) = servers() else { return };
    let (redis, mqtt) = (secure(&servers.0.url()), secure(&servers.1.url()));
    let mut command = loadgen(&format!("-R 200 -d 1s --redis {redis} --mqtt {mqtt}"));
    command.env("SSL_CERT_FILE", data("ca.pem"));
    let (finished, report) = report_of_command(command, |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, Some(200));
    // Under TLS, too, the kernel tells when messages came; it begins to a moment after it is asked.
    assert!(report.count("messages.timed_when_read") < 25, "{}", report.json());
    assert!(!report.json().contains("hidden"), "a password is in the report");
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused() {
    let Some(servers) = servers() else { return };
    let api = format!("api --listen 127.0.0.1:0 --redis {}", secure(&servers.0.url()));
    let subscribe = format!("subscribe --mqtt {}", secure(&servers.1.url()));
    for (words, server) in [(api, "Redis at rediss://"), (subscribe, "MQTT broker at mqtts://")] {
        let finished = run(&words);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let complaint = &finished.stderr;
        assert!(complaint.contains(server) && complaint.contains("certificate"), "{complaint}");
        assert!(!complaint.contains("hidden"), "{complaint}");
    }
}

#[test]
fn the_scheme_of_tls_at_a_plain_port_and_the_reverse_are_told() {
    let Some((secure_redis, secure_broker)) = servers() else { return };
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let api = |url: &str| format!("api --listen 127.0.0.1:0 --redis {url}");
    let subscribe = |url: &str| format!("subscribe --mqtt {url}");
    for (words, part) in [
        (api(&secure(&redis.url())), "did not answer with TLS; is this a redis:// address?"),
        (api(&secure_redis.url()), "is this a rediss:// address, with TLS?"),
        (subscribe(&secure(&broker.url())), "did not answer with TLS; is this an mqtt:// address?"),
        (subscribe(&secure_broker.url()), "is this an mqtts:// address, with TLS?"),
    ] {
        let finished = run(&words);
        assert_eq!(finished.code, Some(1), "{words}: {finished:?}");
        assert!(finished.stderr.contains(part), "{words}: {finished:?}");
        assert!(!finished.stderr.contains("hidden"), "{finished:?}");
    }
}
