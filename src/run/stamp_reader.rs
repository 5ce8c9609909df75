//! Reading the stamp lists as they grow.

mod pushed;

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult};

use super::list_ends::{Element, ListEnds, ListView, LookResult, MARKS, MOST_WINDOW};
use super::stages::StageJoin;
use crate::core::clock::{Nanos, ServerClock};
use crate::message::{Checkpoint, MsgId};
use crate::pipeline::servers::redis::describe;
use crate::pipeline::stamps::{Stamp, shape};
use crate::report::StampList;
use crate::report::remark::{ServerNote, StampUnit};
use pushed::PushedStamps;

/// Stamps after which it is not by chance that all are whole milliseconds.
const ENOUGH_STAMPS: u64 = 3;

/// Looks at one list in a row: each is wider than the one before.
const MOST_LOOKS: usize = 20;

/// One stamp list.
#[derive(Debug)]
struct ListReader {
    checkpoint: Checkpoint,
    name: &'static str,
    ends: ListEnds,
    count: StampList,
    /// The form of the first element that is not a stamp.
    unreadable: Option<String>,
    /// The unit in which the times of the stamps are whole numbers.
    unit: StampUnit,
    /// Error of Redis, if it refused to read the list: it is not read again.
    refused: Option<String>,
}

/// Reads the stamp lists from both ends: the original and its clients push to the head, others to the
/// tail.
#[derive(Debug)]
pub(super) struct StampReader {
    lists: Vec<ListReader>,
    pushed: PushedStamps,
    /// True while length and elements are of one moment. A user without the right to `MULTI` and the
    /// embedded queue, which does not know it, take them one after the other.
    atomic: bool,
    /// The connection was lost since the last reading.
    rewind: bool,
}

impl StampReader {
    /// Begins behind the elements that are in the lists already. An error if the connection is lost; refusals of
    /// Redis are in the notes.
    pub(super) async fn new(redis: &mut MultiplexedConnection) -> RedisResult<Self> {
        let lists = Checkpoint::stamped()
            .filter_map(|checkpoint: Checkpoint| {
                Some(ListReader {
                    checkpoint,
                    name: checkpoint.list()?,
                    ends: ListEnds::default(),
                    count: StampList::new(checkpoint),
                    unreadable: None,
                    unit: StampUnit::Second,
                    refused: None,
                })
            })
            .collect();
        let mut reader = Self { lists, pushed: PushedStamps::none(), atomic: true, rewind: false };
        for n in 0..reader.lists.len() {
            if let Some(view) = reader.view(redis, n, MARKS).await? {
                reader.lists[n].ends = ListEnds::behind(&view);
            }
        }
        let names = reader.lists.iter().map(|list| list.name);
        reader.pushed = PushedStamps::begin(redis, names).await?;
        Ok(reader)
    }

    /// Takes in that Redis was away: a list that does not fit its last state is read from the beginning. A stamp that
    /// is read twice is joined once.
    pub(super) fn rewind(&mut self) {
        self.rewind = true;
    }

    /// Reads the stamps that are new.
    pub(super) async fn read(
        &mut self,
        redis: &mut MultiplexedConnection,
        source: StampClock<'_>,
        join: &mut StageJoin,
    ) -> RedisResult<()> {
        self.pushed.read(redis).await?;
        for n in 0..self.lists.len() {
            for element in self.new_elements(redis, n).await? {
                self.lists[n].add(&element, source, join);
            }
            let list = &mut self.lists[n];
            list.count.unread = self.pushed.of(n).saturating_sub(list.count.read);
        }
        self.rewind = false;
        Ok(())
    }

    async fn new_elements(
        &mut self,
        redis: &mut MultiplexedConnection,
        n: usize,
    ) -> RedisResult<Vec<Element>> {
        let mut window = self.lists[n].ends.window();
        for _ in 0..MOST_LOOKS {
            let Some(view) = self.view(redis, n, window).await? else { break };
            match self.lists[n].ends.look(&view, self.rewind) {
                LookResult::New(elements) => return Ok(elements),
                LookResult::Widen(wider) => window = wider,
            }
        }
        Ok(Vec::new())
    }

