//! Topics of MQTT: those that are subscribed to, and the one that the push server publishes to.

use super::{PipelinePlan, PlanError, Target, refuse};

/// The place of the node's index in a topic.
const NODE_IN_TOPIC: &str = "{{node}}";

impl PipelinePlan {
    /// The topics that node `index` subscribes to.
    pub(crate) fn topics_of_node(&self, index: u64) -> Vec<String> {
        let index = index.to_string();
        self.topics.iter().map(|topic| topic.replace(NODE_IN_TOPIC, &index)).collect()
    }

    /// Returns true if each node subscribes to topics of its own.
    pub(crate) fn has_own_topics(&self) -> bool {
        self.topics.iter().all(|topic| topic.contains(NODE_IN_TOPIC))
    }
}

/// The one topic of a push server. Refuses several, and those that cannot be published to.
pub(crate) fn topic_to_publish(topics: &[String]) -> Result<&str, PlanError> {
    match topics {
        [topic] if is_filter(topic) && !topic.contains(['#', '+']) => Ok(topic),
        [topic] => refuse(format!(
            "--topic '{topic}': the push server publishes to it, so it must be a topic without the wildcards \
             # and +"
        )),
        _ => refuse(format!(
            "--topic is given {} times, but the push server publishes to one topic; give one",
            topics.len()
        )),
    }
}

/// Refuses topics that cannot be subscribed to.
pub(crate) fn check_filters(topics: &[String]) -> Result<(), PlanError> {
    match topics.iter().find(|topic| !is_filter(topic)) {
        Some(topic) => refuse(format!(
            "--topic '{topic}' cannot be subscribed to: + matches one whole level (devices/+/inbox), \
             and # all levels at the end (devices/#)"
        )),
        None => Ok(()),
    }
}

fn is_filter(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= 65_535 && !topic.contains('\0') && is_valid_filter(topic)
}

/// Returns true if `+` is always a whole level, and `#` a whole level and the last one (MQTT 3.1.1, section 4.7.1).
fn is_valid_filter(filter: &str) -> bool {
    let levels: Vec<_> = filter.split('/').collect();
    levels.iter().enumerate().all(|(n, level)| match *level {
        "#" => n + 1 == levels.len(),
        "+" => true,
        level => !level.contains(['#', '+']),
    })
}

/// Checks the topics to subscribe to. Without a URL, the push server also publishes to them.
pub(super) fn topics(mut topics: Vec<String>, target: &Target) -> Result<Vec<String>, PlanError> {
    if topics.is_empty() {
        topics.push("/channel".to_owned());
    }
    match target {
        Target::Pipeline if topics.iter().any(|topic| topic.contains(NODE_IN_TOPIC)) => {
            return refuse(
                "--topic with {{node}}: the push server that loadgen starts publishes to one topic; give the URL of a \
                 pipeline in which the request chooses the topic, or leave {{node}} out",
            );
        }
        Target::Pipeline => topic_to_publish(&topics).map(|_| ())?,
        Target::Url(_) => check_filters(&topics)?,
    }
    Ok(topics)
}
