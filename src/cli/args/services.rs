//! Arguments of the services: api, push, subscribe.

use std::net::SocketAddr;

use clap::Args;

use crate::config::settings::Coupling;
use crate::core::units::{Rate, parse_count, parse_size};
use crate::pipeline::api::DEFAULT_MAX_BODY;

/// Options that api and push share.
#[derive(Debug, Args)]
pub(in crate::cli) struct QueueArgs {
    /// Redis of the queue: redis://USER:PASSWORD@HOST:PORT/DB, all but HOST may be left out; rediss:// for TLS
    #[arg(
        long,
        value_name = "URL",
        env = "LOADGEN_REDIS",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379",
        hide_default_value = false
    )]
    pub(in crate::cli) redis: String,

    /// Redis of the stamps and their time (default: the queue's)
    #[arg(long, value_name = "URL", env = "LOADGEN_LOG_SERVER", hide_env_values = true)]
    pub(in crate::cli) log_server: Option<String>,

    /// Redis list of the messages
    #[arg(long, value_name = "KEY", env = "LOADGEN_QUEUE", default_value = "myapp")]
    pub(in crate::cli) queue: String,

    #[command(flatten)]
    pub(in crate::cli) message: MessageArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MessageArgs {
    /// Stamp one message in N
    #[arg(long, value_name = "N", env = "LOADGEN_SAMPLE", default_value = "100", value_parser = positive)]
    pub(in crate::cli) sample: u64,

    /// JSON field that carries the MsgID (default: MsgID, else id)
    #[arg(long, value_name = "NAME", env = "LOADGEN_ID_FIELD")]
    pub(in crate::cli) id_field: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BrokerArgs {
    /// Broker: mqtt://USER:PASSWORD@HOST:PORT, all but HOST may be left out; mqtts:// for TLS
    #[arg(
        long,
        value_name = "URL",
        env = "LOADGEN_MQTT",
        hide_env_values = true,
        default_value = "mqtt://127.0.0.1:1883"
    )]
    pub(in crate::cli) mqtt: String,

    /// MQTT topic of the messages; a subscriber takes several, and the wildcards + and #
    #[arg(
        long = "topic",
        value_name = "TOPIC",
        env = "LOADGEN_TOPIC",
        value_delimiter = '\n',
        default_value = "/channel"
    )]
    pub(in crate::cli) topics: Vec<String>,

    /// MQTT quality of service
    #[arg(long, value_name = "QOS", env = "LOADGEN_QOS", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(in crate::cli) qos: u8,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ApiArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "LOADGEN_LISTEN", default_value = "127.0.0.1:8080")]
    pub(in crate::cli) listen: SocketAddr,

    #[command(flatten)]
    pub(in crate::cli) queue: QueueArgs,

    /// Answer 503 while so many messages wait in the queue (default: none)
    #[arg(long, value_name = "N", env = "LOADGEN_MAX_QUEUE", value_parser = parse_count)]
    pub(in crate::cli) max_queue: Option<u64>,

    /// Largest body; a larger one is answered with 413
    #[arg(long, value_name = "SIZE", env = "LOADGEN_MAX_BODY", default_value_t = DEFAULT_MAX_BODY as u64, value_parser = parse_size)]
    pub(in crate::cli) max_body: u64,

    /// Threads, each with a Redis connection
    #[arg(long, value_name = "N", env = "LOADGEN_API_THREADS", default_value = "1", value_parser = few)]
    pub(in crate::cli) threads: usize,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PushArgs {
    #[command(flatten)]
    pub(in crate::cli) queue: QueueArgs,

    #[command(flatten)]
    pub(in crate::cli) broker: BrokerArgs,

    /// Workers, each with a Redis and a broker connection
    #[arg(long, value_name = "N", env = "LOADGEN_PUSH_WORKERS", default_value = "1", value_parser = few)]
    pub(in crate::cli) workers: usize,

    /// Threads the workers are spread over
    #[arg(long, value_name = "N", env = "LOADGEN_PUSH_THREADS", default_value = "1", value_parser = few)]
    pub(in crate::cli) threads: usize,

    /// How pop and publish are joined: side by side with a channel between, or in turn
    #[arg(long, value_name = "KIND", env = "LOADGEN_COUPLING", default_value = "channel")]
    pub(in crate::cli) coupling: Coupling,

    /// Take and publish at most so many messages a second, to try out a slower push server; the rest waits in the queue (default: no limit)
    #[arg(long, value_name = "RATE", env = "LOADGEN_PUSH_LIMIT")]
    pub(in crate::cli) limit: Option<Rate>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SubscribeArgs {
    #[command(flatten)]
    pub(in crate::cli) broker: BrokerArgs,

    /// Redis of the stamps and their time; without it and --log-server there are no stamps
    #[arg(long, value_name = "URL", env = "LOADGEN_REDIS", hide_env_values = true)]
    pub(in crate::cli) redis: Option<String>,

    /// Redis of the stamps and their time, where it is not --redis
    #[arg(long, value_name = "URL", env = "LOADGEN_LOG_SERVER", hide_env_values = true)]
    pub(in crate::cli) log_server: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) message: MessageArgs,
}

fn positive(text: &str) -> Result<u64, String> {
    match parse_count(text) {
        Ok(0) => Err("it must be at least 1".to_owned()),
        other => other.map_err(|e| e.to_string()),
    }
}

fn few(text: &str) -> Result<usize, String> {
    match parse_count(text) {
        Ok(n @ 1..=1_024) => Ok(n as usize),
        Ok(_) => Err("it is from 1 to 1024".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
