//! The list of rejected messages, beside the list of the queue: `{myapp}:dead`. The newest is at its left, as in the queue.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, FromRedisValue, RedisError};

use crate::core::Address;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use, refused};
#[cfg(feature = "cli")]
use crate::pipeline::settings::AddressParser;

/// Most messages of the list. The oldest are kept.
pub(crate) const MOST_DEAD: usize = 10_000;
/// Attempts of a command: one more for each node of a cluster that names another one.
const ATTEMPTS: usize = 3;
/// Pause before a command is sent to another node.
const PAUSE: Duration = Duration::from_millis(50);

/// Settings of the list of rejected messages.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub(crate) struct DeadListSettings {
    /// Redis of the queue: redis://USER:PASSWORD@HOST:PORT/DB, all but HOST may be left out; rediss:// for TLS
    #[cfg_attr(feature = "cli", arg(
        long,
        value_name = "URL",
        env = "LOADGEN_REDIS",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379",
        value_parser = AddressParser("--redis")
    ))]
    pub(crate) redis: Address,

    /// Redis list of the queue; its rejected messages are in {QUEUE}:dead
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "KEY", env = "LOADGEN_QUEUE", default_value = "myapp")
    )]
    pub(crate) queue: String,
}

/// A connection to the list of rejected messages.
#[derive(Debug)]
pub(crate) struct DeadList {
    link: Link,
    queue: String,
    key: String,
}

impl DeadList {
    /// Connects.
    pub(crate) async fn open(settings: &DeadListSettings) -> Result<Self, StackError> {
        let DeadListSettings { redis, queue } = settings;
        let link = Link::open(redis.clone(), Use::Commands).await?;
        Ok(Self { link, queue: queue.clone(), key: key_of(queue) })
    }

    /// Key of the list.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Adds messages, and returns how many of them the list has room for.
    pub(crate) async fn add(&mut self, messages: &[Bytes]) -> Result<usize, StackError> {
        let mut add = redis::cmd("LPUSH");
        add.arg(&self.key);
        for message in messages {
            add.arg(message.as_ref());
        }
        let length: usize = self.query(&add).await?;
        let surplus = length.saturating_sub(MOST_DEAD);
        if surplus == 0 {
            return Ok(messages.len());
        }
        // What was added last is at the left.
        let keep = -(MOST_DEAD as i64);
        self.query::<()>(redis::cmd("LTRIM").arg(&self.key).arg(keep).arg(-1)).await?;
        Ok(messages.len().saturating_sub(surplus))
    }

    /// Number of messages.
    pub(crate) async fn len(&mut self) -> Result<usize, StackError> {
        let command = redis::cmd("LLEN").arg(&self.key).to_owned();
        self.query(&command).await
    }

    /// The oldest messages, at most `most`, the oldest first.
    pub(crate) async fn oldest(&mut self, most: usize) -> Result<Vec<Vec<u8>>, StackError> {
        let first = -(most.min(MOST_DEAD) as i64);
        let command = redis::cmd("LRANGE").arg(&self.key).arg(first).arg(-1).to_owned();
        let mut messages: Vec<Vec<u8>> = self.query(&command).await?;
        messages.reverse();
        Ok(messages)
    }

    /// Moves the oldest message to the end of the queue. Returns false if there is none.
    pub(crate) async fn requeue_oldest(&mut self) -> Result<bool, StackError> {
        let command = redis::cmd("RPOPLPUSH").arg(&self.key).arg(&self.queue).to_owned();
        let moved: Option<Vec<u8>> = self.query(&command).await?;
        Ok(moved.is_some())
    }

    async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StackError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match self.link.get().await {
                Some(connection) => match command.query_async(connection).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                None => RedisError::from(std::io::Error::from(std::io::ErrorKind::NotConnected)),
            };
            self.link.failed(&error);
            if attempts == ATTEMPTS || !self.link.is_redirected() {
                return Err(refused(self.link.address(), &error));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Returns the key of the list, which a Redis cluster keeps on the node of the queue: the part of a key within braces
/// decides.
fn key_of(queue: &str) -> String {
    if queue.contains('{') { format!("{queue}:dead") } else { format!("{{{queue}}}:dead") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_on_the_node_of_the_queue() {
        assert_eq!(key_of("myapp"), "{myapp}:dead");
        assert_eq!(key_of("a{b}c"), "a{b}c:dead");
    }
}
