//! User settings exactly as typed: on the command line, in the environment, or in a TOML profile. All
//! three use one list, so that a setting cannot be missing in one of them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::Deserialize;

mod options;
mod layering;
mod request;
mod table;

pub use crate::engine::load::ArrivalProcess;
pub use crate::engine::shards::NodeShare;
pub use crate::engine::transport::config::Engine;
use options::de_words;
pub use options::{Coupling, Pacer, Stack};
pub use request::RequestSettings;
pub use table::{Entry, ProfileError, Table, nearest, setting_keys};

use crate::core::units::{Rate, Rates, de_count, de_duration, parse_count, parse_duration};

/// Settings of one run. A `None` field was not set; [`crate::config::plan::Plan`] fills in defaults.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What to drive; without it the whole pipeline is brought up here and driven
    #[arg(value_name = "URL", env = "LOADGEN_URL", hide_env_values = true)]
    pub url: Option<String>,

    /// Open loop: requests a second, in total over all workers (24000, 24k, 24k/s; 1k..10k changes evenly; without it: a closed loop)
    #[arg(
        short = 'R',
        long,
        value_name = "RATE",
        env = "LOADGEN_RATE",
        help_heading = "Load",
        allow_hyphen_values = true
    )]
    pub rate: Option<Rates>,

    /// Connections; in a closed loop the concurrency (default: open 64, closed 10)
    #[arg(short, long, value_name = "N", env = "LOADGEN_CONNECTIONS", help_heading = "Load", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub connections: Option<u64>,

    /// Worker threads (default: one per core, or per two cores where the pipeline is brought up here)
    #[arg(short, long, value_name = "N", env = "LOADGEN_THREADS", help_heading = "Load", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub threads: Option<u64>,

    /// How long to send (10s, 1m30s; default: 10s, unless --requests is given)
    #[arg(short, long, value_name = "TIME", env = "LOADGEN_DURATION", help_heading = "Load", value_parser = parse_duration)]
    #[serde(deserialize_with = "de_duration")]
    pub duration: Option<Duration>,

    /// Stop after so many requests
    #[arg(short = 'n', long, value_name = "N", env = "LOADGEN_REQUESTS", help_heading = "Load", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub requests: Option<u64>,

    /// Spacing of an open loop's requests (default: constant)
    #[arg(long, value_name = "KIND", env = "LOADGEN_ARRIVALS", help_heading = "Load")]
    pub arrivals: Option<ArrivalProcess>,

    /// Seed of --arrivals poisson, and of the order of a profile's requests (default: 1)
    #[arg(long, value_name = "N", env = "LOADGEN_SEED", help_heading = "Load")]
    pub seed: Option<u64>,

    /// Shortest time a worker of an open loop sleeps: requests due meanwhile go out together (0 to 10ms; default: 100us)
    #[arg(long, value_name = "TIME", env = "LOADGEN_TICK", help_heading = "Load", value_parser = parse_duration)]
    #[serde(deserialize_with = "de_duration")]
    pub tick: Option<Duration>,

    /// How a worker of an open loop waits: timer sleeps, spin takes a whole core each (default: timer)
    #[arg(long, value_name = "KIND", env = "LOADGEN_PACER", help_heading = "Load")]
    pub pacer: Option<Pacer>,

    /// Requests on the wire or waiting for a connection; beyond it a due request is dropped and counted (default: none)
    #[arg(long, value_name = "N", env = "LOADGEN_MAX_IN_FLIGHT", help_heading = "Load", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub max_in_flight: Option<u64>,

    /// Send this long first and throw the numbers away (default: 0s)
    #[arg(long, value_name = "TIME", env = "LOADGEN_WARMUP", help_heading = "Load", value_parser = parse_duration)]
    #[serde(deserialize_with = "de_duration")]
    pub warmup: Option<Duration>,

    /// How long to wait for stragglers after the last request (default: 5s)
    #[arg(long, value_name = "TIME", env = "LOADGEN_DRAIN", help_heading = "Load", value_parser = parse_duration)]
    #[serde(deserialize_with = "de_duration")]
    pub drain: Option<Duration>,

    /// This is node k of N, from 0, that send one load together: --rate and --requests are those of all nodes; all are started with the same settings (see --start-at)
    #[arg(long, value_name = "k/N", env = "LOADGEN_NODE", help_heading = "Load")]
    pub node: Option<NodeShare>,

    /// Method (default: GET for a URL without --mqtt, body and script, else POST; a script sets its own); the standard ones in any case
    #[arg(short, long, value_name = "METHOD", env = "LOADGEN_METHOD", help_heading = "Request")]
    pub method: Option<String>,

    /// Header, repeatable ("Name: value")
    #[arg(
        short = 'H',
        long = "header",
        value_name = "HEADER",
        env = "LOADGEN_HEADER",
        hide_env_values = true,
        value_delimiter = '\n',
        help_heading = "Request"
    )]
    #[serde(rename = "header")]
    pub headers: Vec<String>,

    /// Body; {{msg_id}}, {{worker}} and {{seq}} are filled in, as in URL and headers (default: a JSON message with its MsgID)
    #[arg(
        short,
        long,
        value_name = "TEXT",
        env = "LOADGEN_BODY",
        hide_env_values = true,
        conflicts_with_all = ["body_file", "body_lines"],
        help_heading = "Request"
    )]
    pub body: Option<String>,

    /// File with the body
    #[arg(
        short = 'f',
        long,
        value_name = "FILE",
        env = "LOADGEN_BODY_FILE",
        conflicts_with = "body_lines",
        help_heading = "Request"
    )]
    pub body_file: Option<PathBuf>,

    /// File with a body on each line, sent in order and over again
    #[arg(long, value_name = "FILE", env = "LOADGEN_BODY_LINES", help_heading = "Request")]
    pub body_lines: Option<PathBuf>,

    /// Table, .csv with a head or .ndjson, whose rows fill {{column}} in body, URL and headers, in order and over again
    #[arg(long, value_name = "FILE", env = "LOADGEN_DATA", help_heading = "Request")]
    pub data: Option<PathBuf>,
    /// Lua script that writes the requests and sees the responses, as wrk's (see README)
    #[arg(short, long, value_name = "FILE", env = "LOADGEN_SCRIPT", help_heading = "Request")]
    pub script: Option<PathBuf>,

    /// Arguments of the script's init, after --
    #[arg(id = "script-args", last = true, value_name = "ARGS", help_heading = "Request")]
    pub script_args: Vec<String>,

    /// Time allowed per request, from the send (default: 2s)
    #[arg(short = 'T', long, value_name = "TIME", env = "LOADGEN_TIMEOUT", help_heading = "Request", value_parser = parse_duration)]
    #[serde(deserialize_with = "de_duration")]
    pub timeout: Option<Duration>,

    /// What carries the requests (default: raw; reqwest for HTTP/2, proxies and redirects)
    #[arg(long, value_name = "KIND", env = "LOADGEN_ENGINE", help_heading = "Request")]
    pub engine: Option<Engine>,

    /// First MsgID, for services that keep ids in 32 bits; rounded up with --node. Without it, ids are random and have 16 digits; with it, do not give the same ids to two runs
    #[arg(long, value_name = "N", env = "LOADGEN_FIRST_ID", help_heading = "Request")]
    pub first_id: Option<u64>,

    /// JSON field of the message that carries the MsgID; the default body has this field too (default: MsgID, else id)
    #[arg(long, value_name = "NAME", env = "LOADGEN_ID_FIELD", help_heading = "Request")]
    pub id_field: Option<String>,

    /// Check no certificate of an https target (default: false)
    #[arg(short = 'k', long, env = "LOADGEN_INSECURE", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Connection")]
    pub insecure: Option<bool>,

    /// Authorities that may vouch for an https target, instead of the system's; or its own certificate (PEM)
    #[arg(long, value_name = "FILE", env = "LOADGEN_CACERT", help_heading = "Connection")]
    pub cacert: Option<PathBuf>,

    /// Our certificate for a target that asks for one (PEM; the chain, and the key if there is no --key)
    #[arg(long, value_name = "FILE", env = "LOADGEN_CERT", help_heading = "Connection")]
    pub cert: Option<PathBuf>,

    /// Key of --cert (PEM, not encrypted)
    #[arg(long, value_name = "FILE", env = "LOADGEN_KEY", help_heading = "Connection")]
    pub key: Option<PathBuf>,

    /// HTTP/2 and nothing else, through reqwest; over plain http it begins at once (h2c) (default: false)
    #[arg(long, env = "LOADGEN_HTTP2", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Connection")]
    pub http2: Option<bool>,

    /// With --http2, requests at once on each connection (default: 1)
    #[arg(long, value_name = "N", env = "LOADGEN_STREAMS", help_heading = "Connection", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub streams: Option<u64>,

    /// A new connection for each request; how long it took to make is shown apart (default: false)
    #[arg(long, env = "LOADGEN_DISABLE_KEEPALIVE", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Connection")]
    pub disable_keepalive: Option<bool>,

    /// Connect to this socket instead of the URL's host
    #[arg(long, value_name = "PATH", env = "LOADGEN_UNIX_SOCKET", help_heading = "Connection")]
    pub unix_socket: Option<PathBuf>,

    /// What is for HOST1:PORT1 goes to HOST2:PORT2, as with curl; each part may be empty; repeatable, the first that fits
    #[arg(
        long,
        value_name = "HOST1:PORT1:HOST2:PORT2",
        env = "LOADGEN_CONNECT_TO",
        value_delimiter = ',',
        help_heading = "Connection"
    )]
    pub connect_to: Vec<String>,

    /// Through this proxy, by reqwest: http://USER:PASSWORD@HOST:PORT (without it, that of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY for targets that are not on this machine)
    #[arg(
        long,
        value_name = "URL",
        env = "LOADGEN_PROXY",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub proxy: Option<String>,

    /// Follow so many redirects of a request, through reqwest (default: 0)
    #[arg(long, value_name = "N", env = "LOADGEN_REDIRECTS", help_heading = "Connection", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub redirects: Option<u64>,

    /// Where Redis and the broker come from when no address is given (default: auto)
    #[arg(long, value_name = "KIND", env = "LOADGEN_STACK", help_heading = "Pipeline")]
    pub stack: Option<Stack>,

    /// Use this Redis: redis://USER:PASSWORD@HOST:PORT/DB, all but HOST may be left out; rediss:// for TLS
    #[arg(
        long,
        value_name = "URL",
        env = "LOADGEN_REDIS",
        hide_env_values = true,
        help_heading = "Pipeline"
    )]
    pub redis: Option<String>,

    /// Redis of the stamps and their time, where it is not that of the queue (without it: that of --redis)
    #[arg(
        long,
        value_name = "URL",
        env = "LOADGEN_LOG_SERVER",
        hide_env_values = true,
        help_heading = "Pipeline"
    )]
    pub log_server: Option<String>,

    /// Use this broker: mqtt://USER:PASSWORD@HOST:PORT, all but HOST may be left out; mqtts:// for TLS
    #[arg(
        long,
        value_name = "URL",
        env = "LOADGEN_MQTT",
        hide_env_values = true,
        help_heading = "Pipeline"
    )]
    pub mqtt: Option<String>,

    /// MQTT topic of the messages (default: /channel); repeatable, and with the wildcards + and #, where a URL is given
    #[arg(
        long = "topic",
        value_name = "TOPIC",
        env = "LOADGEN_TOPIC",
        value_delimiter = '\n',
        help_heading = "Pipeline"
    )]
    #[serde(rename = "topic", deserialize_with = "de_words")]
    pub topics: Vec<String>,

    /// Where messages came and none could be joined to a request, show the first payload, which may hold secrets (default: false)
    #[arg(long, env = "LOADGEN_SHOW_PAYLOAD", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Pipeline")]
    pub show_payload: Option<bool>,

    /// Redis list of the messages (default: myapp)
    #[arg(long, value_name = "KEY", env = "LOADGEN_QUEUE", help_heading = "Pipeline")]
    pub queue: Option<String>,

    /// Stamp one message in N (default: 100)
    #[arg(long, value_name = "N", env = "LOADGEN_SAMPLE", help_heading = "Pipeline", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub sample: Option<u64>,

    /// Rows of the report's stages, FROM-TO of due, sent, api, queued, popped, published, mqttclient, arrived, answered (without it: each step, sent-arrived, api-arrived, api-mqttclient, sent-answered)
    #[arg(
        long,
        value_name = "FROM-TO",
        env = "LOADGEN_STAGES",
        value_delimiter = ',',
        help_heading = "Pipeline"
    )]
    pub stages: Vec<String>,

    /// Threads of the api server brought up here (default: 1)
    #[arg(long, value_name = "N", env = "LOADGEN_API_THREADS", help_heading = "Pipeline", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub api_threads: Option<u64>,

    /// Workers of the push server brought up here: each pops and publishes by itself (default: 1)
    #[arg(long, value_name = "N", env = "LOADGEN_PUSH_WORKERS", help_heading = "Pipeline", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub push_workers: Option<u64>,

    /// Threads the push server's workers are spread over (default: 1)
    #[arg(long, value_name = "N", env = "LOADGEN_PUSH_THREADS", help_heading = "Pipeline", value_parser = parse_count)]
    #[serde(deserialize_with = "de_count")]
    pub push_threads: Option<u64>,

    /// How the push server joins pop and publish (default: channel)
    #[arg(long, value_name = "KIND", env = "LOADGEN_COUPLING", help_heading = "Pipeline")]
    pub coupling: Option<Coupling>,

    /// The push server brought up here takes and publishes at most so many messages a second: to try out a slower one (default: no limit)
    #[arg(long, value_name = "RATE", env = "LOADGEN_PUSH_LIMIT", help_heading = "Pipeline")]
    pub push_limit: Option<Rate>,

    /// MQTT quality of service, 0 or 1 (default: 0)
    #[arg(long, value_name = "QOS", env = "LOADGEN_QOS", help_heading = "Pipeline", value_parser = clap::value_parser!(u8).range(0..=1))]
    pub qos: Option<u8>,

    /// Exit 99 if this holds of the report or cannot be judged (n/a), repeatable ('arrival.p99>5ms', 'messages.lost>0')
    #[arg(
        long,
        value_name = "EXPR",
        env = "LOADGEN_FAIL_IF",
        value_delimiter = ';',
        help_heading = "Report"
    )]
    pub fail_if: Vec<String>,

    /// The requests of a profile, `[[request]]`: too many words for a command line.
    #[arg(skip)]
    #[serde(skip)]
    pub mix: Vec<RequestSettings>,

    /// The profile that [`Self::mix`] is from.
    #[arg(skip)]
    #[serde(skip)]
    pub mix_file: Option<PathBuf>,
}

