//! A Redis list as the queue: messages enter at its left and leave at its right, as in the original.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};

use super::redis_reader::RedisReader;
use super::{Batching, Queue, QueueAway, QueueWriter};
use crate::core::Address;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use, connect, refused};

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
        Ok(RedisWriter { link, key: self.key.clone() })
    }

    async fn open_reader(&self, batching: Batching) -> Result<RedisReader, StackError> {
        RedisReader::open(self, batching).await
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

/// Returns true if Redis refused a command because the key is not a list.
pub(crate) fn is_not_a_list(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// A connection that pushes to the list.
#[derive(Debug)]
pub(super) struct RedisWriter {
    link: Link,
    key: String,
}

impl RedisWriter {
    /// Takes in the answer to a command on the list.
    fn answered(&mut self, length: RedisResult<u64>) -> Result<u64, QueueAway> {
        length.map_err(|error| {
            log::warn!("cannot push to {}: {error}", self.key);
            self.link.failed(&error);
            QueueAway
        })
    }
}

impl QueueWriter for RedisWriter {
    async fn push<M: AsRef<[u8]> + Sync>(&mut self, messages: &[M]) -> Result<u64, QueueAway> {
        let connection = self.link.get().await.ok_or(QueueAway)?;
        let mut command = redis::cmd("LPUSH");
        command.arg(&self.key);
        for message in messages {
            command.arg(message.as_ref());
        }
        let length = command.query_async(connection).await;
        self.answered(length)
    }

    async fn length(&mut self) -> Result<u64, QueueAway> {
        let connection = self.link.get().await.ok_or(QueueAway)?;
        let length = length(connection, &self.key).await;
        self.answered(length)
    }

    async fn is_up(&mut self) -> bool {
        let Some(connection) = self.link.get().await else { return false };
        let answer = redis::cmd("PING").query_async::<()>(connection).await;
        answer.inspect_err(|error| self.link.failed(error)).is_ok()
    }
}
