//! The depth of a queue: a list of Redis, or a group of a stream.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue as _, RedisResult, Value};

use super::redis_list;
use crate::config::plan::QueueDepth;

/// The depth of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Messages that wait, or are not acknowledged.
    Known(u64),
    /// The stream has no such group, or Redis does not tell the group's lag: before version 7 it never does, and later it
    /// does not while entries were deleted in the middle of the stream.
    GroupUnknown,
}

/// Reads the depth; `None` if no queue is measured.
pub(crate) async fn depth(
    connection: &mut MultiplexedConnection,
    queue: &QueueDepth,
) -> RedisResult<Option<Depth>> {
    match queue {
        QueueDepth::None => Ok(None),
        QueueDepth::List { key } => {
            redis_list::length(connection, key).await.map(Depth::Known).map(Some)
        }
        QueueDepth::Group { key, group } => {
            let command = redis::cmd("XINFO").arg("GROUPS").arg(key).to_owned();
            let groups = command.query_async::<Vec<BTreeMap<String, Value>>>(connection).await?;
            Ok(Some(depth_of_group(&groups, group)))
        }
    }
}

/// Entries that a group has not read, and those that it has read and not acknowledged.
fn depth_of_group(groups: &[BTreeMap<String, Value>], name: &str) -> Depth {
    let number =
        |of: &BTreeMap<String, Value>, field: &str| u64::from_redis_value_ref(of.get(field)?).ok();
    let is_named = |of: &&BTreeMap<String, Value>| {
        of.get("name").and_then(|name| String::from_redis_value_ref(name).ok()).as_deref()
            == Some(name)
    };
    let group = groups.iter().find(is_named);
    let depth = group.and_then(|group| Some(number(group, "lag")? + number(group, "pending")?));
    depth.map_or(Depth::GroupUnknown, Depth::Known)
}

/// Commands that read the depth, as a message about a denied one names them.
pub(crate) fn command_of(queue: &QueueDepth) -> &'static str {
    match queue {
        QueueDepth::List { .. } | QueueDepth::None => "LLEN of the queue",
        QueueDepth::Group { .. } => "XINFO of the queue",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_what_it_has_not_acknowledged() {
        let group = |name: &str, lag: Value| {
            BTreeMap::from([
                ("name".to_owned(), Value::BulkString(name.as_bytes().to_vec())),
                ("pending".to_owned(), Value::Int(3)),
                ("lag".to_owned(), lag),
            ])
        };
        let groups = [group("a", Value::Int(4)), group("b", Value::Nil)];
        assert_eq!(depth_of_group(&groups, "a"), Depth::Known(7));
        assert_eq!(depth_of_group(&groups, "b"), Depth::GroupUnknown);
        assert_eq!(depth_of_group(&groups, "c"), Depth::GroupUnknown);
    }
}
