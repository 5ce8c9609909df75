//! Limit of one line a second for each kind of message.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use log::Record;

use super::line::LogLine;

/// Shortest time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// Place in the source that logs. All messages from one place are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessageKind {
    module: Option<&'static str>,
    line: Option<u32>,
}

impl MessageKind {
    /// Returns the kind of a message.
    pub(super) fn of(record: &Record<'_>) -> Self {
        Self { module: record.module_path_static(), line: record.line() }
    }
}

/// The second after a line of one kind.
#[derive(Debug)]
struct Interval {
    ends: Instant,
    /// The first message of this second, which is written at its end with the number of later ones.
    held: Option<LogLine>,
}

/// The kinds that were written less than a second ago.
#[derive(Debug)]
pub(super) struct Throttle {
    intervals: BTreeMap<MessageKind, Interval>,
}

impl Throttle {
    pub(super) const fn new() -> Self {
        Self { intervals: BTreeMap::new() }
    }

    /// Takes a message, and returns the line to write now, if any. `line` is called only for a message whose text is
    /// kept.
    pub(super) fn admit(
        &mut self,
        kind: MessageKind,
        now: Instant,
        line: impl FnOnce() -> LogLine,
    ) -> Option<LogLine> {
        let Some(interval) = self.intervals.get_mut(&kind) else {
            self.intervals.insert(kind, Interval { ends: now + INTERVAL, held: None });
            return Some(line());
        };
        if now < interval.ends {
            match &mut interval.held {
                Some(held) => held.suppressed += 1,
                None => interval.held = Some(line()),
            }
            return None;
        }
        interval.ends = now + INTERVAL;
        match interval.held.take() {
            Some(held) => {
                interval.held = Some(line());
                Some(held)
            }
            None => Some(line()),
        }
    }

    /// Takes the held lines whose second is over.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<LogLine> {
        let mut due = Vec::new();
        self.intervals.retain(|_, interval| {
            if now < interval.ends {
                return true;
            }
            interval.ends = now + INTERVAL;
            let held = interval.held.take();
            let was_busy = held.is_some();
            due.extend(held);
            was_busy
        });
        due
    }

    /// Takes all held lines.
    pub(super) fn take_all(&mut self) -> Vec<LogLine> {
        self.intervals.values_mut().filter_map(|interval| interval.held.take()).collect()
    }

    /// Time at which the next held line is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let busy = self.intervals.values().filter(|interval| interval.held.is_some());
        busy.map(|interval| interval.ends).min()
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    const KIND: MessageKind = MessageKind { module: Some("loadgen::a"), line: Some(1) };
    const OTHER: MessageKind = MessageKind { module: Some("loadgen::a"), line: Some(2) };

    fn line(text: &str) -> LogLine {
        LogLine::new(Level::Warn, "loadgen::a", text)
    }

    fn suppressed(lines: &[LogLine]) -> Vec<u64> {
        lines.iter().map(|line| line.suppressed).collect()
    }

    #[test]
    fn a_kind_has_one_line_a_second_and_all_messages_are_counted() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        let mut written = Vec::new();
        for milli in 0..2_500 {
            let now = start + Duration::from_millis(milli);
            written.extend(throttle.admit(KIND, now, || line("full")));
            written.extend(throttle.take_due(now));
        }
        written.extend(throttle.take_all());
        assert_eq!(written.len(), 4, "{written:?}");
        let counted: u64 = written.iter().map(|line| 1 + line.suppressed).sum();
        assert_eq!(counted, 2_500);
    }

    #[test]
    fn the_second_message_appears_after_a_second_without_the_writer_too() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        let mut admit = |millis: u64| {
            let now = start + Duration::from_millis(millis);
            throttle.admit(KIND, now, || line("x")).map(|line| line.suppressed)
        };
        assert_eq!([admit(0), admit(1), admit(2), admit(3)], [Some(0), None, None, None]);
        assert_eq!([admit(1_100), admit(1_200)], [Some(2), None]);
    }

    #[test]
    fn other_kinds_and_messages_after_a_pause_are_written_at_once() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        assert!(throttle.admit(KIND, start, || line("a")).is_some());
        assert!(throttle.admit(OTHER, start, || line("b")).is_some());
        assert_eq!(throttle.next_due(), None);
        let later = start + Duration::from_secs(5);
        assert_eq!(suppressed(&throttle.take_due(later)), [0; 0]);
        assert!(throttle.intervals.is_empty(), "quiet kinds are forgotten");
        assert!(throttle.admit(KIND, later, || line("a")).is_some());
    }
}
