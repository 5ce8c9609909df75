//! Stamps: when a sampled message passed a component, in the log server's time, in the original's
//! lists and format, so that its tools read ours and ours read theirs.
//!
//! A stamp costs the hot path one push into a bounded buffer. A task puts them into the server's
//! time and writes them in batches; what did not fit is counted.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::metrics::Counter;
use crate::clock::{self, Nanos, ServerClock};
use crate::message::MsgId;
use crate::plan::Address;
use crate::stack::StackError;
use crate::stack::redis::{Link, Use, server_time};

/// A place that stamps. Its list is the original's where the original had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The api has the request's head.
    Api,
    /// Redis has confirmed the message.
    Queued,
    /// The push server has it.
    Popped,
    /// The push server hands it to the broker.
    Published,
    /// The subscriber has it.
    Arrived,
}

impl Place {
    /// All of them, in the message's order.
    pub const ALL: [Self; 5] =
        [Self::Api, Self::Queued, Self::Popped, Self::Published, Self::Arrived];

    /// The Redis list of its stamps.
    pub fn list(self) -> &'static str {
        match self {
            Self::Api => "apiserver",
            Self::Queued => "apiserver:queued",
            Self::Popped => "pushserver:popped",
            Self::Published => "pushserver",
            Self::Arrived => "mqttclient",
        }
    }

    /// The report's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Queued => "queued",
            Self::Popped => "popped",
            Self::Published => "published",
            Self::Arrived => "arrived",
        }
    }
}

/// An element of a stamp list: `{"id":12000,"time":"1426087754.105100"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The message.
    pub id: u64,
    /// Seconds and six digits of microseconds since 1970, in the log server's time.
    pub time: String,
}

impl Stamp {
    /// The stamp of a message that passed at `server_us`, microseconds since 1970.
    pub fn new(id: MsgId, server_us: u64) -> Self {
        let time = format!("{}.{:06}", server_us / 1_000_000, server_us % 1_000_000);
        Self { id: id.get(), time }
    }

    /// The time in microseconds since 1970; `None` if it is not of the format.
    pub fn server_us(&self) -> Option<u64> {
        let (seconds, micros) = self.time.split_once('.')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if micros.len() != 6 || !digits(seconds) || !digits(micros) {
            return None;
        }
        seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)
    }
}

/// Stamps that wait to be written. At 1 in 100 that is minutes of a full load.
const BUFFER: usize = 65_536;
/// How long a stamp waits for others at most.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// How often the clock is compared with the server's, and how many round trips that takes.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
const TRIPS_AT_START: usize = 16;
const TRIPS: usize = 3;
/// How long the last stamps may take to be written when the service stops.
const LAST_FLUSH: Duration = Duration::from_millis(500);

/// What a stamper notes: the message passed the place at that point of the monotonic clock.
pub type Passage = (Place, MsgId, Nanos);

/// The handle of the hot path. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stamper {
    sample: u64,
    buffer: mpsc::Sender<Passage>,
    dropped: Arc<Counter>,
}

impl Stamper {
    /// A stamper of one message in `sample` (at least 1), and what it notes, for a writer of one's
    /// own; [`start`] brings the one that writes to Redis.
    pub fn new(sample: u64) -> (Self, mpsc::Receiver<Passage>) {
        let (buffer, passages) = mpsc::channel(BUFFER);
        (Self { sample, buffer, dropped: Arc::default() }, passages)
    }

    /// Whether this message is stamped.
    pub fn wants(&self, id: MsgId) -> bool {
        id.is_sampled(self.sample)
    }

    /// Notes that a sampled message passed `place` at `at`. Never waits.
    pub fn stamp(&self, place: Place, id: MsgId, at: Nanos) {
        if self.wants(id) && self.buffer.try_send((place, id, at)).is_err() {
            self.dropped.add(1);
        }
    }

