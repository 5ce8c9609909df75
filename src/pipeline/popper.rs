//! Taking messages off the Redis list, many at once.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};

use crate::config::plan::Address;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use};

/// Messages asked for at most: those that Redis gives away are no longer seen in its queue.
const BATCH: usize = 512;

/// Pops that Redis holds at most, where they may be asked for ahead. It begins the next as soon as one
/// is answered; and half of them are asked for with one write, which Redis reads in one wake.
const AHEAD: usize = 8;

/// In how many seconds all that was asked for is answered, if only by nothing.
const PATIENCE: f64 = 0.25;

/// How long to wait before looking again for a Redis that is away.
const AWAY: Duration = Duration::from_millis(50);

/// The commands a server may know, the best first.
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

/// What a pop asked for comes to.
type Asked = Pin<Box<dyn Future<Output = Result<Vec<Vec<u8>>, RedisError>> + Send>>;

/// One popper with a connection of its own: a blocking pop holds up everything behind it.
pub(super) struct Popper {
    link: Link,
    queue: String,
    dialect: Dialect,
    most: usize,
    ahead: usize,
    /// Answers come in the order of the commands.
    asked: FuturesOrdered<Asked>,
}

impl Popper {
    /// Connects, to take as much as there is. `queue` is the list's key; the api pushes on its left,
    /// messages leave on its right.
    pub(super) async fn open(address: &Address, queue: &str) -> Result<Self, StackError> {
        Ok(Self {
            link: Link::open(address.clone(), Use::Blocking).await?,
            queue: queue.to_owned(),
            dialect: Dialect::Blmpop,
            most: BATCH / AHEAD,
            ahead: AHEAD,
            asked: FuturesOrdered::new(),
        })
    }

    /// Takes `most` messages at once at most, and asks for none before it is to [`Self::pop`].
    pub(super) fn one_by_one(mut self, most: usize) -> Self {
        (self.most, self.ahead) = (most.clamp(1, BATCH), 1);
        self
    }

    /// The next messages, in order; none when none came within a moment, or Redis is away. Without
    /// `more` it asks for none, and ends with what was asked for before. It may be cancelled.
    pub(super) async fn pop(&mut self, more: bool) -> Option<Vec<Bytes>> {
        if more && !self.ask().await {
            tokio::time::sleep(AWAY).await;
            return Some(Vec::new());
        }
        match self.asked.next().await? {
            Ok(messages) => Some(messages.into_iter().map(Bytes::from).collect()),
            Err(error) => {
                self.recover(&error).await;
                Some(Vec::new())
            }
        }
    }

    /// Asks for more, when little is asked for. Whether Redis is there.
    async fn ask(&mut self) -> bool {
        let ahead = if self.dialect == Dialect::Blmpop { self.ahead } else { 1 };
        if self.asked.len() > ahead / 2 {
            return true;
        }
        let Some(connection) = self.link.get().await else { return false };
        for _ in self.asked.len()..ahead {
            let (connection, queue) = (connection.clone(), self.queue.clone());
            let most = self.most;
            self.asked.push_back(match self.dialect {
                Dialect::Blmpop => {
                    Box::pin(blmpop(connection, queue, most, PATIENCE / ahead as f64))
                }
                Dialect::BrpopThenRpop => Box::pin(brpop(connection, queue, most)),
                Dialect::Brpop => Box::pin(brpop(connection, queue, 1)),
            });
        }
        true
    }

    async fn recover(&mut self, error: &RedisError) {
        let unknown = matches!(error.kind(), ErrorKind::Server(_)) && error.code() == Some("ERR");
        match self.dialect.older() {
            Some(older) if unknown => {
                self.dialect = older;
                // Nor does it know the others, which take nothing.
                self.asked.clear();
            }
            _ => {
                self.link.failed(error);
                if !self.link.stands() {
                    self.asked.clear();
                }
                // A list of another type, or a server that is loading: try again, not too fast.
                log::warn!("cannot pop from {}: {error}", self.queue);
                tokio::time::sleep(AWAY).await;
            }
        }
    }

    /// Puts messages back, so that they are the next ones to be popped, in the same order.
    pub(super) async fn give_back(&mut self, messages: &[Bytes]) -> bool {
        if messages.is_empty() {
            return true;
        }
        let Some(connection) = self.link.get().await else { return false };
        let mut command = redis::cmd("RPUSH");
        command.arg(&self.queue);
        messages.iter().rev().for_each(|message| {
            command.arg(message.as_ref());
        });
        command.query_async::<u64>(connection).await.is_ok()
    }
}

async fn blmpop(
    mut connection: MultiplexedConnection,
    queue: String,
    most: usize,
    seconds: f64,
) -> Result<Vec<Vec<u8>>, RedisError> {
    let mut command = redis::cmd("BLMPOP");
    command.arg(seconds).arg(1).arg(queue).arg("RIGHT").arg("COUNT").arg(most);
    // The crate's own typed call has the wrong shape in 1.x.
    let reply: Option<(Vec<u8>, Vec<Vec<u8>>)> = command.query_async(&mut connection).await?;
    Ok(reply.map(|(_, messages)| messages).unwrap_or_default())
}

async fn brpop(
    mut connection: MultiplexedConnection,
    queue: String,
    most: usize,
) -> Result<Vec<Vec<u8>>, RedisError> {
    // Whole seconds: fractions came with Redis 6.
    let reply: Option<(Vec<u8>, Vec<u8>)> =
        redis::cmd("BRPOP").arg(&queue).arg(1).query_async(&mut connection).await?;
    let mut messages: Vec<_> = reply.into_iter().map(|(_, message)| message).collect();
    if most > 1 && !messages.is_empty() {
        let command = redis::cmd("RPOP").arg(&queue).arg(most - 1).to_owned();
        let rest = command.query_async(&mut connection).await;
        // The one that is here must not be lost over a command that an old server lacks.
        match rest {
            Ok(rest) => messages.extend(Option::<Vec<Vec<u8>>>::unwrap_or_default(rest)),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => {}
            Err(error) => log::warn!("cannot pop from {queue}: {error}"),
        }
    }
    Ok(messages)
}
