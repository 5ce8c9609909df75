//! Words of a report that come from a fixed list, as enums. serde writes and reads the word itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines enums whose variants each have one word in JSON, in text and in conditions.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$about])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Returns the word of the JSON.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    )+};
}

words! {
    /// Loop that decides when a request is sent.
    LoopMode {
        /// At its due time, whether or not earlier ones have been answered.
        #[default]
        Open = "open",
        /// When the one before on its connection has been answered.
        Closed = "closed",
    }

    /// Spacing of the slots of an open loop.
    SlotSpacing {
        /// Equal distances.
        #[default]
        Constant = "constant",
        /// Random distances of a Poisson process.
        Poisson = "poisson",
    }

    /// Engine that carried the requests.
    EngineName {
        /// loadgen's own event loop.
        #[default]
        Raw = "raw",
        /// The crate reqwest.
        Reqwest = "reqwest",
    }

    /// Version of HTTP.
    HttpVersion {
        /// HTTP/1.1
        Http1 = "HTTP/1.1",
        /// HTTP/2
        Http2 = "HTTP/2",
        /// A report of a version of loadgen that did not save it.
        #[default]
        Unknown = "",
    }

    /// Origin of a server.
    ServerKind {
        /// The user named its address.
        #[default]
        External = "external",
        /// A program that loadgen started for this run.
        Spawned = "spawned",
        /// A small server of loadgen itself.
        Embedded = "embedded",
    }

    /// Judgement on the generator.
    GeneratorState {
        /// It held its plan.
        #[default]
        Valid = "valid",
        /// It could not hold its plan: the numbers describe the generator, not the target.
        Limited = "limited",
    }

    /// Clock of the stamps.
    ClockSource {
        /// The time of the Redis that has the stamps.
        Redis = "redis",
        /// The clock of this process; there are no stamps.
        #[default]
        Monotonic = "monotonic",
    }

    /// Clock on which the starts of several nodes are compared.
    StartClock {
        /// The time of the Redis that all nodes have as their log server.
        Redis = "redis",
        /// The clock of each node, which may be wrong.
        Own = "own",
        /// A report of a version of loadgen that did not save it.
        #[default]
        Unknown = "",
    }
}

impl StartClock {
    /// Returns the name in sentences.
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Redis => "the time of their Redis",
            Self::Own | Self::Unknown => "their own clocks",
        }
    }
}

impl GeneratorState {
    /// Returns true if the generator held its plan.
    pub fn is_valid(self) -> bool {
        self == Self::Valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_same_in_json_and_in_text() {
        for state in [GeneratorState::Valid, GeneratorState::Limited] {
            let json = serde_json::to_string(&state).expect("a word");
            assert_eq!(json, format!("\"{state}\""));
            assert_eq!(
                serde_json::from_str::<GeneratorState>(&json).expect("the same word"),
                state
            );
        }
        let old: HttpVersion = serde_json::from_str("\"\"").expect("old reports have no version");
        assert_eq!(old, HttpVersion::Unknown);
        assert!(serde_json::from_str::<LoopMode>("\"ajar\"").is_err());
    }
}
