//! Settings with a fixed set of values.

use serde::{Deserialize, Serialize};

/// Method by which a worker of an open loop waits until the next slot is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Pacer {
    /// It sleeps.
    #[default]
    Timer,
    /// It asks the clock over and over: each worker takes a whole core.
    Spin,
}

impl Pacer {
    /// Name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Spin => "spin",
        }
    }
}

/// Source of Redis and the broker if no address is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StackChoice {
    /// Spawned where the programs are installed, else embedded.
    #[default]
    Auto,
    /// Private `redis-server` and `mosquitto` processes.
    Spawned,
    /// loadgen's own stand-ins: nothing needs to be installed.
    Embedded,
}

impl StackChoice {
    /// Name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Spawned => "spawned",
            Self::Embedded => "embedded",
        }
    }
}

/// Coupling of pop and publish in the push server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Coupling {
    /// A task pops, another publishes, a channel between them.
    #[default]
    Channel,
    /// One task pops, publishes, pops again, as the original did.
    Direct,
}

impl Coupling {
    /// Name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Direct => "direct",
        }
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
