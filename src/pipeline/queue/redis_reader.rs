//! The connection that takes messages off the Redis list, many at once.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};

use super::redis_list::RedisList;
use super::{Batching, QueueReader};
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use};

/// Most messages that are asked for at a time: those that Redis has given away no longer count in its queue.
const BATCH: usize = 512;

/// Most pops that wait at Redis at a time, where they may be asked for ahead. Redis begins the next one as
/// soon as one is answered. Half of them go out with one write, which wakes Redis once.
const AHEAD: usize = 8;

/// Seconds within which Redis answers all that it was asked for, even if the list stays empty.
const PATIENCE: f64 = 0.25;

/// Pause before the next attempt while Redis is away.
const AWAY: Duration = Duration::from_millis(50);

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

/// The answer to a pop, once it is there.
type Asked = Pin<Box<dyn Future<Output = Result<Vec<Vec<u8>>, RedisError>> + Send>>;

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
}

impl RedisReader {
    /// Connects.
    pub(super) async fn open(list: &RedisList, batching: Batching) -> Result<Self, StackError> {
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
        })
    }

    /// Asks for more messages if few pops are waiting. Returns false while Redis is away.
    async fn ask(&mut self) -> bool {
        let ahead = if self.dialect == Dialect::Blmpop { self.ahead } else { 1 };
        if self.asked.len() > ahead / 2 {
            return true;
        }
        let Some(connection) = self.link.get().await else { return false };
        for _ in self.asked.len()..ahead {
            let (connection, key) = (connection.clone(), self.key.clone());
            let most = self.most;
            self.asked.push_back(match self.dialect {
                Dialect::Blmpop => Box::pin(blmpop(connection, key, most, PATIENCE / ahead as f64)),
                Dialect::BrpopThenRpop => Box::pin(brpop(connection, key, most)),
                Dialect::Brpop => Box::pin(brpop(connection, key, 1)),
            });
        }
        true
    }

    async fn recover(&mut self, error: &RedisError) {
        let unknown = matches!(error.kind(), ErrorKind::Server(_)) && error.code() == Some("ERR");
        match self.dialect.older() {
            Some(older) if unknown => {
                self.dialect = older;
                // Redis refuses the other pops as well; they take no message.
                self.asked.clear();
            }
            _ => {
                self.link.failed(error);
                if !self.link.is_connected() {
                    self.asked.clear();
                }
                // The key is not a list, or the server is still loading: try again after a pause.
                log::warn!("cannot pop from {}: {error}", self.key);
                tokio::time::sleep(AWAY).await;
            }
        }
    }
}

impl QueueReader for RedisReader {
    async fn take(&mut self, more: bool) -> Option<Vec<Bytes>> {
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

    async fn give_back(&mut self, messages: &[Bytes]) -> bool {
        if messages.is_empty() {
            return true;
        }
        let Some(connection) = self.link.get().await else { return false };
        let mut command = redis::cmd("RPUSH");
        command.arg(&self.key);
        for message in messages.iter().rev() {
            command.arg(message.as_ref());
        }
        command.query_async::<u64>(connection).await.is_ok()
    }
}

async fn blmpop(
    mut connection: MultiplexedConnection,
    key: String,
    most: usize,
    seconds: f64,
) -> Result<Vec<Vec<u8>>, RedisError> {
    let mut command = redis::cmd("BLMPOP");
    command.arg(seconds).arg(1).arg(key).arg("RIGHT").arg("COUNT").arg(most);
    // The crate's own typed call has the wrong shape in 1.x.
    let reply: Option<(Vec<u8>, Vec<Vec<u8>>)> = command.query_async(&mut connection).await?;
    Ok(reply.map(|(_, messages)| messages).unwrap_or_default())
}

async fn brpop(
    mut connection: MultiplexedConnection,
    key: String,
    most: usize,
) -> Result<Vec<Vec<u8>>, RedisError> {
    // Whole seconds: fractions came with Redis 6.
    let reply: Option<(Vec<u8>, Vec<u8>)> =
        redis::cmd("BRPOP").arg(&key).arg(1).query_async(&mut connection).await?;
    let mut messages: Vec<_> = reply.into_iter().map(|(_, message)| message).collect();
    if most > 1 && !messages.is_empty() {
        let command = redis::cmd("RPOP").arg(&key).arg(most - 1).to_owned();
        let rest = command.query_async(&mut connection).await;
        // The first message is here already: an old server that lacks the command must not cost it.
        match rest {
            Ok(rest) => messages.extend(Option::<Vec<Vec<u8>>>::unwrap_or_default(rest)),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => {}
            Err(error) => log::warn!("cannot pop from {key}: {error}"),
        }
    }
    Ok(messages)
}
