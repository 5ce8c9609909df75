//! Addresses of Redis and the broker, with their passwords and their files for TLS.

use super::password_file::address_with_password;
use super::tls::server_tls;
use super::{PlanError, refuse};
use crate::config::settings::Settings;
use crate::core::{Address, Scheme, ServerType, TlsFiles};

/// Servers that the user names.
pub(super) struct ServerPlan {
    pub(super) redis: Option<Address>,
    pub(super) log_server: Option<Address>,
    pub(super) mqtt: Option<Address>,
}

/// Reads the addresses of the servers, and the files that belong to them.
pub(super) fn servers(settings: &Settings) -> Result<ServerPlan, PlanError> {
    let read = |flag: &str, text: &Option<String>| {
        text.as_deref().map(|text| Address::parse(flag, text)).transpose()
    };
    let redis = read("--redis", &settings.redis)?;
    let mqtt = read("--mqtt", &settings.mqtt)?;
    let mut log_server = read("--log-server", &settings.log_server)?;
    let password = settings.redis_password_file.as_deref();
    let mut redis = address_with_password(redis, "--redis-password-file", password)?;
    let password = settings.mqtt_password_file.as_deref();
    let mut mqtt = address_with_password(mqtt, "--mqtt-password-file", password)?;
    let files = TlsFiles {
        server: ServerType::Redis,
        cacert: settings.redis_cacert.clone(),
        cert: settings.redis_cert.clone(),
        key: settings.redis_key.clone(),
    };
    set_tls_files(&files, redis.iter_mut().chain(&mut log_server).collect())?;
    let files = TlsFiles {
        server: ServerType::Mqtt,
        cacert: settings.mqtt_cacert.clone(),
        cert: settings.mqtt_cert.clone(),
        key: settings.mqtt_key.clone(),
    };
    set_tls_files(&files, mqtt.iter_mut().collect())?;
    Ok(ServerPlan { redis, log_server, mqtt })
}

/// Sets the files on the addresses of the servers that they are for, and checks what the files contain.
pub(crate) fn set_tls_files(
    files: &TlsFiles,
    addresses: Vec<&mut Address>,
) -> Result<(), PlanError> {
    let given = files.given();
    let Some((flag, _)) = given.first() else { return Ok(()) };
    let (server, scheme) = (files.server.address_flag(), files.server.tls_scheme());
    if addresses.is_empty() {
        return refuse(format!(
            "{flag} needs the address of that server: {server} {scheme}://HOST. A server that the run starts does \
             not use TLS"
        ));
    }
    let mut with_tls: Vec<_> =
        addresses.into_iter().filter(|address| address.scheme() == Scheme::Tls).collect();
    if with_tls.is_empty() {
        return refuse(format!(
            "{flag}: the address of {server} does not use TLS, so no certificate is needed; write \
             {scheme}://, or remove {flag}"
        ));
    }
    for (flag, file) in given {
        // A pipe could not be read a second time.
        if file.metadata().is_ok_and(|found| !found.is_file()) {
            return refuse(format!(
                "{flag} {}: it is not a file; it is read again for each connection",
                file.display()
            ));
        }
    }
    server_tls(files)?;
    with_tls.iter_mut().for_each(|address| address.set_tls_files(files.clone()));
    Ok(())
}

#[cfg(all(test, feature = "pipeline"))]
mod tests {
    use super::*;
    use crate::config::plan::Plan;

    fn data(name: &str) -> Option<std::path::PathBuf> {
        Some(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")).into())
    }

    type Change = fn(&mut Settings);

    fn plan(change: Change) -> Result<Plan, String> {
        let mut settings = Settings::default();
        change(&mut settings);
        Plan::new(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn files_belong_to_the_servers_of_their_kind_that_use_tls() {
        let plan = plan(|s| {
            s.redis = Some("redis://host".into());
            s.log_server = Some("rediss://host".into());
            s.redis_cacert = data("ca.pem");
            s.mqtt = Some("mqtts://host".into());
            (s.mqtt_cert, s.mqtt_key) = (data("server.pem"), data("server.key"));
        });
        let pipeline = plan.expect("valid").pipeline;
        let variables = |address: &Option<Address>| {
            let files = address.as_ref().and_then(Address::tls_files);
            files.map(TlsFiles::variables).unwrap_or_default()
        };
        assert_eq!(variables(&pipeline.redis), []);
        let [(name, file)] = &variables(&pipeline.log_server)[..] else { panic!("one file") };
        assert_eq!((*name, file.ends_with("/ca.pem")), ("LOADGEN_REDIS_CACERT", true));
        let names: Vec<_> = variables(&pipeline.mqtt).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["LOADGEN_MQTT_CERT", "LOADGEN_MQTT_KEY"]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let cases: [(Change, &str); 8] = [
            (|s| s.mqtt_cacert = data("ca.pem"), "--mqtt-cacert needs the address of that server"),
            (
                |s| (s.mqtt, s.mqtt_cacert) = (Some("mqtt://h".into()), data("ca.pem")),
                "--mqtt-cacert: the address of --mqtt does not use TLS, so no certificate is needed; write mqtts://",
            ),
            (
                |s| (s.redis, s.redis_cert) = (Some("redis://h".into()), data("server.pem")),
                "--redis-cert: the address of --redis does not use TLS",
            ),
            (
                |s| (s.mqtt, s.mqtt_key) = (Some("mqtts://h".into()), data("server.key")),
                "--mqtt-key needs --mqtt-cert",
            ),
            (
                |s| {
                    (s.redis, s.redis_cacert) = (Some("rediss://h".into()), Some("/nowhere".into()))
                },
                "--redis-cacert /nowhere: No such file",
            ),
            (
                |s| (s.redis, s.redis_cacert) = (Some("rediss://h".into()), data("run.json")),
                "run.json: it does not contain a certificate",
            ),
            (
                |s| (s.mqtt, s.mqtt_cacert) = (Some("mqtts://h".into()), Some("/dev/zero".into())),
                "--mqtt-cacert /dev/zero: it is not a file",
            ),
            (
                |s| {
                    s.redis = Some("rediss://h".into());
                    (s.redis_cert, s.redis_key) = (data("ca.pem"), data("server.key"));
                },
                "--redis-key",
            ),
        ];
        for (change, part) in cases {
            let error = plan(change).map(|_| ()).expect_err(part);
            assert!(error.contains(part) && !error.contains("BEGIN PRIVATE"), "{part}: {error}");
        }
    }
}
