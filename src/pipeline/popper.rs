//! Taking messages off the Redis list, many at once.

use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};

use crate::plan::Address;
use crate::stack::StackError;
use crate::stack::redis::{Link, Use};

/// Messages taken at once at most.
const BATCH: usize = 512;

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

/// One popper with a connection of its own: a blocking pop holds up everything behind it.
#[derive(Debug)]
pub struct Popper {
    link: Link,
    queue: String,
    dialect: Dialect,
    most: usize,
}

impl Popper {
    /// Connects. `queue` is the list's key; the api pushes on its left, messages leave on its right.
    /// It takes `most` messages at once at most, and never more than a batch.
    pub async fn open(address: &Address, queue: &str, most: usize) -> Result<Self, StackError> {
        let link = Link::open(address.clone(), Use::Blocking).await?;
        Ok(Self {
            link,
            queue: queue.to_owned(),
            dialect: Dialect::Blmpop,
            most: most.clamp(1, BATCH),
        })
    }

    /// The next messages, in order; none when none came within a moment, so that the caller can look
    /// whether it is time to stop. It must not be cancelled: Redis may have given messages away.
    pub async fn pop(&mut self) -> Vec<Bytes> {
        let Some(connection) = self.link.get().await else {
            tokio::time::sleep(AWAY).await;
            return Vec::new();
        };
        let result = match self.dialect {
            Dialect::Blmpop => blmpop(connection, &self.queue, self.most).await,
            Dialect::BrpopThenRpop => brpop(connection, &self.queue, self.most).await,
            Dialect::Brpop => brpop(connection, &self.queue, 1).await,
        };
        match result {
            Ok(messages) => messages.into_iter().map(Bytes::from).collect(),
            Err(error) => {
                self.recover(&error).await;
                Vec::new()
            }
        }
    }

    async fn recover(&mut self, error: &RedisError) {
        let unknown = matches!(error.kind(), ErrorKind::Server(_)) && error.code() == Some("ERR");
        match self.dialect.older() {
            Some(older) if unknown => self.dialect = older,
            _ => {
                self.link.failed(error);
                // A list of another type, or a server that is loading: try again, not too fast.
                log::warn!("cannot pop from {}: {error}", self.queue);
                tokio::time::sleep(AWAY).await;
            }
        }
    }

    /// Puts messages back, so that they are the next ones to be popped, in the same order.
    pub async fn give_back(&mut self, messages: &[Bytes]) -> bool {
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
    connection: &mut MultiplexedConnection,
    queue: &str,
    most: usize,
) -> Result<Vec<Vec<u8>>, RedisError> {
    let mut command = redis::cmd("BLMPOP");
    command.arg(0.25).arg(1).arg(queue).arg("RIGHT").arg("COUNT").arg(most);
    // The crate's own typed call has the wrong shape in 1.x.
    let reply: Option<(Vec<u8>, Vec<Vec<u8>>)> = command.query_async(connection).await?;
    Ok(reply.map(|(_, messages)| messages).unwrap_or_default())
}

async fn brpop(
    connection: &mut MultiplexedConnection,
    queue: &str,
    most: usize,
) -> Result<Vec<Vec<u8>>, RedisError> {
    // Whole seconds: fractions came with Redis 6.
    let reply: Option<(Vec<u8>, Vec<u8>)> =
        redis::cmd("BRPOP").arg(queue).arg(1).query_async(connection).await?;
    let mut messages: Vec<_> = reply.into_iter().map(|(_, message)| message).collect();
    if most > 1 && !messages.is_empty() {
        let rest = redis::cmd("RPOP").arg(queue).arg(most - 1).query_async(connection).await;
        // The one that is here must not be lost over a command that an old server lacks.
        match rest {
            Ok(rest) => messages.extend(Option::<Vec<Vec<u8>>>::unwrap_or_default(rest)),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => {}
            Err(error) => log::warn!("cannot pop from {queue}: {error}"),
        }
    }
    Ok(messages)
}
