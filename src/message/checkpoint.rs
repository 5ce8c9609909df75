//! Checkpoints that a message passes, and stages: the time between two of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point that a message passes on its way.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Checkpoint {
    /// The time the plan gives it.
    #[default]
    Due,
    /// The generator has sent its request.
    Sent,
    /// The api has the request's head.
    Api,
    /// Redis has confirmed the message.
    Queued,
    /// The push server has it.
    Popped,
    /// The push server hands it to the broker.
    Published,
    /// A subscriber outside this run has it: the MQTT client under test, or `loadgen subscribe`.
    MqttClient,
    /// The run's own subscriber has it.
    Arrived,
    /// The generator has the whole answer.
    Answered,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Checkpoint {
    /// Every checkpoint, in a message's order; only the answer may come at any time after the send.
    pub(crate) const ALL: [Self; 9] = [
        Self::Due,
        Self::Sent,
        Self::Api,
        Self::Queued,
        Self::Popped,
        Self::Published,
        Self::MqttClient,
        Self::Arrived,
        Self::Answered,
    ];

    /// Checkpoints whose stamps are in a Redis list.
    pub(crate) const STAMPED: [Self; 5] =
        [Self::Api, Self::Queued, Self::Popped, Self::Published, Self::MqttClient];

    /// The name in reports and in `--stages`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sent => "sent",
            Self::Api => "api",
            Self::Queued => "queued",
            Self::Popped => "popped",
            Self::Published => "published",
            Self::MqttClient => "mqttclient",
            Self::Arrived => "arrived",
            Self::Answered => "answered",
        }
    }

    /// The Redis list of its stamps, the original's where the original has one; `None` where this
    /// process takes the time itself.
    pub fn list(self) -> Option<&'static str> {
        match self {
            Self::Api => Some("apiserver"),
            Self::Queued => Some("apiserver:queued"),
            Self::Popped => Some("pushserver:popped"),
            Self::Published => Some("pushserver"),
            Self::MqttClient => Some("mqttclient"),
            Self::Due | Self::Sent | Self::Arrived | Self::Answered => None,
        }
    }

    /// The process that takes the time.
    pub(crate) fn process(self) -> &'static str {
        match self {
            Self::Due | Self::Sent | Self::Arrived | Self::Answered => "generator",
            Self::Api | Self::Queued => "api",
            Self::Popped | Self::Published => "push",
            Self::MqttClient => "mqttclient",
        }
    }

    fn named(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|checkpoint| checkpoint.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("'{name}' is not a checkpoint; there are {known}")
        })
    }
}

/// The time between two checkpoints: a row of the report's stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StagePair {
    /// The earlier checkpoint.
    pub from: Checkpoint,
    /// The later checkpoint.
    pub to: Checkpoint,
}

impl StagePair {
    /// The rows of a report that asks for no others.
    pub(crate) const DEFAULT: [Self; 10] = [
        Self::new(Checkpoint::Due, Checkpoint::Sent),
        Self::new(Checkpoint::Sent, Checkpoint::Api),
        Self::new(Checkpoint::Api, Checkpoint::Queued),
        Self::new(Checkpoint::Queued, Checkpoint::Popped),
        Self::new(Checkpoint::Popped, Checkpoint::Published),
        Self::new(Checkpoint::Published, Checkpoint::Arrived),
        Self::new(Checkpoint::Sent, Checkpoint::Arrived),
        Self::new(Checkpoint::Api, Checkpoint::Arrived),
        Self::new(Checkpoint::Api, Checkpoint::MqttClient),
        Self::new(Checkpoint::Sent, Checkpoint::Answered),
    ];

    /// Rows at the beginning of [`Self::DEFAULT`] that follow each other; later rows are sums.
    const PARTS: usize = 6;

    const fn new(from: Checkpoint, to: Checkpoint) -> Self {
        Self { from, to }
    }

    /// Returns true if different processes take the two times: then the clock's error bound counts.
    pub(crate) fn crosses_processes(self) -> bool {
        self.from.process() != self.to.process()
    }

    /// Returns true if the stage is one part of a message's way and not the sum of several.
    pub(crate) fn is_part(self) -> bool {
        Self::DEFAULT[..Self::PARTS].contains(&self)
    }
}

impl fmt::Display for StagePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.name(), self.to.name())
    }
}

impl FromStr for StagePair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((from, to)) = text.trim().split_once('-') else {
            return Err(format!("'{text}' is not a stage; write FROM-TO, such as api-arrived"));
        };
        let (from, to) = (Checkpoint::named(from.trim())?, Checkpoint::named(to.trim())?);
        if from == to {
            return Err(format!("'{text}' begins and ends at the same checkpoint"));
        }
        let is_answer = from == Checkpoint::Answered;
        if from > to && !is_answer || is_answer && to < Checkpoint::Api {
            return Err(format!(
                "'{text}' ends before it begins; write {}-{}",
                to.name(),
                from.name()
            ));
        }
        Ok(Self { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_by_the_names_of_their_checkpoints() {
        for pair in StagePair::DEFAULT {
            assert_eq!(pair.to_string().parse(), Ok(pair));
        }
        let pair: StagePair = "popped-mqttclient".parse().expect("two checkpoints");
        assert_eq!((pair.from, pair.to), (Checkpoint::Popped, Checkpoint::MqttClient));
        assert!("answered-arrived".parse::<StagePair>().is_ok(), "the answer may come before");
        for (text, part) in [
            (
                "nosuch-api",
                "'nosuch' is not a checkpoint; there are due, sent, api, queued, popped",
            ),
            ("api-subscriber", "'subscriber' is not a checkpoint"),
            ("api", "write FROM-TO"),
            ("api-api", "same checkpoint"),
            ("arrived-api", "write api-arrived"),
            ("answered-sent", "write sent-answered"),
        ] {
            let error = text.parse::<StagePair>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn only_times_of_one_process_need_no_common_clock() {
        let crosses: Vec<_> = StagePair::DEFAULT.map(StagePair::crosses_processes).to_vec();
        let expected = [false, true, false, true, false, true, false, true, true, false];
        assert_eq!(crosses, expected);
        let parts = StagePair::DEFAULT.into_iter().filter(|pair| pair.is_part()).count();
        assert_eq!(parts, 6);
    }
}
