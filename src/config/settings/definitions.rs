//! The settings of a run. This list is the only place that defines a setting: see [`settings!`](super::define).

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "cli")]
use clap::builder::BoolishValueParser;

use super::define::settings;
use super::options::de_words;
use super::{ArrivalProcess, Coupling, Engine, NodeShare, Pacer, RequestSettings, StackChoice};
use crate::core::secrets::{mask_arguments, mask_body, mask_header, mask_url};
use crate::core::units::{Rate, Rates, de_count, de_duration};
#[cfg(feature = "cli")]
use crate::core::units::{parse_count, parse_duration};

/// Returns nothing: labels describe a run and do not change it, so the command that repeats it has none.
fn not_repeated(_: &[String]) -> Vec<String> {
    Vec::new()
}

/// Returns all values as one, as `--stages` takes them.
fn joined_with_commas(values: &[String]) -> Vec<String> {
    if values.is_empty() { Vec::new() } else { vec![values.join(",")] }
}

settings! {
    /// Settings of one run. A `None` field was not set; [`crate::config::plan::Plan`] fills in defaults.
    pub struct Settings {
        /// URL of the target; without it, loadgen starts the whole pipeline and sends to its api
        "url" url: Option<String>, example("'http://127.0.0.1:8080/'"), masked(mask_url),
            flag(value_name = "URL", env = "LOADGEN_URL", hide_env_values = true);

        /// Open loop: requests a second, in total over all workers (24000, 24k, 24k/s; 1k..10k changes evenly; without it: a closed loop)
        "rate" rate: Option<Rates>, example("'1k'"), harmless,
            flag(short = 'R', long, value_name = "RATE", env = "LOADGEN_RATE", help_heading = "Load", allow_hyphen_values = true);

        /// Connections; in a closed loop the concurrency (default: open 64, closed 10)
        #[serde(deserialize_with = "de_count")]
        "connections" connections: Option<u64>, example("64"), harmless,
            flag(short, long, value_name = "N", env = "LOADGEN_CONNECTIONS", help_heading = "Load", value_parser = parse_count);

        /// Worker threads (default: one per core; one per two cores if loadgen starts the pipeline)
        #[serde(deserialize_with = "de_count")]
        "threads" threads: Option<u64>, example("1"), harmless,
            flag(short, long, value_name = "N", env = "LOADGEN_THREADS", help_heading = "Load", value_parser = parse_count);

        /// Time to send for (10s, 1m30s; default: 10s, unless --requests is given)
        #[serde(deserialize_with = "de_duration")]
        "duration" duration: Option<Duration>, example("'10s'"), harmless,
            flag(short, long, value_name = "TIME", env = "LOADGEN_DURATION", help_heading = "Load", value_parser = parse_duration);

        /// Number of requests after which the run stops
        #[serde(deserialize_with = "de_count")]
        "requests" requests: Option<u64>, example("'100k'"), harmless,
            flag(short = 'n', long, value_name = "N", env = "LOADGEN_REQUESTS", help_heading = "Load", value_parser = parse_count);

        /// Spacing of an open loop's requests (default: constant)
        "arrivals" arrivals: Option<ArrivalProcess>, example("'constant'"), harmless,
            flag(long, value_name = "KIND", env = "LOADGEN_ARRIVALS", help_heading = "Load");

        /// Seed of --arrivals poisson, and of the order of a profile's requests (default: 1)
        "seed" seed: Option<u64>, example("1"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_SEED", help_heading = "Load");

        /// Shortest sleep of a worker in an open loop; requests that become due during it are sent together (0 to 10ms; default: 100us)
        #[serde(deserialize_with = "de_duration")]
        "tick" tick: Option<Duration>, example("'100us'"), harmless,
            flag(long, value_name = "TIME", env = "LOADGEN_TICK", help_heading = "Load", value_parser = parse_duration);

        /// Waiting method of a worker in an open loop: timer sleeps, spin uses a whole core for each worker (default: timer)
        "pacer" pacer: Option<Pacer>, example("'timer'"), harmless,
            flag(long, value_name = "KIND", env = "LOADGEN_PACER", help_heading = "Load");

        /// Largest number of requests in flight; beyond it, a due request is dropped and counted (default: none)
        #[serde(deserialize_with = "de_count")]
        "max-in-flight" max_in_flight: Option<u64>, example("'10k'"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_MAX_IN_FLIGHT", help_heading = "Load", value_parser = parse_count);

        /// Warm-up: send for this time first, without measuring (default: 0s)
        #[serde(deserialize_with = "de_duration")]
        "warmup" warmup: Option<Duration>, example("'0s'"), harmless,
            flag(long, value_name = "TIME", env = "LOADGEN_WARMUP", help_heading = "Load", value_parser = parse_duration);

        /// Time to wait after the last request for late answers and arrivals (default: 5s)
        #[serde(deserialize_with = "de_duration")]
        "drain" drain: Option<Duration>, example("'5s'"), harmless,
            flag(long, value_name = "TIME", env = "LOADGEN_DRAIN", help_heading = "Load", value_parser = parse_duration);

        /// Method; standard methods in upper or lower case (default: GET for a URL without --mqtt, body and script, else POST; a script sets its own)
        "method" method: Option<String>, example("'POST'"), harmless,
            flag(short, long, value_name = "METHOD", env = "LOADGEN_METHOD", help_heading = "Request");

        /// Header, repeatable ("Name: value")
        "header" headers: Vec<String>, example("['X-Sent-By: loadgen']"), masked(mask_header),
            flag(short = 'H', long = "header", value_name = "HEADER", env = "LOADGEN_HEADER", hide_env_values = true, value_delimiter = '\n', help_heading = "Request");

        /// Body; {{msg_id}}, {{worker}} and {{seq}} are replaced, also in URL and headers (default: a JSON message with its MsgID)
        "body" body: Option<String>, example(r#"'{"MsgID":{{msg_id}},"source":"client-id","target":"target-id"}'"#), masked(mask_body),
            flag(short, long, value_name = "TEXT", env = "LOADGEN_BODY", hide_env_values = true, conflicts_with_all = ["body_file", "body_lines"], help_heading = "Request");

        /// File with the body
        "body-file" body_file: Option<PathBuf>, example("'body.json'"), harmless,
            flag(short = 'f', long, value_name = "FILE", env = "LOADGEN_BODY_FILE", conflicts_with = "body_lines", help_heading = "Request");

        /// File with one body on each line; they are sent in order, again from the first after the last
        "body-lines" body_lines: Option<PathBuf>, example("'bodies.ndjson'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_BODY_LINES", help_heading = "Request");

        /// Table (.csv with a header row, or .ndjson) whose rows replace {{column}} in body, URL and headers, in order, again from the first after the last
        "data" data: Option<PathBuf>, example("'users.csv'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_DATA", help_heading = "Request");

        /// Lua script, as for wrk, that makes the requests and reads the responses (see docs/lua.md)
        "script" script: Option<PathBuf>, example("'post.lua'"), harmless,
            flag(short, long, value_name = "FILE", env = "LOADGEN_SCRIPT", help_heading = "Request");

        /// Arguments for init() of the script, after --
        "script-args" script_args: Vec<String>, example("['one', 'two']"), shown_by(mask_arguments),
            flag(id = "script-args", last = true, value_name = "ARGS", help_heading = "Request");

        /// Timeout of a request, counted from the send (default: 2s)
        #[serde(deserialize_with = "de_duration")]
        "timeout" timeout: Option<Duration>, example("'2s'"), harmless,
            flag(short = 'T', long, value_name = "TIME", env = "LOADGEN_TIMEOUT", help_heading = "Request", value_parser = parse_duration);

        /// HTTP client that sends the requests (default: raw; reqwest for HTTP/2, proxies and redirects)
        "engine" engine: Option<Engine>, example("'raw'"), harmless,
            flag(long, value_name = "KIND", env = "LOADGEN_ENGINE", help_heading = "Request");

        /// JSON field of the message that contains the MsgID; the default body has this field too (default: MsgID, else id)
        "id-field" id_field: Option<String>, example("'MsgID'"), harmless,
            flag(long, value_name = "NAME", env = "LOADGEN_ID_FIELD", help_heading = "Request");

        /// Place of the MsgID in the message that arrives, repeatable, the first that has one counts: json:data.0.id, topic:devices/+/{id}, bytes:0..8, regex:run-(\d+) (default: the JSON field of --id-field)
        #[serde(deserialize_with = "de_words")]
        "id-from" id_from: Vec<String>, example("['json:data.id', 'topic:devices/{id}']"), harmless,
            flag(long = "id-from", value_name = "PLACE", env = "LOADGEN_ID_FROM", value_delimiter = '\n', help_heading = "Request");

        /// Send the header traceparent with the MsgID in its trace id, for services that pass it on (default: false)
        "traceparent" traceparent: Option<bool>, example("false"), harmless,
            flag(long, env = "LOADGEN_TRACEPARENT", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Request");

        /// First MsgID, for services that store ids in 32 bits; rounded up with --node. Without it, ids are random and have 16 digits; with it, use different ids for each run
        "first-id" first_id: Option<u64>, example("1"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_FIRST_ID", help_heading = "Request");

        /// Do not verify the certificate of an https target (default: false)
        "insecure" insecure: Option<bool>, example("false"), harmless,
            flag(short = 'k', long, env = "LOADGEN_INSECURE", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Connection");

        /// CA certificates to trust for an https target instead of the system's, or its own certificate (PEM)
        "cacert" cacert: Option<PathBuf>, example("'ca.pem'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_CACERT", help_heading = "Connection");

        /// Client certificate for a target that asks for one (PEM: the chain, and the key if --key is not given)
        "cert" cert: Option<PathBuf>, example("'client.pem'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_CERT", help_heading = "Connection");

        /// Private key of --cert (PEM, not encrypted)
        "key" key: Option<PathBuf>, example("'client.key'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_KEY", help_heading = "Connection");

        /// Use only HTTP/2, with the engine reqwest; without TLS, with prior knowledge (h2c) (default: false)
        "http2" http2: Option<bool>, example("false"), harmless,
            flag(long, env = "LOADGEN_HTTP2", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Connection");

        /// With --http2, concurrent requests on each connection (default: 1)
        #[serde(deserialize_with = "de_count")]
        "streams" streams: Option<u64>, example("1"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_STREAMS", help_heading = "Connection", value_parser = parse_count);

        /// Open a new connection for each request; the report shows the time to connect separately (default: false)
        "disable-keepalive" disable_keepalive: Option<bool>, example("false"), harmless,
            flag(long, env = "LOADGEN_DISABLE_KEEPALIVE", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Connection");

        /// Connect to this Unix socket instead of the URL's host
        "unix-socket" unix_socket: Option<PathBuf>, example("'/run/api.sock'"), harmless,
            flag(long, value_name = "PATH", env = "LOADGEN_UNIX_SOCKET", help_heading = "Connection");

        /// Connect to HOST2:PORT2 instead of HOST1:PORT1, as with curl; each part may be empty; repeatable, the first rule that fits is used
        "connect-to" connect_to: Vec<String>, example("['api:443:127.0.0.1:8443']"), harmless,
            flag(long, value_name = "HOST1:PORT1:HOST2:PORT2", env = "LOADGEN_CONNECT_TO", value_delimiter = ',', help_heading = "Connection");

        /// Proxy, with the engine reqwest: http://USER:PASSWORD@HOST:PORT (without it, HTTPS_PROXY, HTTP_PROXY or ALL_PROXY apply to targets on other machines)
        "proxy" proxy: Option<String>, example("'http://proxy:3128'"), masked(mask_url),
            flag(long, value_name = "URL", env = "LOADGEN_PROXY", hide_env_values = true, help_heading = "Connection");

        /// Largest number of redirects to follow for a request, with the engine reqwest (default: 0)
        #[serde(deserialize_with = "de_count")]
        "redirects" redirects: Option<u64>, example("0"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_REDIRECTS", help_heading = "Connection", value_parser = parse_count);

        /// Longest wait for the target, Redis and the broker before the run, until each of them takes connections (default: 0s)
        #[serde(deserialize_with = "de_duration")]
        "wait-for" wait_for: Option<Duration>, example("'0s'"), harmless,
            flag(long, value_name = "TIME", env = "LOADGEN_WAIT_FOR", help_heading = "Connection", value_parser = parse_duration);

        /// Index k, from 0, of this node among N that send one load together; --rate and --requests are for all nodes together; start all with the same settings (see --start-at)
        "node" node: Option<NodeShare>, example("'0/2'"), harmless,
            flag(long, value_name = "k/N", env = "LOADGEN_NODE", help_heading = "Load");

        /// Source of Redis and the broker if no address is given (default: auto)
        "stack" stack: Option<StackChoice>, example("'auto'"), harmless,
            flag(long, value_name = "KIND", env = "LOADGEN_STACK", help_heading = "Pipeline");

        /// Address of Redis: redis://USER:PASSWORD@HOST:PORT/DB, only HOST is required; rediss:// for TLS
        "redis" redis: Option<String>, example("'redis://127.0.0.1:6379'"), masked(mask_url),
            flag(long, value_name = "URL", env = "LOADGEN_REDIS", hide_env_values = true, help_heading = "Pipeline");

        /// File with the password of Redis, instead of one in --redis
        "redis-password-file" redis_password_file: Option<PathBuf>, example("'redis.password'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_REDIS_PASSWORD_FILE", help_heading = "Pipeline");

        /// CA certificates to trust for Redis over TLS instead of the system's (PEM)
        "redis-cacert" redis_cacert: Option<PathBuf>, example("'redis-ca.pem'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_REDIS_CACERT", help_heading = "Pipeline");

        /// Client certificate for Redis over TLS (PEM: the chain, and the key if --redis-key is not given)
        "redis-cert" redis_cert: Option<PathBuf>, example("'redis-client.pem'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_REDIS_CERT", help_heading = "Pipeline");

        /// Private key of --redis-cert (PEM, not encrypted)
        "redis-key" redis_key: Option<PathBuf>, example("'redis-client.key'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_REDIS_KEY", help_heading = "Pipeline");

        /// Address of the Redis for stamps and their clock, if it is not that of the queue (without it: that of --redis)
        "log-server" log_server: Option<String>, example("'redis://127.0.0.1:6380'"), masked(mask_url),
            flag(long, value_name = "URL", env = "LOADGEN_LOG_SERVER", hide_env_values = true, help_heading = "Pipeline");

        /// Address of the broker: mqtt://USER:PASSWORD@HOST:PORT, only HOST is required; mqtts:// for TLS
        "mqtt" mqtt: Option<String>, example("'mqtt://127.0.0.1:1883'"), masked(mask_url),
            flag(long, value_name = "URL", env = "LOADGEN_MQTT", hide_env_values = true, help_heading = "Pipeline");

        /// File with the password of the broker's user, instead of one in --mqtt
        "mqtt-password-file" mqtt_password_file: Option<PathBuf>, example("'mqtt.password'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_MQTT_PASSWORD_FILE", help_heading = "Pipeline");

        /// CA certificates to trust for the broker over TLS instead of the system's (PEM)
        "mqtt-cacert" mqtt_cacert: Option<PathBuf>, example("'mqtt-ca.pem'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_MQTT_CACERT", help_heading = "Pipeline");

        /// Client certificate for the broker over TLS (PEM: the chain, and the key if --mqtt-key is not given)
        "mqtt-cert" mqtt_cert: Option<PathBuf>, example("'mqtt-client.pem'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_MQTT_CERT", help_heading = "Pipeline");

        /// Private key of --mqtt-cert (PEM, not encrypted)
        "mqtt-key" mqtt_key: Option<PathBuf>, example("'mqtt-client.key'"), harmless,
            flag(long, value_name = "FILE", env = "LOADGEN_MQTT_KEY", help_heading = "Pipeline");

        /// MQTT topic of the messages (default: /channel); with a URL: repeatable, and with the wildcards + and #
        #[serde(deserialize_with = "de_words")]
        "topic" topics: Vec<String>, example("['/channel']"), harmless,
            flag(long = "topic", value_name = "TOPIC", env = "LOADGEN_TOPIC", value_delimiter = '\n', help_heading = "Pipeline");

        /// Show the first refused answer, and the first payload if no message matches a request; they may contain secrets (default: false)
        "show-payload" show_payload: Option<bool>, example("false"), harmless,
            flag(long, env = "LOADGEN_SHOW_PAYLOAD", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(), hide_possible_values = true, help_heading = "Pipeline");

        /// Redis list of the messages (default: myapp)
        "queue" queue: Option<String>, example("'myapp'"), harmless,
            flag(long, value_name = "KEY", env = "LOADGEN_QUEUE", help_heading = "Pipeline");

        /// Queue whose depth is on the timeline: list:KEY, stream:KEY/GROUP (what the group has not acknowledged) or none (default: the list of --queue)
        "queue-depth" queue_depth: Option<String>, example("'list:myapp'"), harmless,
            flag(long, value_name = "QUEUE", env = "LOADGEN_QUEUE_DEPTH", help_heading = "Pipeline");

        /// Stamp one message in N (default: 100)
        #[serde(deserialize_with = "de_count")]
        "sample" sample: Option<u64>, example("100"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_SAMPLE", help_heading = "Pipeline", value_parser = parse_count);

        /// Stamps to keep in each Redis list: the newest N (default: 100k)
        #[serde(deserialize_with = "de_count")]
        "stamps-keep" stamps_keep: Option<u64>, example("'100k'"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_STAMPS_KEEP", help_heading = "Pipeline", value_parser = parse_count);

        /// Stages to report, FROM-TO of due, sent, api, queued, popped, published, mqttclient, arrived, answered (without it: each step, sent-arrived, api-arrived, api-mqttclient, sent-answered)
        "stages" stages: Vec<String>, example("['sent-arrived', 'api-arrived']"), shown_by(joined_with_commas),
            flag(long, value_name = "FROM-TO", env = "LOADGEN_STAGES", value_delimiter = ',', help_heading = "Pipeline");

        /// Threads of the api that loadgen starts (default: 1)
        #[serde(deserialize_with = "de_count")]
        "api-threads" api_threads: Option<u64>, example("1"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_API_THREADS", help_heading = "Pipeline", value_parser = parse_count);

        /// Workers of the push server that loadgen starts; each pops and publishes on its own (default: 1)
        #[serde(deserialize_with = "de_count")]
        "push-workers" push_workers: Option<u64>, example("1"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_PUSH_WORKERS", help_heading = "Pipeline", value_parser = parse_count);

        /// Threads among which the push server's workers are divided (default: 1)
        #[serde(deserialize_with = "de_count")]
        "push-threads" push_threads: Option<u64>, example("1"), harmless,
            flag(long, value_name = "N", env = "LOADGEN_PUSH_THREADS", help_heading = "Pipeline", value_parser = parse_count);

        /// Coupling of pop and publish in the push server (default: channel)
        "coupling" coupling: Option<Coupling>, example("'channel'"), harmless,
            flag(long, value_name = "KIND", env = "LOADGEN_COUPLING", help_heading = "Pipeline");

        /// Largest number of messages a second that the push server loadgen starts publishes, to simulate a slower one (default: no limit)
        "push-limit" push_limit: Option<Rate>, example("'10k'"), harmless,
            flag(long, value_name = "RATE", env = "LOADGEN_PUSH_LIMIT", help_heading = "Pipeline");

        /// MQTT quality of service, 0 or 1 (default: 0)
        "qos" qos: Option<u8>, example("0"), harmless,
            flag(long, value_name = "QOS", env = "LOADGEN_QOS", help_heading = "Pipeline", value_parser = clap::value_parser!(u8).range(0..=1));

        /// Process that the run does not start, to report its CPU and memory under a name, repeatable: api=1234, push=name:PROGRAM (every process of that program)
        "process" processes: Vec<String>, example("['api=1234', 'push=name:go-pushserver']"), harmless,
            flag(long = "process", value_name = "NAME=PROCESS", env = "LOADGEN_PROCESS", value_delimiter = ',', help_heading = "Report");

        /// Condition on the report; exit with 99 if it holds or cannot be judged (n/a); repeatable ('arrival.p99>5ms', 'messages.lost>0')
        "fail-if" fail_if: Vec<String>, example("['messages.lost>0', 'requests.failed>0']"), harmless,
            flag(long, value_name = "EXPR", env = "LOADGEN_FAIL_IF", value_delimiter = ';', help_heading = "Report");

        /// Label of the run for its report, repeatable (commit=1eb6622); reports show it as it is
        "label" labels: Vec<String>, example("['commit=1eb6622']"), shown_by(not_repeated),
            flag(long = "label", value_name = "KEY=VALUE", env = "LOADGEN_LABEL", value_delimiter = '\n', help_heading = "Report");
    }
    without_flag {
        /// The requests of a profile, `[[request]]`. A command line has no place for them.
        mix: Vec<RequestSettings>;
        /// The profile that [`Self::mix`] is from.
        mix_file: Option<PathBuf>;
    }
}
