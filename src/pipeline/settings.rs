//! Settings that several services share. The settings of a service are one struct: it is the flags of its
//! command, and a run passes it to the service that it starts, as a thread or as a child process.

use serde::Serialize;
use serde_json::Value;

#[cfg(feature = "cli")]
use clap::builder::TypedValueParser;

#[cfg(feature = "cli")]
use crate::config::plan::STAMPS_KEEP;
use crate::config::plan::{PipelinePlan, Plan, PlanError, check_filters, topic_to_publish};
use crate::core::json::to_value;
use crate::core::{Address, TlsFiles};
use crate::message::IdFields;

/// Largest number of threads or workers; a larger one is probably a typing error.
#[cfg(feature = "cli")]
const MOST: u64 = 1_024;

/// Settings of the queue, for api and push.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct QueueSettings {
    /// Redis of the queue: redis://USER:PASSWORD@HOST:PORT/DB, all but HOST may be left out; rediss:// for TLS; redis+sentinel://HOST,HOST/MASTER asks Sentinels
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "URL",
        env = "LOADGEN_REDIS",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379",
        hide_default_value = false,
        value_parser = AddressParser("--redis")
    ))]
    #[serde(skip)]
    pub redis: Address,

    /// Redis of the stamps and their time (default: the queue's)
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "URL",
        env = "LOADGEN_LOG_SERVER",
        hide_env_values = true,
        value_parser = AddressParser("--log-server")
    ))]
    #[serde(skip)]
    pub log_server: Option<Address>,

    /// Redis list of the messages
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "KEY", env = "LOADGEN_QUEUE", default_value = "myapp")
    )]
    pub queue: String,
}

impl QueueSettings {
    /// Settings of the queue of a run.
    pub(super) fn of_run(plan: &Plan, servers: &ServerAddresses) -> Self {
        Self {
            redis: servers.redis.clone(),
            log_server: servers.log_server.clone(),
            queue: plan.pipeline.queue.clone(),
        }
    }

    /// Redis of the stamps.
    pub(crate) fn log_server(&self) -> &Address {
        self.log_server.as_ref().unwrap_or(&self.redis)
    }

    /// Environment variables of a child process: addresses may hold a password.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = vec![
            ("LOADGEN_REDIS", self.redis.secret_url().to_owned()),
            ("LOADGEN_LOG_SERVER", self.log_server().secret_url().to_owned()),
        ];
        let files = self.redis.tls_files().or(self.log_server().tls_files());
        secrets.extend(files.map(TlsFiles::variables).unwrap_or_default());
        secrets
    }
}

/// Settings of the messages' ids and stamps, for all services.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct MessageSettings {
    /// Stamp one message in N
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_SAMPLE",
        default_value = "100",
        value_parser = parse_positive
    ))]
    pub sample: u64,

    /// Stamps to keep in each Redis list: the newest N. A list without new stamps expires after a day
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "N",
        env = "LOADGEN_STAMPS_KEEP",
        default_value_t = STAMPS_KEEP,
        value_parser = parse_positive
    ))]
    pub stamps_keep: u64,

    /// JSON field that carries the MsgID (default: MsgID, else id)
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME", env = "LOADGEN_ID_FIELD"))]
    pub id_field: Option<String>,
}

impl MessageSettings {
    /// Settings of the messages of a run.
    pub(super) fn of_run(plan: &Plan) -> Self {
        let id_field = plan.request.id_fields.custom().map(str::to_owned);
        let PipelinePlan { sample, stamps_keep, .. } = plan.pipeline;
        Self { sample, stamps_keep, id_field }
    }

    /// Fields of a message that may carry its id.
    pub(crate) fn id_fields(&self) -> IdFields {
        self.id_field.as_deref().map_or_else(IdFields::default, IdFields::only)
    }
}

/// Settings of the broker, for push and subscribe.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct BrokerSettings {
    /// Broker: mqtt://USER:PASSWORD@HOST:PORT, all but HOST may be left out; mqtts:// for TLS
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "URL",
        env = "LOADGEN_MQTT",
        hide_env_values = true,
        default_value = "mqtt://127.0.0.1:1883",
        value_parser = AddressParser("--mqtt")
    ))]
    #[serde(skip)]
    pub mqtt: Address,

    /// MQTT topic of the messages; a subscriber takes several, and the wildcards + and #
    #[cfg_attr(
        feature = "cli",
        arg(
            long = "topic",
            value_name = "TOPIC",
            env = "LOADGEN_TOPIC",
            value_delimiter = '\n',
            default_value = "/channel"
        )
    )]
    #[serde(rename = "topic")]
    pub topics: Vec<String>,

    /// MQTT quality of service
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "QOS",
        env = "LOADGEN_QOS",
        default_value = "0",
        value_parser = clap::value_parser!(u8).range(0..=1)
    ))]
    pub qos: u8,
}

impl BrokerSettings {
    /// Refuses more than one topic, and one that cannot be published to.
    pub(crate) fn check_topic(&self) -> Result<(), PlanError> {
        topic_to_publish(&self.topics).map(|_| ())
    }

    /// Refuses topics that cannot be subscribed to.
    pub(crate) fn check_filters(&self) -> Result<(), PlanError> {
        check_filters(&self.topics)
    }

