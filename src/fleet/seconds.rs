//! The seconds of a fleet: the histograms of all nodes added, so that their percentiles are exact.

use std::collections::{BTreeMap, BTreeSet};

use super::heartbeat::{Heartbeat, NodeSecond, NodeState};
use crate::core::distribution::{HdrError, Latencies, micros};
use crate::report::Row;

/// A second that not all nodes have reported yet.
#[derive(Debug, Default)]
struct OpenSecond {
    /// Ranks whose seconds are in it.
    ranks: BTreeSet<u64>,
    row: Row,
    response: Latencies,
    arrival: Latencies,
}

/// Sums of the nodes' seconds. They are closed in their order.
#[derive(Debug, Default)]
pub(super) struct FleetSeconds {
    open: BTreeMap<u64, OpenSecond>,
    /// Index of the first second that is not closed.
    next: u64,
}

impl FleetSeconds {
    /// Sums of the seconds from `next` on; those before it are closed.
    pub(super) fn beginning_at(next: u64) -> Self {
        Self { open: BTreeMap::new(), next }
    }

    /// Adds the seconds of a node's heartbeat that are not in the sums yet.
    pub(super) fn add(&mut self, rank: u64, heartbeat: &Heartbeat) -> Result<(), HdrError> {
        for second in &heartbeat.seconds {
            if second.index >= self.next {
                self.add_second(rank, second)?;
            }
        }
        Ok(())
    }

    fn add_second(&mut self, rank: u64, second: &NodeSecond) -> Result<(), HdrError> {
        let open = self.open.entry(second.index).or_default();
        if !open.ranks.insert(rank) {
            return Ok(());
        }
        open.response.merge(&Latencies::from_hdr(&second.response)?);
        open.arrival.merge(&Latencies::from_hdr(&second.arrival)?);
        let (sum, row) = (&mut open.row, &second.row);
        sum.t_s = row.t_s;
        sum.sent += row.sent;
        sum.completed += row.completed;
        sum.failed += row.failed;
        sum.arrived += row.arrived;
        sum.in_flight += row.in_flight;
        // All nodes read the depth of the same queue.
        sum.queue_depth = sum.queue_depth.max(row.queue_depth);
        Ok(())
    }

    /// Closes the seconds that each node has reported, or will not report: it is done, or not in `live`.
    pub(super) fn close_complete(&mut self, live: &BTreeMap<u64, &Heartbeat>) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some(open) = self.open.get(&self.next) {
            let lacks = |(rank, node): (&u64, &&Heartbeat)| {
                node.state != NodeState::Done && !open.ranks.contains(rank)
            };
            if live.iter().any(lacks) {
                break;
            }
            rows.extend(self.close_next());
        }
        rows
    }

    /// Closes all seconds.
    pub(super) fn close_all(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some(index) = self.open.keys().next() {
            self.next = *index;
            rows.extend(self.close_next());
        }
        rows
    }

    fn close_next(&mut self) -> Option<Row> {
        let OpenSecond { row, response, arrival, .. } = self.open.remove(&self.next)?;
        self.next += 1;
        Some(Row {
            response_p50: response.row_quantile(0.5).map(micros),
            response_p99: response.row_quantile(0.99).map(micros),
            arrival_p50: arrival.row_quantile(0.5).map(micros),
            arrival_p99: arrival.row_quantile(0.99).map(micros),
            ..row
        })
    }
}

/// Index of the second after a row.
pub(super) fn index_after(row: &Row) -> u64 {
    row.t_s.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::Nanos;

    /// A heartbeat with seconds, of which each has `sent` answers of so many milliseconds.
    fn heartbeat(state: NodeState, seconds: &[(u64, u64, u64)]) -> Heartbeat {
        let mut all = Vec::new();
        for (index, sent, ms) in seconds {
            let mut response = Latencies::default();
            response.record_n(Nanos::from_millis(*ms), *sent);
            all.push(NodeSecond {
                index: *index,
                row: Row { t_s: (index + 1) as f64, sent: *sent, ..Row::default() },
                response: response.to_hdr(),
                arrival: Latencies::default().to_hdr(),
            });
        }
        Heartbeat { state, seconds: all, ..Heartbeat::default() }
    }

    #[test]
    fn percentiles_of_a_second_are_those_of_all_values() {
        let mut seconds = FleetSeconds::default();
        let fast = heartbeat(NodeState::Measuring, &[(0, 900, 1), (1, 900, 1)]);
        let slow = heartbeat(NodeState::Measuring, &[(0, 100, 9)]);
        let live = BTreeMap::from([(0, &fast), (1, &slow)]);
        for (rank, node) in &live {
            seconds.add(*rank, node).expect("histograms of ours");
            // The same heartbeat may be read twice.
            seconds.add(*rank, node).expect("histograms of ours");
        }
        let rows = seconds.close_complete(&live);
        let [row] = &rows[..] else { panic!("the second one is not complete: {rows:?}") };
        assert_eq!((row.sent, index_after(row)), (1_000, 1));
        let millis = |value: Option<f64>| value.map(|micros| (micros / 1e3).round());
        assert_eq!((millis(row.response_p50), millis(row.response_p99)), (Some(1.0), Some(9.0)));
        let done = heartbeat(NodeState::Done, &[(0, 100, 9)]);
        let rest = seconds.close_complete(&BTreeMap::from([(0, &fast), (1, &done)]));
        assert_eq!(rest.iter().map(|row| row.sent).collect::<Vec<_>>(), [900]);
    }

    #[test]
    fn a_node_that_is_lost_does_not_hold_up_the_others() {
        let mut seconds = FleetSeconds::beginning_at(5);
        let node = heartbeat(NodeState::Measuring, &[(4, 1, 1), (5, 2, 1), (6, 3, 1)]);
        let lost = heartbeat(NodeState::Measuring, &[(5, 10, 1)]);
        seconds.add(0, &node).expect("histograms of ours");
        seconds.add(1, &lost).expect("histograms of ours");
        let sent = |rows: Vec<Row>| rows.iter().map(|row| row.sent).collect::<Vec<_>>();
        assert_eq!(sent(seconds.close_complete(&BTreeMap::from([(0, &node)]))), [12, 3]);
        seconds.add(0, &heartbeat(NodeState::Measuring, &[(9, 4, 1)])).expect("histograms of ours");
        assert_eq!(sent(seconds.close_all()), [4]);
    }
}
