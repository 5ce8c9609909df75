//! The flags of other load generators that loadgen does not have, or has with another meaning.

use std::fmt;

/// A flag of another load generator.
pub(super) struct ForeignFlag {
    /// The flag, as it is typed.
    pub(super) flag: &'static str,
    /// The tools, in the genitive.
    tool: &'static str,
    /// Subject of the flag.
    meaning: &'static str,
    /// Flag of loadgen for it, or its place.
    pub(super) ours: &'static str,
}

impl fmt::Display for ForeignFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flag, tool, meaning, ours } = self;
        write!(f, "{flag} is {tool} {meaning}; here it is {ours}")
    }
}

const fn row(
    flag: &'static str,
    tool: &'static str,
    meaning: &'static str,
    ours: &'static str,
) -> ForeignFlag {
    ForeignFlag { flag, tool, meaning, ours }
}

/// Header with a user and a password.
const BASIC: &str = "-H 'Authorization: Basic …'";
/// Requests that are written before the answer to the last one has come.
const PIPELINING: &str = "-s FILE.lua, a script whose request() returns several requests";

/// Flags that no command of loadgen has.
pub(super) const UNKNOWN: &[ForeignFlag] = &[
    row("-z", "oha's and hey's", "duration", "-d 10s"),
    row("-D", "oha's and hey's", "file with the body", "-f FILE"),
    row("-Z", "oha's", "file with a body on each line", "--body-lines FILE"),
    row("-p", "oha's", "number of HTTP/2 requests on a connection", "--http2 --streams N"),
    row("-p", "ab's", "file with the body", "-f FILE"),
    row("-p", "autocannon's", "pipelining", PIPELINING),
    row("-x", "oha's and hey's", "proxy", "--proxy URL"),
    row("-X", "curl's", "method", "-m POST"),
    row("-X", "ab's", "proxy", "--proxy URL"),
    row("-r", "oha's", "number of redirects", "--redirects N"),
    row("-r", "bombardier's", "rate", "-R 5k"),
    row("-u", "k6's", "number of users", "-c N"),
    row("-u", "ab's", "file with a body to PUT", "-m PUT -f FILE"),
    row("-i", "k6's", "number of iterations", "-n N"),
    row("-i", "ab's", "method HEAD", "-m HEAD"),
    row("-a", "oha's and hey's", "user and password", BASIC),
    row("-a", "autocannon's", "number of requests", "-n N"),
    row("-A", "ab's", "user and password", BASIC),
    row("-A", "hey's", "header Accept", "-H 'Accept: …'"),
    row("-C", "ab's", "cookie", "-H 'Cookie: NAME=VALUE'"),
    row("-l", "bombardier's and autocannon's", "list of percentiles", "-L"),
    row("-w", "autocannon's", "number of threads", "-t N"),
    row("-w", "oha's", "wait for requests in flight", "--drain 5s, the default"),
    row("-j", "oha's and autocannon's", "report in JSON", "--format json"),
    row("-g", "ab's", "file for gnuplot", "-o FILE.tsv"),
    row("-e", "ab's", "file in CSV", "-o FILE.csv"),
    row("-E", "ab's", "client certificate", "--cert FILE"),
    row("--vus", "k6's", "number of users", "-c N"),
    row("--iterations", "k6's", "number of iterations", "-n N"),
    row("--rps", "k6's", "rate", "-R 5k"),
    row("--stage", "k6's", "change of the load", "-R 1k..10k, or `loadgen ramp PROFILE`"),
    row("--out", "k6's", "file of results", "-o FILE.json"),
    row("--summary-export", "k6's", "file of results", "-o FILE.json"),
    row("--summary-trend-stats", "k6's", "list of percentiles", "-L"),
    row("--insecure-skip-tls-verify", "k6's", "switch that verifies no certificate", "-k"),
    row("--no-connection-reuse", "k6's", "connection for each request", "--disable-keepalive"),
    row("--max-redirects", "k6's", "number of redirects", "--redirects N"),
    row("--user-agent", "k6's", "header User-Agent", "-H 'User-Agent: …'"),
    row("--no-tui", "oha's", "switch that shows no progress", "-q"),
    row("--output-format", "oha's", "form of the report", "--format json"),
    row("--latency-correction", "oha's", "latency from the due time", "-R RATE, always"),
    row("--urls-from-file", "oha's", "list of URLs", "--profile FILE with several [[request]]"),
    row("--host", "locust's", "target", "the URL, as the last argument"),
    row("--host", "oha's", "header Host", "-H 'Host: NAME'"),
    row("--users", "locust's", "number of users", "-c N"),
    row("--spawn-rate", "locust's", "growth of the load", "-R 1k..10k"),
    row("--run-time", "locust's", "duration", "-d 10s"),
    row("--headless", "locust's", "switch that shows no page", "-q"),
    row("--pipelining", "autocannon's", "pipelining", PIPELINING),
    row("--amount", "autocannon's", "number of requests", "-n N"),
    row("--overallRate", "autocannon's", "rate", "-R 5k"),
    row("--connectionRate", "autocannon's", "rate of a connection", "-R, for all of them together"),
    row("--json", "oha's and autocannon's", "report in JSON", "--format json"),
    row("--workers", "autocannon's", "number of threads", "-t N"),
    row("--latencies", "bombardier's", "list of percentiles", "-L"),
    row("--concurrency", "siege's", "number of connections", "-c N"),
    row("--time", "siege's", "duration", "-d 10s"),
    row("--reps", "siege's", "number of requests", "-n N, of all connections together"),
    row("--request", "curl's", "method", "-m POST"),
];

/// Flags of ours that mean something else to others.
pub(super) const OTHER_MEANINGS: &[ForeignFlag] = &[
    row("-d", "oha's and hey's", "body", "-b TEXT"),
    row("-t", "oha's and hey's", "timeout", "-T 2s"),
    row("-T", "oha's, hey's and ab's", "type of the body", "-H 'Content-Type: …'"),
    row("-q", "oha's and hey's", "rate", "-R RATE, and -q is --quiet"),
    row("-c", "ab's", "number of connections", "-c N"),
];

/// Long flags with one hyphen, as Go programs have them.
pub(super) const SINGLE_HYPHEN: &[ForeignFlag] = &[
    row("-body", "vegeta's", "file with the body", "-f FILE"),
    row("-workers", "vegeta's", "number of connections", "-c N"),
    row("-max-workers", "vegeta's", "largest number of connections", "-c N"),
    row("-max-connections", "vegeta's", "largest number of connections", "-c N"),
    row("-targets", "vegeta's", "list of requests", "--profile FILE with several [[request]]"),
    row("-keepalive", "vegeta's", "reuse of connections", "--disable-keepalive"),
    row("-root-certs", "vegeta's", "CA certificates", "--cacert FILE"),
    row("-h2c", "vegeta's", "HTTP/2 without TLS", "--http2"),
    row("-h2", "hey's", "HTTP/2", "--http2"),
    row("-cpus", "hey's and vegeta's", "number of threads", "-t N"),
    row("-host", "hey's", "header Host", "-H 'Host: NAME'"),
    row("-disable-redirects", "hey's", "switch that follows no redirect", "the default"),
    row("-disable-compression", "hey's", "switch that asks for no compression", "the default"),
    row("-qps", "fortio's", "rate", "-R 5k"),
];