    /// Stamps that did not fit into the buffer or could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

/// The writing task; ends when all stampers are gone and the rest is written.
pub type StampWriter = JoinHandle<()>;

/// The list that holds one number: how many microseconds the clock of a stamping process may be wrong by.
pub fn clock_list(role: &str) -> String {
    format!("loadgen:clock:{role}")
}

/// Starts the writing task on the current runtime. One message in `sample` is stamped; `role` is the
/// component in whose name the clock's error bound is published.
pub async fn start(
    log_server: &Address,
    sample: u64,
    role: &'static str,
) -> Result<(Stamper, StampWriter), StackError> {
    let link = Link::open(log_server.clone(), Use::Commands).await?;
    let (stamper, passages) = Stamper::new(sample);
    let clock = ServerClock::new(log_server.is_loopback());
    let writer = Writer { link, clock, role, dropped: Arc::clone(&stamper.dropped) };
    let task = tokio::spawn(writer.run(passages));
    Ok((stamper, task))
}

struct Writer {
    link: Link,
    clock: ServerClock,
    role: &'static str,
    dropped: Arc<Counter>,
}

impl Writer {
    async fn run(mut self, mut stamps: mpsc::Receiver<Passage>) {
        let mut batch = Vec::new();
        self.compare(TRIPS_AT_START).await;
        let mut compare_at = Instant::now() + COMPARE_EVERY;
        loop {
            tokio::select! {
                count = stamps.recv_many(&mut batch, BUFFER) => if count == 0 { return },
                () = tokio::time::sleep_until(compare_at) => {}
            }
            if Instant::now() >= compare_at {
                self.compare(TRIPS).await;
                compare_at = Instant::now() + COMPARE_EVERY;
            }
            if batch.is_empty() {
                continue;
            }
            // Let others join; at the end of the service there are none to wait for.
            if !stamps.is_closed() {
                tokio::time::sleep(FLUSH_EVERY).await;
            }
            while let Ok(stamp) = stamps.try_recv() {
                batch.push(stamp);
            }
            let written = match stamps.is_closed() {
                true => timeout(LAST_FLUSH, self.write(&batch)).await.unwrap_or(false),
                false => self.write(&batch).await,
            };
            if !written {
                self.dropped.add(batch.len() as u64);
            }
            batch.clear();
        }
    }

    async fn compare(&mut self, trips: usize) {
        for _ in 0..trips {
            let Some(connection) = self.link.get().await else { return };
            match server_time(connection).await {
                Ok((asked, answered, server_us)) => self.clock.observe(asked, answered, server_us),
                Err(error) => return self.link.failed(&error),
            }
        }
        self.publish_bound().await;
    }

    /// Who joins stamps of several processes needs to know what each one's clock is worth.
    async fn publish_bound(&mut self) {
        let Some(bound) = self.clock.error_bound(clock::now()) else { return };
        let Some(connection) = self.link.get().await else { return };
        let list = clock_list(self.role);
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(&list).ignore();
        pipeline.cmd("RPUSH").arg(&list).arg(bound.0.div_ceil(1_000)).ignore();
        if let Err(error) = pipeline.query_async::<()>(connection).await {
            self.link.failed(&error);
        }
    }

    /// Whether all of the batch is in Redis.
    async fn write(&mut self, batch: &[Passage]) -> bool {
        if self.clock.offset_us().is_none() {
            self.compare(TRIPS_AT_START).await;
        }
        let mut pipeline = redis::pipe();
        for place in Place::ALL {
            let mut command = redis::cmd("RPUSH");
            command.arg(place.list());
            let mut any = false;
            for (_, id, at) in batch.iter().filter(|(p, ..)| *p == place) {
                let Some(server_us) = self.clock.server_micros(*at) else { return false };
                let Ok(text) = serde_json::to_string(&Stamp::new(*id, server_us)) else { continue };
                command.arg(text);
                any = true;
            }
            if any {
                pipeline.add_command(command).ignore();
            }
        }
        let Some(connection) = self.link.get().await else { return false };
        match pipeline.query_async::<()>(connection).await {
            Ok(()) => true,
            Err(error) => {
                self.link.failed(&error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_originals() {
        let stamp = Stamp::new(MsgId::new(12_000).expect("small"), 1_426_087_754_105_100);
        let text = serde_json::to_string(&stamp).expect("plain data");
        assert_eq!(text, r#"{"id":12000,"time":"1426087754.105100"}"#);
        let back: Stamp = serde_json::from_str(&text).expect("our own");
        assert_eq!(back.server_us(), Some(1_426_087_754_105_100));
        assert_eq!(Stamp::new(MsgId::new(1).expect("small"), 5_000_007).time, "5.000007");
    }

    #[test]
    fn other_times_are_not_misread() {
        for time in [
            "",
            "5",
            "5.1",
            "5.0000001",
            "-5.000000",
            "5.00000x",
            "99999999999999999999.000000",
            "1.+00001",
        ] {
            let stamp = Stamp { id: 1, time: time.to_owned() };
            assert_eq!(stamp.server_us(), None, "{time}");
        }
    }
}
