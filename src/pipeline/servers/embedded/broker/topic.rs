//! Topics and filters: which are valid, and which filter takes which topic.
//!
//! rumqttc's own `matches` is not used: it cuts a topic after its first byte, which panics where
//! that is half a character, and it never matches a topic that begins with `$`.

use rumqttc::mqttbytes;

/// Topic on which a broker publishes its name and version.
pub(super) const VERSION_TOPIC: &str = "$SYS/broker/version";

/// Returns true if messages may be published to this topic.
pub(crate) fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0'])
}

/// Returns true if the filter is valid: `+` is a whole level, `#` is a whole level and the last.
pub(crate) fn is_filter(filter: &str) -> bool {
    mqttbytes::valid_filter(filter) && !filter.contains('\0')
}

/// Returns true if a valid filter matches a valid topic. A wildcard in the first place does not match topics that
/// begin with `$`: those belong to the broker.
pub(crate) fn matches(topic: &str, filter: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_take_levels() {
        let cases = [
            ("a", "a", true),
            ("a/b", "a", false),
            ("a", "a/b", false),
            ("a/b", "a/+", true),
            ("a", "a/+", false),
            ("a/", "a/+", true),
            ("a/b/c", "a/+", false),
            ("a/b/c", "a/#", true),
            ("a", "a/#", true),
            ("b", "a/#", false),
            ("/a", "+/+", true),
            ("/a", "+", false),
            ("", "+", true),
            ("a/b/c", "+/b/+", true),
            ("ä/b", "+/b", true),
        ];
        for (topic, filter, expected) in cases {
            assert_eq!(matches(topic, filter), expected, "{topic} {filter}");
        }
    }

    #[test]
    fn the_brokers_own_topics_are_asked_for_by_name() {
        assert!(!matches("$SYS/broker/version", "#"));
        assert!(!matches("$SYS/broker/version", "+/broker/version"));
        assert!(matches("$SYS/broker/version", "$SYS/#"));
        assert!(matches(VERSION_TOPIC, VERSION_TOPIC));
    }

    #[test]
    fn wildcards_stand_alone() {
        for good in ["#", "+", "/", "a/#", "+/+/#", "a//b", "ä"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c", "a\0"] {
            assert!(!is_filter(bad), "{bad}");
        }
        for bad in ["", "a/+", "#", "a\0b"] {
            assert!(!is_topic(bad), "{bad}");
        }
    }
}
