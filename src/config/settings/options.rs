//! Settings with a fixed set of values, and the share of a node.

use clap::ValueEnum;
use serde::Deserialize;

/// The spacing of an open loop's slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArrivalProcess {
    /// Evenly: slot n is due at n / rate.
    #[default]
    Constant,
    /// As independent users come: exponential gaps, the total exact, repeatable by `--seed`.
    Poisson,
}

/// HTTP client that sends the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Our HTTP/1.1 fast path.
    Raw,
    /// reqwest: HTTP/2, proxies, redirects.
    Reqwest,
}

/// Method by which a worker of an open loop waits until the next slot is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pacer {
    /// It sleeps.
    #[default]
    Timer,
    /// It asks the clock over and over: each worker takes a whole core.
    Spin,
}

/// Source of Redis and the broker if no address is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    /// Spawned where the programs are installed, else embedded.
    #[default]
    Auto,
    /// Private `redis-server` and `mosquitto` processes.
    Spawned,
    /// loadgen's own stand-ins: nothing needs to be installed.
    Embedded,
}

/// Coupling of pop and publish in the push server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coupling {
    /// A task pops, another publishes, a channel between them.
    #[default]
    Channel,
    /// One task pops, publishes, pops again, as the original did.
    Direct,
}

/// Share of this process if several nodes send one load together: `k/N`, k from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Index of this node, 0 to `count` − 1.
    pub index: u64,
    /// Number of nodes, at least 1.
    pub count: u64,
}

impl std::str::FromStr for Node {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count && count <= 10_000 => Ok(Self { index, count }),
            _ => Err(format!("'{text}' is not k/N with k from 0 to N-1, such as 0/4")),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Deserializes a text or a list of texts.
pub(super) fn de_words<'de, D: serde::Deserializer<'de>>(
    source: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts is wanted here")]
    enum Words {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Words::deserialize(source)? {
        Words::One(word) => vec![word],
        Words::Several(words) => words,
    })
}
