//! The queue whose depth is on the timeline (`--queue-depth`).

use std::str::FromStr;

use super::{PlanError, Target, refuse};
use crate::config::settings::Settings;

/// The queue whose depth is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "pipeline"), allow(dead_code))]
pub(crate) enum QueueDepth {
    /// A Redis list: its length.
    List {
        /// Its key.
        key: String,
    },
    /// A group of a Redis stream: the entries that it has not acknowledged. The length of a stream says nothing, as entries stay
    /// in it.
    Group {
        /// Key of the stream.
        key: String,
        /// Name of the group.
        group: String,
    },
    /// No queue.
    None,
}

impl FromStr for QueueDepth {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let parsed = match text.split_once(':') {
            None if text == "none" => Some(Self::None),
            Some(("list", key)) if !key.is_empty() => Some(Self::List { key: key.to_owned() }),
            Some(("stream", rest)) => {
                let names = rest.rsplit_once('/');
                let names = names.filter(|(key, group)| !key.is_empty() && !group.is_empty());
                names.map(|(key, group)| Self::Group {
                    key: key.to_owned(),
                    group: group.to_owned(),
                })
            }
            _ => None,
        };
        parsed.ok_or_else(|| {
            PlanError::new(format!(
                "--queue-depth '{text}': there are list:KEY, stream:KEY/GROUP and none"
            ))
        })
    }
}

/// The queue whose depth is measured: that of `--queue` if no other is named.
pub(super) fn queue_depth(
    settings: &Settings,
    target: &Target,
    queue: &str,
) -> Result<QueueDepth, PlanError> {
    let own = QueueDepth::List { key: queue.to_owned() };
    let Some(text) = &settings.queue_depth else { return Ok(own) };
    let depth = text.parse()?;
    if *target == Target::Pipeline && depth != own {
        return refuse(
            "--queue-depth names the queue of a service of yours; the pipeline that loadgen starts has that of --queue",
        );
    }
    if depth != QueueDepth::None && *target != Target::Pipeline && settings.redis.is_none() {
        return refuse(format!("--queue-depth {text} needs the Redis of the queue: --redis URL"));
    }
    Ok(depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_queue_is_read() {
        let stream = |key: &str, group: &str| {
            Ok(QueueDepth::Group { key: key.to_owned(), group: group.to_owned() })
        };
        for (text, expected) in [
            ("list:a:b/c", Ok(QueueDepth::List { key: "a:b/c".to_owned() })),
            ("stream:orders/push", stream("orders", "push")),
            ("stream:a/b/push", stream("a/b", "push")),
            ("none", Ok(QueueDepth::None)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in ["", "list:", "list", "stream:", "stream:k", "stream:/g", "stream:k/", "zset:k"]
        {
            let error = text.parse::<QueueDepth>().expect_err(text).to_string();
            assert!(error.contains("stream:KEY/GROUP"), "{error}");
        }
    }

    #[test]
    fn a_depth_needs_a_redis() {
        let settings =
            Settings { queue_depth: Some("stream:k/g".to_owned()), ..Settings::default() };
        let target = Target::Url(url::Url::parse("http://h/").expect("a URL"));
        let error = queue_depth(&settings, &target, "myapp").expect_err("no Redis").to_string();
        assert!(error.contains("--redis URL"), "{error}");
        let own = queue_depth(&settings, &Target::Pipeline, "myapp").expect_err("own").to_string();
        assert!(own.contains("--queue"), "{own}");
        let list = QueueDepth::List { key: "myapp".to_owned() };
        assert_eq!(queue_depth(&Settings::default(), &target, "myapp"), Ok(list));
    }
}