impl Settings {
    /// Reads a profile: the flags' long names as keys. The error names the line.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        Table::parse(text)?.settings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_takes_the_flags_spellings() {
        let profile = "rate = '24k'\nduration = '1m30s'\nconnections = 64\nmax-in-flight = '10k'\n\
                       arrivals = 'poisson'\nheader = ['A: b']\nnode = '1/4'\nfail-if = ['messages.lost>0']\n";
        let settings = Settings::from_toml(profile).expect("valid");
        assert_eq!(settings.rate, Rate::per_second(24_000).ok().map(Rates::from));
        assert_eq!(settings.duration, Some(Duration::from_secs(90)));
        assert_eq!(settings.max_in_flight, Some(10_000));
        assert_eq!(settings.arrivals, Some(ArrivalProcess::Poisson));
        assert_eq!(settings.node, Some(NodeShare { index: 1, count: 4 }));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_without_its_text() {
        for profile in [
            "header = 'Authorization: Bearer onyx'\n",
            "rate = 5\n[[request]]\nname = 'a'\nheader = \"Cookie: a=\\\"onyx\\\"\"\n",
            "fail-if = 'onyx'\n",
            "stack = 'redis://:onyx@host'\n",
            "'Authorization: Bearer onyx' = 5\n",
            "qos = 'onyx'\n",
        ] {
            let error = Settings::from_toml(profile).expect_err(profile).to_string();
            assert!(error.starts_with("line ") && !error.contains("onyx"), "{profile}: {error}");
        }
        let error = Settings::from_toml("header = 'A: b'\n").expect_err("no list").to_string();
        assert!(error.contains("line 1: invalid type: a string, expected a sequence"), "{error}");
    }

