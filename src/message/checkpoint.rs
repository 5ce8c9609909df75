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
    /// The plan's time for it.
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

/// Process that takes the time of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// The generator, with its subscriber.
    Generator,
    /// The api.
    Api,
    /// The push server.
    Push,
    /// The MQTT client under test.
    MqttClient,
}

/// Properties of a checkpoint.
struct CheckpointInfo {
    checkpoint: Checkpoint,
    /// Name in reports and in `--stages`.
    name: &'static str,
    process: Process,
    /// Redis list of its stamps, unless the generator takes the time.
    list: Option<&'static str>,
    /// True if each message passes it after the one before.
    in_sequence: bool,
}

/// Time that the generator takes itself.
const fn own(checkpoint: Checkpoint, name: &'static str) -> CheckpointInfo {
    let in_sequence = !matches!(checkpoint, Checkpoint::Answered);
    CheckpointInfo { checkpoint, name, process: Process::Generator, list: None, in_sequence }
}

/// Time that a service of the pipeline stamps.
const fn stamped(
    checkpoint: Checkpoint,
    name: &'static str,
    process: Process,
    list: &'static str,
) -> CheckpointInfo {
    CheckpointInfo { checkpoint, name, process, list: Some(list), in_sequence: true }
}

/// All checkpoints, in the order of [`Checkpoint`].
const CHECKPOINTS: [CheckpointInfo; 9] = [
    own(Checkpoint::Due, "due"),
    own(Checkpoint::Sent, "sent"),
    stamped(Checkpoint::Api, "api", Process::Api, "apiserver"),
    stamped(Checkpoint::Queued, "queued", Process::Api, "apiserver:queued"),
    stamped(Checkpoint::Popped, "popped", Process::Push, "pushserver:popped"),
    stamped(Checkpoint::Published, "published", Process::Push, "pushserver"),
    CheckpointInfo {
        checkpoint: Checkpoint::MqttClient,
        name: "mqttclient",
        process: Process::MqttClient,
        list: Some("mqttclient"),
        // Most pipelines have no such client, and it receives a message beside our subscriber.
        in_sequence: false,
    },
    own(Checkpoint::Arrived, "arrived"),
    own(Checkpoint::Answered, "answered"),
];

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Checkpoint {
    /// All checkpoints, in the order in which a message passes them. Only the answer may come at any time after
    /// the send.
    pub(crate) const ALL: [Self; CHECKPOINTS.len()] = {
        let mut all = [Self::Due; CHECKPOINTS.len()];
        let mut n = 0;
        while n < all.len() {
            all[n] = CHECKPOINTS[n].checkpoint;
            n += 1;
        }
        all
    };

    /// Returns the checkpoints whose stamps are in a Redis list, in order.
    pub(crate) fn stamped() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|checkpoint| checkpoint.list().is_some())
    }

    const fn info(self) -> &'static CheckpointInfo {
        &CHECKPOINTS[self as usize]
    }

    /// Name in reports and in `--stages`.
    pub(crate) fn name(self) -> &'static str {
        self.info().name
    }

    /// Redis list of the stamps, with the original's name if the original has one; `None` if this process takes
    /// the time itself.
    pub(crate) fn list(self) -> Option<&'static str> {
        self.info().list
    }

    /// Process that takes the time.
    pub(crate) fn process(self) -> Process {
        self.info().process
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
    /// Rows of a report unless `--stages` names others: the parts of a message's way, then sums of them.
    pub(crate) const DEFAULT: [Self; PARTS.len() + SUMS.len()] = {
        let mut rows = [PARTS[0]; PARTS.len() + SUMS.len()];
        let mut n = 0;
        while n < rows.len() {
            rows[n] = if n < PARTS.len() { PARTS[n] } else { SUMS[n - PARTS.len()] };
            n += 1;
        }
        rows
    };

    const fn new(from: Checkpoint, to: Checkpoint) -> Self {
        Self { from, to }
    }

    /// Returns true if different processes take the two times: then the clock's error bound counts.
    pub(crate) fn crosses_processes(self) -> bool {
        self.from.process() != self.to.process()
    }

    /// Returns true if the stage is one part of a message's way and not the sum of several.
    pub(crate) fn is_part(self) -> bool {
        PARTS.contains(&self)
    }
}

/// Stages between each checkpoint of the sequence and the next one.
const PARTS: [StagePair; parts()] = {
    let mut parts = [StagePair::new(Checkpoint::Due, Checkpoint::Sent); parts()];
    let (mut from, mut to, mut count) = (0, 1, 0);
    while to < CHECKPOINTS.len() {
        if CHECKPOINTS[to].in_sequence {
            parts[count] = StagePair::new(CHECKPOINTS[from].checkpoint, CHECKPOINTS[to].checkpoint);
            from = to;
            count += 1;
        }
        to += 1;
    }
    parts
};

/// Number of stages between the checkpoints of the sequence.
const fn parts() -> usize {
    let (mut n, mut in_sequence) = (0, 0);
    while n < CHECKPOINTS.len() {
        if CHECKPOINTS[n].in_sequence {
            in_sequence += 1;
        }
        n += 1;
    }
    in_sequence - 1
}

/// Stages that a report lists besides the parts.
const SUMS: [StagePair; 4] = [
    StagePair::new(Checkpoint::Sent, Checkpoint::Arrived),
    StagePair::new(Checkpoint::Api, Checkpoint::Arrived),
    StagePair::new(Checkpoint::Api, Checkpoint::MqttClient),
    StagePair::new(Checkpoint::Sent, Checkpoint::Answered),
];

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
    fn the_table_of_checkpoints_is_in_the_order_of_the_enum() {
        for (n, checkpoint) in Checkpoint::ALL.into_iter().enumerate() {
            assert_eq!(checkpoint as usize, n);
            let json = serde_json::to_string(&checkpoint).expect("a word");
            assert_eq!(json, format!("\"{}\"", checkpoint.name()));
        }
        let rows = StagePair::DEFAULT.map(|pair| pair.to_string());
        assert_eq!(
            rows,
            [
                "due-sent",
                "sent-api",
                "api-queued",
                "queued-popped",
                "popped-published",
                "published-arrived",
                "sent-arrived",
                "api-arrived",
                "api-mqttclient",
                "sent-answered",
            ]
        );
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
