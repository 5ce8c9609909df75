//! `rediss://` and `mqtts://`, under an authority that is only known through `SSL_CERT_FILE` or a flag, and with client
//! certificates.

use super::assert_whole;
use crate::support::{
    Certificates, Finished, Mosquitto, Process, Redis, Service, data, get, loadgen, post,
    report_of_command, run,
};
use crate::transports::authority::Authority;

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

/// Servers that want a client certificate, and the files of a client.
struct MutualTls {
    authority: Authority,
    redis: Redis,
    mqtt: Mosquitto,
    cert: String,
    key: String,
    /// Certificate and key in one file.
    both: String,
}

impl MutualTls {
    fn start() -> Option<Self> {
        let authority = Authority::new();
        let server = authority.issue("127.0.0.1");
        let files = Certificates {
            authority: authority.file(),
            certificate: authority.write("server.pem", &server.pem),
            key: authority.write("server.key", &server.key),
        };
        let client = authority.issue("a client");
        let cert = authority.write("client.pem", &client.pem);
        let key = authority.write("client.key", &client.key);
        let both = authority.write("both.pem", &format!("{}{}", client.pem, client.key));
        let redis = Redis::with_client_certificates(&files)?;
        let mqtt = Mosquitto::with_client_certificates(&files)?;
        Some(Self { authority, redis, mqtt, cert, key, both })
    }

    /// Flags of Redis with this client certificate.
    fn redis_flags(&self, identity: &str) -> String {
        let (url, ca) = (secure(&self.redis.url()), self.authority.file());
        format!("--redis {url} --redis-cacert {ca} {identity}")
    }

    /// Flags of the broker with this client certificate.
    fn mqtt_flags(&self, identity: &str) -> String {
        let (url, ca) = (secure(&self.mqtt.url()), self.authority.file());
        format!("--mqtt {url} --mqtt-cacert {ca} {identity}")
    }
}

#[test]
fn a_run_with_client_certificates_delivers_everything() {
    let Some(tls) = MutualTls::start() else { return };
    let (cert, key, both) = (&tls.cert, &tls.key, &tls.both);
    let redis = tls.redis_flags(&format!("--redis-cert {cert} --redis-key {key}"));
    let words = format!("-R 200 -d 1s {redis} {}", tls.mqtt_flags(&format!("--mqtt-cert {both}")));
    let (finished, report) = report_of_command(loadgen(&words), |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_whole(&report, Some(200));
    assert!(report.text("run.command").contains("--redis-cert"), "{}", report.json());
}

#[test]
fn services_with_client_certificates_carry_a_message() {
    let Some(tls) = MutualTls::start() else { return };
    let redis = tls.redis_flags(&format!("--redis-cert {}", tls.both));
    let mqtt = tls.mqtt_flags(&format!("--mqtt-cert {} --mqtt-key {}", tls.cert, tls.key));
    // Stamps of the subscriber go to the log server, by the same certificates.
    let log_server = redis.replacen("--redis ", "--log-server ", 1);
    let (_api, address) = Service::api(&redis);
    let _push = Service::start(&format!("push {redis} {mqtt}"));
    let mut subscriber = Service::start(&format!("subscribe --sample 1 {log_server} {mqtt}"));
    assert_eq!(post(address, r#"{"MsgID":5}"#).status, 200);
    let is_there = |line: &str| line.contains(" 1 messages,").then_some(());
    subscriber.process.await_line(is_there);
    assert_eq!(get(address, "/readyz").status, 200);
    let finished = run(&format!("dead list {redis}"));
    assert!(finished.code == Some(0) && finished.stdout.contains("0 rejected"), "{finished:?}");
}

/// The settings of a service by the environment.
fn push_by_environment(tls: &MutualTls, mqtt_cert: Option<&str>) -> Process {
    let mut command = loadgen("push");
    command.env("LOADGEN_REDIS", secure(&tls.redis.url()));
    command.env("LOADGEN_REDIS_CACERT", tls.authority.file()).env("LOADGEN_REDIS_CERT", &tls.cert);
    command.env("LOADGEN_REDIS_KEY", &tls.key);
    command.env("LOADGEN_MQTT", secure(&tls.mqtt.url()));
    command.env("LOADGEN_MQTT_CACERT", tls.authority.file());
    command.envs(mqtt_cert.map(|file| ("LOADGEN_MQTT_CERT", file)));
    Process::start("push", &mut command)
}

#[test]
fn a_service_takes_the_files_from_the_environment() {
    let Some(tls) = MutualTls::start() else { return };
    let mut push = push_by_environment(&tls, Some(&tls.both));
    push.await_line(|line| (line == "ready").then_some(()));
    let finished = push_by_environment(&tls, None).finish();
    assert_refused(&finished, &["MQTT broker at mqtts://", "--mqtt-cert", "--mqtt-key"]);
}

#[track_caller]
fn assert_refused(finished: &Finished, parts: &[&str]) {
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for part in parts {
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
    assert!(!finished.stderr.contains("PRIVATE KEY"), "{finished:?}");
}

#[test]
fn a_missing_certificate_and_an_unknown_authority_are_told() {
    let Some(tls) = MutualTls::start() else { return };
    let api = format!("api --listen 127.0.0.1:0 {}", tls.redis_flags(""));
    let asks = ["Redis at rediss://", "client certificate", "--redis-cert"];
    assert_refused(&run(&api), &asks);
    let other = Authority::new();
    let stranger = other.issue("a client");
    let stranger = other.write("both.pem", &format!("{}{}", stranger.pem, stranger.key));
    let words = format!("subscribe {}", tls.mqtt_flags(&format!("--mqtt-cert {stranger}")));
    assert_refused(&run(&words), &["MQTT broker at mqtts://"]);
    let unknown = format!("--redis {} --redis-cacert {}", secure(&tls.redis.url()), other.file());
    let finished = run(&format!("api --listen 127.0.0.1:0 {unknown}"));
    assert_refused(&finished, &["unknown issuer", "--redis-cacert FILE"]);
    let unknown = format!("--mqtt {} --mqtt-cacert {}", secure(&tls.mqtt.url()), other.file());
    let finished = run(&format!("subscribe {unknown}"));
    assert_refused(&finished, &["unknown issuer", "--mqtt-cacert FILE"]);
}

#[test]
fn files_for_an_address_without_tls_are_refused() {
    let words = format!("--mqtt mqtt://127.0.0.1 --mqtt-cacert {}", data("ca.pem"));
    for command in ["", "push", "subscribe"] {
        let finished = run(&format!("{command} {words}"));
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains("write mqtts://"), "{finished:?}");
    }
}
