//! Messages that a broker delivers, recorded by `mosquitto_sub`, which is independent of loadgen.

use serde_json::Value;

use super::{Mosquitto, Process, eventually};

/// Topic of the marks, beside that of the messages.
const MARKS: &str = "/marks";

/// Records every message of a topic.
#[derive(Debug)]
pub(crate) struct Recorder {
    process: Process,
}

impl Recorder {
    /// Subscribes, and returns after the first mark has arrived.
    pub(crate) fn start(broker: &Mosquitto, topic: &str) -> Self {
        let mut command = broker.client("mosquitto_sub");
        command.args(["-q", "1", "-t", topic, "-t", MARKS]);
        let recorder = Self { process: Process::start("mosquitto_sub", &mut command) };
        eventually("the recorder's subscription", || {
            broker.publish(MARKS, "mark");
            (!recorder.process.stdout().is_empty()).then_some(())
        });
        recorder
    }

    /// Payloads so far, without the marks.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let text = self.process.stdout();
        text.lines().filter(|line| *line != "mark" && *line != "last").map(str::to_owned).collect()
    }

    /// MsgIDs of all messages that the broker has received, in order.
    pub(crate) fn ids(&self, broker: &Mosquitto) -> Vec<u64> {
        // A broker keeps the order, so all earlier messages come before this mark.
        broker.publish(MARKS, "last");
        let has_last = || self.process.stdout().lines().any(|line| line == "last").then_some(());
        eventually("the last mark", has_last);
        self.payloads().iter().map(|payload| msg_id(payload)).collect()
    }
}

fn msg_id(payload: &str) -> u64 {
    let message: Value = serde_json::from_str(payload).expect("a message is JSON");
    message["MsgID"].as_u64().unwrap_or_else(|| panic!("no MsgID: {payload}"))
}

/// A subscription that the broker keeps while its client is not connected.
#[derive(Debug)]
pub(crate) struct Durable {
    topic: &'static str,
}

impl Durable {
    pub(crate) fn subscribe(broker: &Mosquitto, topic: &'static str) -> Self {
        let durable = Self { topic };
        let finished = durable.connect(broker, &["-E"]).finish();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        durable
    }

    fn connect(&self, broker: &Mosquitto, words: &[&str]) -> Process {
        let mut command = broker.client("mosquitto_sub");
        command.args(["-c", "-i", "durable", "-q", "1", "-t", self.topic]).args(words);
        Process::start("mosquitto_sub", &mut command)
    }

    /// Takes `count` messages; fewer if no more come for a while.
    pub(crate) fn take(&self, broker: &Mosquitto, count: usize) -> Vec<String> {
        let process = self.connect(broker, &["-C", &count.to_string(), "-W", "10"]);
        process.finish().stdout.lines().map(str::to_owned).collect()
    }
}
