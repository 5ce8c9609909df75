//! Components of a run, as the report's `resources` name them.

use super::Resource;

/// The part that a component has in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComponentRole {
    Generator,
    Api,
    Push,
    /// The server of the queue, whichever program it is.
    Queue,
    /// The MQTT broker, whichever program it is.
    Broker,
    /// Another component, such as the subscriber.
    Other,
}

/// Names in reports and their roles. Spawned servers have the names of their programs, embedded ones those of their roles.
const NAMES: [(&str, ComponentRole); 7] = [
    ("generator", ComponentRole::Generator),
    ("api", ComponentRole::Api),
    ("push", ComponentRole::Push),
    ("redis", ComponentRole::Queue),
    ("queue", ComponentRole::Queue),
    ("mosquitto", ComponentRole::Broker),
    ("broker", ComponentRole::Broker),
];

impl Resource {
    /// Name of the component, with the number of its processes if there are several.
    pub(crate) fn label(&self) -> String {
        match self.processes {
            Some(count @ 2..) => format!("{} ({count} processes)", self.component),
            _ => self.component.clone(),
        }
    }

    /// The role of the component.
    pub(crate) fn role(&self) -> ComponentRole {
        let known = NAMES.iter().find(|(name, _)| *name == self.component);
        known.map_or(ComponentRole::Other, |(_, role)| *role)
    }
}