    /// Environment variables of a child process: the address may hold a password.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = vec![("LOADGEN_MQTT", self.mqtt.secret_url().to_owned())];
        secrets.extend(self.mqtt.tls_files().map(TlsFiles::variables).unwrap_or_default());
        secrets
    }
}

/// Servers that the services of a run use.
#[derive(Debug, Clone)]
pub(crate) struct ServerAddresses {
    pub(crate) redis: Address,
    pub(crate) mqtt: Address,
    /// The log server, if it is not `redis`.
    pub(crate) log_server: Option<Address>,
}

/// Returns the flags that give a service these settings. The addresses are left out: they may hold a password,
/// and every user can read the arguments of a process.
pub(crate) fn flags(settings: &impl Serialize) -> Vec<String> {
    let mut flags = Vec::new();
    if let Value::Object(settings) = to_value(settings) {
        for (name, value) in &settings {
            add_flag(name, value, &mut flags);
        }
    }
    flags
}

fn add_flag(name: &str, value: &Value, flags: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => flags.push(format!("--{name}")),
        Value::String(text) => flags.push(format!("--{name}={text}")),
        Value::Array(values) => values.iter().for_each(|value| add_flag(name, value, flags)),
        value => flags.push(format!("--{name}={value}")),
    }
}

/// Reads the address that a flag gives. The error never repeats it, as it may hold a password.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Copy)]
pub(super) struct AddressParser(pub(super) &'static str);

#[cfg(feature = "cli")]
impl TypedValueParser for AddressParser {
    type Value = Address;

    fn parse_ref(
        &self,
        _: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Address, clap::Error> {
        Address::parse(self.0, &value.to_string_lossy()).map_err(|error| {
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n"))
        })
    }
}

#[cfg(feature = "cli")]
pub(super) fn parse_positive(text: &str) -> Result<u64, String> {
    match crate::core::units::parse_count(text) {
        Ok(0) => Err("it must be at least 1".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

/// Reads a number of threads or workers.
#[cfg(feature = "cli")]
pub(super) fn parse_threads(text: &str) -> Result<usize, String> {
    match crate::core::units::parse_count(text) {
        Ok(n @ 1..=MOST) => Ok(n as usize),
        Ok(_) => Err(format!("it is from 1 to {MOST}")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use clap::Args;

    use super::*;
    use crate::config::settings::Settings;
    use crate::pipeline::api::ApiSettings;
    use crate::pipeline::push::PushSettings;

    fn plan() -> Plan {
        Plan::new(Settings {
            queue: Some("-queue".to_owned()),
            topics: vec!["/a topic".to_owned()],
            qos: Some(1),
            id_field: Some("ticket".to_owned()),
            sample: Some(7),
            stamps_keep: Some(12_000),
            api_threads: Some(2),
            push_workers: Some(6),
            push_threads: Some(3),
            push_limit: Some("2500".parse().expect("a rate")),
            coupling: Some(crate::config::settings::Coupling::Direct),
            ..Settings::default()
        })
        .expect("valid settings")
    }

    fn servers() -> ServerAddresses {
        ServerAddresses {
            redis: Address::parse("--redis", "redis://u:secret-1@127.0.0.1").expect("an address"),
            mqtt: Address::parse("--mqtt", "mqtt://u:secret-2@127.0.0.1").expect("an address"),
            log_server: None,
        }
    }

    /// Reads flags as the command of a service does.
    fn read<S: Args>(flags: &[String]) -> S {
        let command = S::augment_args(clap::Command::new("service"));
        let words = std::iter::once("service").chain(flags.iter().map(String::as_str));
        let matches = command.try_get_matches_from(words).expect("flags of the service");
        S::from_arg_matches(&matches).expect("settings of the service")
    }

    #[test]
    fn a_child_reads_the_settings_that_a_thread_gets() {
        let api = ApiSettings::of_run(&plan(), &servers());
        let words = flags(&api);
        assert!(words.contains(&"--queue=-queue".to_owned()), "{words:?}");
        assert_eq!(flags(&read::<ApiSettings>(&words)), words);

        let push = PushSettings::of_run(&plan(), &servers());
        let words = flags(&push);
        for word in [
            "--stamps-keep=12000",
            "--topic=/a topic",
            "--coupling=direct",
            "--workers=6",
            "--id-field=ticket",
        ] {
            assert!(words.contains(&word.to_owned()), "{words:?}");
        }
        let read = read::<PushSettings>(&words);
        assert_eq!(flags(&read), words);
        assert_eq!(read.limit, push.limit);
    }

    #[test]
    fn addresses_are_in_the_environment_and_not_among_the_flags() {
        let push = PushSettings::of_run(&plan(), &servers());
        assert!(!flags(&push).join(" ").contains("secret"), "{:?}", flags(&push));
        let [redis, log_server, mqtt] = &push.secrets()[..] else { panic!("three addresses") };
        assert!(redis.1.contains("secret-1") && log_server.1.contains("secret-1"));
        assert_eq!((mqtt.0, mqtt.1.contains("secret-2")), ("LOADGEN_MQTT", true));
    }

    #[test]
    fn an_address_that_cannot_be_read_is_not_repeated() {
        let command = QueueSettings::augment_args(clap::Command::new("service"));
        let words = ["service", "--redis", "http://user:secret@host"];
        let error = command.try_get_matches_from(words).expect_err("not a Redis").to_string();
        assert!(
            error.contains("--redis begins with http://") && !error.contains("secret"),
            "{error}"
        );
    }
}
