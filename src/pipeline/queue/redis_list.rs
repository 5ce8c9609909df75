//! A Redis list as the queue: messages enter at its left and leave at its right, as in the original.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, RedisResult};

use super::dead_list::{DeadList, DeadListSettings};
use super::redis_reader::RedisReader;
use super::{Batching, NotReady, Queue, QueueAway, QueueWriter, ReadCounts};
use crate::core::Address;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use, connect, describe, is_denied, refused};

/// Lifetime of the key that a check of readiness writes.
const CHECK_EXPIRES: Duration = Duration::from_secs(10);

/// A list of a Redis server.
#[derive(Debug, Clone)]
pub(super) struct RedisList {
    /// The server.
    pub(super) address: Address,
    /// The list.
    pub(super) key: String,
}

impl Queue for RedisList {
    type Writer = RedisWriter;
    type Reader = RedisReader;

    async fn open_writer(&self) -> Result<RedisWriter, StackError> {
        let link = Link::open(self.address.clone(), Use::Commands).await?;
        let mut writer =
            RedisWriter { link, key: self.key.clone(), check_key: check_key(&self.key) };
        // A node of a cluster names the one that has the list. What else is wrong is for the first push to say.
        let _ = writer.length().await;
        Ok(writer)
    }

    async fn open_reader(
        &self,
        batching: Batching,
        counts: Arc<ReadCounts>,
    ) -> Result<RedisReader, StackError> {
        RedisReader::open(self, batching, counts).await
    }

    async fn set_aside(&self, messages: &[Bytes]) -> Result<usize, StackError> {
        let settings = DeadListSettings { redis: self.address.clone(), queue: self.key.clone() };
        DeadList::open(&settings).await?.add(messages).await
    }

    async fn clear(&self) -> Result<(), StackError> {
        let mut connection = connect(&self.address, Use::Commands).await?;
        let deleted = redis::cmd("DEL").arg(&self.key).query_async::<()>(&mut connection).await;
        deleted.map_err(|error| refused(&self.address, &error))
    }
}

/// Returns the number of messages in the list.
pub(crate) async fn length(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<u64> {
    redis::cmd("LLEN").arg(key).query_async(connection).await
}

/// Returns true if Redis refused a command because the key is of another type.
pub(crate) fn is_of_other_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// A connection that pushes to the list.
#[derive(Debug)]
pub(super) struct RedisWriter {
    link: Link,
    key: String,
    /// Key that shows whether Redis takes writes.
    check_key: String,
}

/// Attempts of a command: one more for each node of a cluster that names another one.
const ATTEMPTS: usize = 3;

impl RedisWriter {
    /// Sends a command on the list, and returns the length that is its answer.
    async fn length_after(&mut self, command: &Cmd) -> Result<u64, QueueAway> {
        for _ in 0..ATTEMPTS {
            let connection = self.link.get().await.ok_or(QueueAway)?;
            let error = match command.query_async(connection).await {
                Ok(length) => return Ok(length),
                Err(error) => error,
            };
            self.link.failed(&error);
            if !self.link.is_redirected() {
                log::warn!("cannot push to {}: {error}", self.key);
                break;
            }
        }
        Err(QueueAway)
    }
}

impl QueueWriter for RedisWriter {
    async fn push<M: AsRef<[u8]> + Sync>(&mut self, messages: &[M]) -> Result<u64, QueueAway> {
        let mut command = redis::cmd("LPUSH");
        command.arg(&self.key);
        for message in messages {
            command.arg(message.as_ref());
        }
        self.length_after(&command).await
    }

    async fn length(&mut self) -> Result<u64, QueueAway> {
        let command = redis::cmd("LLEN").arg(&self.key).to_owned();
        self.length_after(&command).await
    }

    async fn check_write(&mut self) -> Result<(), NotReady> {
        let mut command = redis::cmd("SET");
        command.arg(&self.check_key).arg(1).arg("EX").arg(CHECK_EXPIRES.as_secs());
        for _ in 0..ATTEMPTS {
            let Some(connection) = self.link.get().await else { break };
            let Err(error) = command.query_async::<()>(connection).await else { return Ok(()) };
            self.link.failed(&error);
            // The embedded queue has no such command. A user without a right to the key may have one to the list.
            if is_denied(&error) || error.code() == Some("ERR") {
                return Ok(());
            }
            if !self.link.is_redirected() {
                return Err(NotReady(describe(&error)));
            }
        }
        Err(NotReady("Redis is away".to_owned()))
    }
}

/// Returns a key of loadgen's own that a Redis cluster keeps on the node of `list`: the part of a key within braces
/// decides.
fn check_key(list: &str) -> String {
    let tag = list.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let tag = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(list);
    format!("loadgen:ready:{{{tag}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_check_is_on_the_node_of_the_list() {
        assert_eq!(check_key("myapp"), "loadgen:ready:{myapp}");
        assert_eq!(check_key("a{b}c"), "loadgen:ready:{b}");
        assert_eq!(check_key("a{}c"), "loadgen:ready:{a{}c}");
    }
}
