//! The connection that takes messages off the Redis list, many at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};
use tokio::time::timeout;

use super::redis_list::RedisList;
use super::{Batching, GivenBack, QueueReader, ReadCounts};
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use, connect};

/// Most messages that are asked for at a time: those that Redis has given away no longer count in its queue.
const BATCH: usize = 512;

/// Most pops that wait at Redis at a time, where they may be asked for ahead. Redis begins the next one as
/// soon as one is answered. Half of them go out with one write, which wakes Redis once.
const AHEAD: usize = 8;

/// Seconds within which Redis answers all that it was asked for, even if the list stays empty.
const PATIENCE: f64 = 0.25;

/// Pause before the next attempt while Redis is away.
const AWAY: Duration = Duration::from_millis(50);

/// Time without an answer after which a second connection is tried. All pops end within a second.
const SILENCE: Duration = Duration::from_secs(10);

/// Time allowed for putting messages back.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_millis(600);

/// Time that a silent connection still has if Redis answers on another one, or if this process was stopped: its
/// answers may be in the socket already.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Commands for taking messages, the best first: not every server knows all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Redis 7: blocks and takes many.
    Blmpop,
    /// Redis 6.2: blocks for one, then takes the rest.
    BrpopThenRpop,
    /// Older: one by one.
    Brpop,
}

impl Dialect {
    fn older(self) -> Option<Self> {
        match self {
            Self::Blmpop => Some(Self::BrpopThenRpop),
            Self::BrpopThenRpop => Some(Self::Brpop),
            Self::Brpop => None,
        }
    }
}

/// Messages of a pop.
#[derive(Debug, Default)]
struct Popped {
    messages: Vec<Vec<u8>>,
    /// Most messages that the pop may have taken beside them.
    missing: usize,
}

/// Answer to a pop.
#[derive(Debug)]
struct PopAnswer {
    dialect: Dialect,
    /// Most messages that were asked for.
    most: usize,
    result: Result<Popped, RedisError>,
}

/// The answer to a pop, once it is there.
type Asked = Pin<Box<dyn Future<Output = PopAnswer> + Send>>;

/// A connection that takes messages. It is used for nothing else: a blocking pop holds up every command
/// behind it.
pub(super) struct RedisReader {
    link: Link,
    key: String,
    dialect: Dialect,
    /// Most messages of a pop.
    most: usize,
    /// Most pops that wait at Redis.
    ahead: usize,
    /// Answers, in the order of the commands.
    asked: FuturesOrdered<Asked>,
    /// Number of those, from the front, whose connection is lost.
    stale: usize,
    /// Most messages that were lost with the connection.
    missing: usize,
    counts: Arc<ReadCounts>,
}

impl RedisReader {
    /// Connects.
    pub(super) async fn open(
        list: &RedisList,
        batching: Batching,
        counts: Arc<ReadCounts>,
    ) -> Result<Self, StackError> {
        let (most, ahead) = match batching {
            Batching::Ahead => (BATCH / AHEAD, AHEAD),
            Batching::OnDemand(most) => (most.clamp(1, BATCH), 1),
        };
        Ok(Self {
            link: Link::open(list.address.clone(), Use::Blocking).await?,
            key: list.key.clone(),
            dialect: Dialect::Blmpop,
            most,
            ahead,
            asked: FuturesOrdered::new(),
            stale: 0,
            missing: 0,
            counts,
        })
    }

    /// Asks for more messages if few pops are waiting. Returns false while Redis is away.
    async fn ask(&mut self) -> bool {
        let ahead = if self.dialect == Dialect::Blmpop { self.ahead } else { 1 };
        if self.asked.len() > ahead / 2 || self.stale > 0 {
            return true;
        }
        let (dialect, most) = (self.dialect, self.most());
        let patience = PATIENCE / ahead as f64;
        let Some(connection) = self.link.get().await else { return false };
        for _ in self.asked.len()..ahead {
            let (connection, key) = (connection.clone(), self.key.clone());
            self.counts.asked.add(most as u64);
            self.asked.push_back(Box::pin(async move {
                let result = match dialect {
                    Dialect::Blmpop => blmpop(connection, key, most, patience).await,
                    Dialect::BrpopThenRpop | Dialect::Brpop => brpop(connection, key, most).await,
                };
                PopAnswer { dialect, most, result }
            }));
        }
        true
    }

    /// Waits for the next answer; `None` if nothing is asked for. A connection is given up only if Redis answers
    /// on another one and not on this: a server that is merely slow still answers here, and its answers carry
    /// messages. The future may be dropped.
    async fn next_answer(&mut self) -> Option<PopAnswer> {
        loop {
            if let Ok(answer) = timeout(SILENCE, self.asked.next()).await {
                return answer;
            }
            if connect(self.link.address(), Use::Commands).await.is_err() {
                continue;
            }
            if let Ok(answer) = timeout(LAST_LOOK, self.asked.next()).await {
                return answer;
            }
            return Some(self.give_up());
        }
    }

    /// Gives up all that was asked for, and returns the answer to the first of it.
    fn give_up(&mut self) -> PopAnswer {
        let (dialect, most) = (self.dialect, self.most());
        let others = self.asked.len().saturating_sub(1) * most;
        self.asked.clear();
        self.stale = self.stale.min(1);
        self.counts.asked.sub(others as u64);
        self.missing += others;
        let silent = io::Error::new(io::ErrorKind::TimedOut, "no answer on this connection");
        PopAnswer { dialect, most, result: Err(silent.into()) }
    }