    /// The length and both ends of a list; `None` where Redis refuses it.
    async fn view(
        &mut self,
        redis: &mut MultiplexedConnection,
        n: usize,
        window: usize,
    ) -> RedisResult<Option<ListView>> {
        if self.lists[n].refused.is_some() {
            return Ok(None);
        }
        let name = self.lists[n].name;
        let mut answer = ask(redis, name, window, self.atomic).await;
        if self.atomic && answer.as_ref().is_err_and(is_refusal) {
            let again = ask(redis, name, window, false).await;
            // A list of another kind is refused either way.
            self.atomic = again.as_ref().is_err_and(is_refusal);
            answer = again;
        }
        match answer {
            Ok(view) => Ok(Some(view)),
            Err(error) if is_refusal(&error) => {
                self.lists[n].refused = Some(describe(&error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The counts of each list.
    pub(super) fn counts(&self) -> Vec<StampList> {
        self.lists.iter().map(|list| list.count.clone()).collect()
    }

    /// Notes on lists that could not be read in full, and on coarse times. A run without sampled
    /// messages expects only stamps of others, and does not note them.
    pub(super) fn notes(&self, has_samples: bool) -> Vec<ServerNote> {
        let mut notes = self.refusals();
        notes.extend(self.lists.iter().flat_map(|list| list.notes(has_samples)));
        notes
    }

    /// A note for each refusal, with the lists that it is about.
    fn refusals(&self) -> Vec<ServerNote> {
        let mut lists: BTreeMap<&String, Vec<&'static str>> = BTreeMap::new();
        for list in &self.lists {
            if let Some(refused) = &list.refused {
                lists.entry(refused).or_default().push(list.name);
            }
        }
        let mut notes = Vec::new();
        for (refused, lists) in lists {
            notes.push(ServerNote::StampsDenied { lists, refused: refused.clone() });
        }
        notes
    }
}

/// The coarsest unit in which a time is a whole number.
fn unit_of(micros: u64) -> StampUnit {
    if micros.is_multiple_of(1_000_000) {
        StampUnit::Second
    } else if micros.is_multiple_of(1_000) {
        StampUnit::Millisecond
    } else {
        StampUnit::Microsecond
    }
}

/// The clock that converts a stamp's time, and the time of reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct StampClock<'a> {
    pub(super) clock: &'a ServerClock,
    pub(super) now: Nanos,
}

impl ListReader {
    fn add(&mut self, element: &[u8], source: StampClock<'_>, join: &mut StageJoin) {
        self.count.read += 1;
        let Some((id, server_us)) = Stamp::read(element) else {
            self.count.unreadable += 1;
            self.unreadable.get_or_insert_with(|| shape(element));
            return;
        };
        let Some(id) = MsgId::new(id).filter(|id| join.is_ours(*id)) else {
            self.count.foreign += 1;
            return;
        };
        self.count.joined += 1;
        self.unit = self.unit.min(unit_of(server_us));
        match source.clock.monotonic(server_us, source.now) {
            Some(at) => _ = join.add_stamp(self.checkpoint, id, at),
            // The server's time was never read: a note of its own says why.
            None if source.clock.offset_us().is_none() => {}
            None => join.doubt(id),
        }
    }

    /// The note on times that are too coarse for the stages.
    fn unit_note(&self) -> Option<ServerNote> {
        let is_coarse = self.count.joined >= ENOUGH_STAMPS && self.unit > StampUnit::Microsecond;
        is_coarse.then_some(ServerNote::StampsCoarse { list: self.name, unit: self.unit })
    }

    fn notes(&self, has_samples: bool) -> Vec<ServerNote> {
        let (list, count) = (self.name, &self.count);
        let mut notes = Vec::new();
        if let Some(form) = &self.unreadable {
            notes.push(ServerNote::StampsUnreadable {
                list,
                unreadable: count.unreadable,
                read: count.read,
                form: form.clone(),
            });
        }
        if self.ends.has_skipped() {
            notes.push(ServerNote::StampsSkipped { list, window: MOST_WINDOW as u64 });
        }
        if count.unread > 0 && self.refused.is_none() {
            notes.push(ServerNote::StampsGone { list, unread: count.unread });
        }
        if has_samples && count.foreign > 0 && count.joined == 0 {
            notes.push(ServerNote::StampsForeign { list, read: count.read - count.unreadable });
        }
        notes.extend(self.unit_note());
        notes
    }
}

/// Returns true if Redis refused the command over a connection that works.
fn is_refusal(error: &RedisError) -> bool {
    let is_lost = error.is_unrecoverable_error() || error.is_timeout();
    !is_lost && error.kind() != ErrorKind::Io
}

/// Length and both ends of a list.
type Ends = (usize, Vec<Element>, Vec<Element>);

async fn ask(
    redis: &mut MultiplexedConnection,
    list: &str,
    window: usize,
    atomic: bool,
) -> RedisResult<ListView> {
    let mut commands = [redis::cmd("LLEN"), redis::cmd("LRANGE"), redis::cmd("LRANGE")];
    commands[0].arg(list);
    commands[1].arg(list).arg(0).arg(window - 1);
    commands[2].arg(list).arg(-(window as i64)).arg(-1);
    let mut pipeline = Pipeline::new();
    let (len, head, tail): Ends = if atomic {
        // Not by the library's transactions: it panics where MULTI is refused.
        pipeline.cmd("MULTI").ignore();
        for command in commands {
            pipeline.add_command(command).ignore();
        }
        pipeline.cmd("EXEC");
        let (ends,): (Ends,) = pipeline.query_async(redis).await?;
        ends
    } else {
        for command in commands {
            pipeline.add_command(command);
        }
        pipeline.query_async(redis).await?
    };
    if head.len() < window {
        // The whole list. Taken one after the other, its parts may be of different moments.
        return Ok(ListView { len: head.len(), tail: head.clone(), head });
    }
    Ok(ListView { len: len.max(head.len()), head, tail })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{IdSpace, StagePair};

    fn texts(notes: &[ServerNote]) -> Vec<String> {
        notes.iter().map(ServerNote::to_string).collect()
    }

    /// A clock that was compared, a run with the ids from 100 on, and a list.
    fn reading() -> (ServerClock, StageJoin, ListReader) {
        let mut clock = ServerClock::new(true);
        clock.observe(Nanos(1_000), Nanos(1_000), 5_000_000);
        let space = IdSpace::from_authority(100, 1, 100);
        let join = StageJoin::new(space, &StagePair::DEFAULT, Nanos::from_secs(5));
        let list = ListReader {
            checkpoint: Checkpoint::Api,
            name: "apiserver",
            ends: ListEnds::default(),
            count: StampList::new(Checkpoint::Api),
            unreadable: None,
            unit: StampUnit::Second,
            refused: None,
        };
        (clock, join, list)
    }

    #[test]
    fn every_element_is_counted_as_joined_foreign_or_unreadable() {
        let (clock, mut join, mut list) = reading();
        let source = StampClock { clock: &clock, now: Nanos::from_secs(9) };
        assert!(list.notes(true).is_empty());
        list.add(br#"{"id":0,"time":"5.000002"}"#, source, &mut join);
        assert!(list.notes(false).is_empty(), "no message of the run was sampled");
        let notes = texts(&list.notes(true));
        assert!(
            notes[0].contains("none of the 1 stamps in the Redis list 'apiserver'"),
            "{notes:?}"
        );
        for element in [
            r#"{"id":100,"time":"5.000002"}"#,
            r#"{"id":200,"time":5.1}"#,
            r#"{"id":300,"time":"soon"}"#,
            r#"{"id":9007199254740992,"time":"5.000002"}"#,
            "x",
        ] {
            list.add(element.as_bytes(), source, &mut join);
        }
        let count = &list.count;
        assert_eq!((count.read, count.joined), (6, 2));
        assert_eq!((count.foreign, count.unreadable), (2, 2));
        let [note] = &texts(&list.notes(true))[..] else { panic!("one") };
        assert!(note.starts_with("2 of 6 stamps in the Redis list 'apiserver' cannot be read"));
        assert!(note.contains(r#"{"id":integer,"time":"aaaa"}"#), "{note}");
    }

    #[test]
    fn stamps_in_whole_milliseconds_or_seconds_are_noted() {
        for (times, unit) in [
            (&["5.001", "5.020", "5.3"][..], Some("in whole milliseconds")),
            (&["5", "6", "7"], Some("in whole seconds")),
            (&["5.001", "5.002", "5.000003", "5.004"], None),
            // Too few to tell.
            (&["5.001", "5.002"], None),
        ] {
            let (clock, mut join, mut list) = reading();
            let source = StampClock { clock: &clock, now: Nanos::from_secs(9) };
            for time in times {
                let element = format!(r#"{{"id":100,"time":{time}}}"#);
                list.add(element.as_bytes(), source, &mut join);
            }
            let notes = texts(&list.notes(true));
            assert_eq!(notes.len(), usize::from(unit.is_some()), "{times:?}: {notes:?}");
            assert!(unit.is_none_or(|unit| notes[0].contains(unit)), "{notes:?}");
        }
    }
}