    #[test]
    fn an_unknown_key_or_value_is_refused_with_its_line() {
        for (profile, line, part) in [
            ("rate = 5\nrates = 6\n", "line 2", "unknown key 'rates'; did you mean 'rate'?"),
            ("\n\nrate = 0\n", "line 3", "above zero"),
            ("duration = 'long'\n", "line 1", "not a duration"),
            ("rate = [1]\n", "line 1", "a number or text is wanted here, such as 24000 or \"24k\""),
            ("\nthreads = true\n", "line 2", "a number or text is wanted"),
            ("arrivals = 'weird'\n", "line 1", "unknown variant"),
            ("node = '4/4'\n", "line 1", "not k/N"),
            ("rate = 5\n[[request]]\nname = 'a'\nwieght = 2\n", "line 4", "did you mean 'weight'?"),
            ("[[request]]\nname = 'a'\n\n[[request]]\nweight = 2\n", "line 4", "needs a name"),
            ("[[request]]\nname = 'a'\nweight = 'much'\n", "line 3", "not a count"),
            ("request = 5\n", "line 1", "'request' is a table"),
        ] {
            let error = Settings::from_toml(profile).expect_err(profile).to_string();
            assert!(error.contains(line) && error.contains(part), "{profile}: {error}");
        }
    }