    /// Most messages of a pop in the current dialect.
    fn most(&self) -> usize {
        if self.dialect == Dialect::Brpop { 1 } else { self.most }
    }

    /// Takes in a failed pop.
    async fn failed(&mut self, dialect: Dialect, most: usize, error: &RedisError) {
        let is_refused = matches!(error.kind(), ErrorKind::Server(_));
        if !is_refused {
            // Redis may have taken messages for this pop and sent them.
            self.missing += most;
        }
        if self.stale > 0 {
            return;
        }
        if is_refused && is_unknown_command(error) {
            // Pops of the same dialect that wait behind it are refused as well.
            if dialect == self.dialect
                && let Some(older) = dialect.older()
            {
                log::info!(
                    "Redis at {} does not know a command ({error}): older commands are used",
                    self.link.address()
                );
                self.dialect = older;
            }
            return;
        }
        self.link.failed(error);
        if self.link.is_connected() {
            log::warn!("cannot pop from {}: {error}", self.key);
        } else {
            self.stale = self.asked.len();
            // The next server may be another one.
            self.dialect = Dialect::Blmpop;
        }
        // The key is not a list, or the server is away or still loading: try again after a pause.
        tokio::time::sleep(AWAY).await;
    }

    /// Counts and reports messages that may be lost with a connection, once all of its answers are in.
    fn report_missing(&mut self) {
        if self.missing == 0 || self.stale > 0 {
            return;
        }
        let missing = std::mem::take(&mut self.missing) as u64;
        self.counts.unaccounted.add(missing);
        log::warn!(
            "up to {missing} messages that were asked for from {} did not come and may be lost",
            self.key
        );
    }
}

/// Returns true if the server does not know the command, or knows it with other arguments only.
fn is_unknown_command(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default().to_ascii_lowercase();
    error.code() == Some("ERR")
        && ["unknown command", "not supported", "unsupported command"]
            .iter()
            .any(|text| detail.contains(text))
}

impl QueueReader for RedisReader {
    async fn take(&mut self, more: bool) -> Option<Vec<Bytes>> {
        self.report_missing();
        if more && !self.ask().await {
            tokio::time::sleep(AWAY).await;
            return Some(Vec::new());
        }
        let PopAnswer { dialect, most, result } = self.next_answer().await?;
        self.counts.asked.sub(most as u64);
        self.stale = self.stale.saturating_sub(1);
        match result {
            Ok(Popped { messages, missing }) => {
                self.missing += missing;
                Some(messages.into_iter().map(Bytes::from).collect())
            }
            Err(error) => {
                self.failed(dialect, most, &error).await;
                Some(Vec::new())
            }
        }
    }

    async fn give_back(&mut self, messages: &[Bytes]) -> GivenBack {
        if messages.is_empty() {
            return GivenBack::Yes;
        }
        let connected = timeout(GIVE_BACK_TIMEOUT, self.link.get()).await;
        let Some(connection) = connected.ok().flatten() else { return GivenBack::No };
        let mut command = redis::cmd("RPUSH");
        command.arg(&self.key);
        for message in messages.iter().rev() {
            command.arg(message.as_ref());
        }
        match timeout(GIVE_BACK_TIMEOUT, command.query_async::<u64>(connection)).await {
            Ok(Ok(_)) => GivenBack::Yes,
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::Server(_)) => GivenBack::No,
            Ok(Err(_)) | Err(_) => GivenBack::Unknown,
        }
    }
}

async fn blmpop(
    mut connection: MultiplexedConnection,
    key: String,
    most: usize,
    seconds: f64,
) -> Result<Popped, RedisError> {
    let mut command = redis::cmd("BLMPOP");
    command.arg(seconds).arg(1).arg(key).arg("RIGHT").arg("COUNT").arg(most);
    // The crate's own typed call has the wrong shape in 1.x.
    let reply: Option<(Vec<u8>, Vec<Vec<u8>>)> = command.query_async(&mut connection).await?;
    Ok(Popped { messages: reply.map(|(_, messages)| messages).unwrap_or_default(), missing: 0 })
}

async fn brpop(
    mut connection: MultiplexedConnection,
    key: String,
    most: usize,
) -> Result<Popped, RedisError> {
    // Whole seconds: fractions came with Redis 6.
    let reply: Option<(Vec<u8>, Vec<u8>)> =
        redis::cmd("BRPOP").arg(&key).arg(1).query_async(&mut connection).await?;
    let messages: Vec<_> = reply.into_iter().map(|(_, message)| message).collect();
    let mut popped = Popped { messages, missing: 0 };
    if most > 1 && !popped.messages.is_empty() {
        let command = redis::cmd("RPOP").arg(&key).arg(most - 1).to_owned();
        let rest = command.query_async(&mut connection).await;
        // The first message is here already: an old server that lacks the command must not cost it.
        match rest {
            Ok(rest) => popped.messages.extend(Option::<Vec<Vec<u8>>>::unwrap_or_default(rest)),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => {}
            Err(error) => {
                log::warn!("cannot pop from {key}: {error}");
                popped.missing = most - 1;
            }
        }
    }
    Ok(popped)
}

#[cfg(test)]
mod tests;
