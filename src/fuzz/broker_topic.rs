//! The embedded broker's topics and filters, held against the standard's own words (MQTT 3.1.1, 4.7).

use crate::pipeline::servers::embedded::broker::topic::{is_filter, is_topic, matches};

/// A filter, a line end, and a topic.
pub(super) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (filter, topic) = text.split_once('\n').unwrap_or((&text, "a/b"));
    let (filters, topics) = (levels(filter), levels(topic));
    assert_eq!(is_filter(filter), should_be_filter(filter), "{filter:?}");
    assert_eq!(is_topic(topic), should_be_topic(topic), "{topic:?}");
    if !is_topic(topic) {
        return;
    }
    if is_filter(filter) {
        let system = topic.starts_with('$') && filter.starts_with(['+', '#']);
        let expected = !system && should_match(&filters, &topics);
        assert_eq!(matches(topic, filter), expected, "{topic:?} {filter:?}");
    }
    // Without wildcards a topic is a filter, and takes just itself.
    assert!(is_filter(topic) && matches(topic, topic));
    assert!(matches(topic, &format!("{topic}/#")) && !matches(topic, &format!("{topic}/+")));
    assert_eq!(matches(topic, "#"), !topic.starts_with('$'));
}

fn levels(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

fn should_be_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.chars().any(|c| matches!(c, '+' | '#' | '\0'))
}

fn should_be_filter(filter: &str) -> bool {
    let levels = levels(filter);
    let sound = |(n, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => n + 1 == levels.len(),
        other => other.is_empty() || should_be_topic(other),
    };
    !filter.is_empty() && levels.iter().enumerate().all(sound)
}

fn should_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => should_match(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => {
            wanted == level && should_match(filter, topic)
        }
        _ => false,
    }
}