    #[test]
    fn requests_are_read_in_their_order() {
        let text = "method = 'GET'\n[[request]]\nname = 'b'\nweight = '2k'\npath = '/b'\nheader = ['A: 1']\n\
                    [[request]]\nname = 'a'\nbody-lines = 'x.txt'\ndata = 'y.csv'\n";
        let settings = Settings::from_toml(text).expect("valid");
        let names: Vec<_> = settings.mix.iter().map(|request| request.name.as_str()).collect();
        assert_eq!((names, settings.method.as_deref()), (vec!["b", "a"], Some("GET")));
        let [b, a] = &settings.mix[..] else { panic!("two") };
        assert_eq!((b.weight, b.headers.len(), b.has_body()), (Some(2_000), 1, false));
        assert_eq!((a.weight, a.has_body(), a.data.is_some()), (None, true, true));
        let typed = Settings { seed: Some(3), ..Settings::default() };
        assert_eq!(typed.over(settings.clone()).mix, settings.mix);
    }

    #[test]
    fn the_command_line_wins_over_the_profile() {
        let base = Settings { qos: Some(1), body_file: Some("a".into()), ..Settings::default() };
        let typed = Settings { body: Some("b".into()), seed: Some(2), ..Settings::default() };
        let lines = Settings { body_lines: Some("c".into()), ..Settings::default() };
        assert_eq!(lines.over(base.clone()).body_file, None);
        let both = typed.over(base);
        assert_eq!((both.qos, both.seed, both.body_file), (Some(1), Some(2), None));
        assert_eq!(both.body.as_deref(), Some("b"));
    }
}
