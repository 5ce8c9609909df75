//! The embedded broker beside Mosquitto. One list of tests runs on both; the promises of the embedded one alone
//! (nothing dropped, limits, refusals) are tested on it alone.

/// Each test of a list twice.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod embedded {
            $(#[test] fn $test() { super::$test(&super::Broker::embedded()); })*
        }
        mod mosquitto {
            $(#[test] fn $test() {
                if let Some(broker) = super::Broker::mosquitto() { super::$test(&broker); }
            })*
        }
    };
}

/// Brokers to test: the embedded one on a thread, and Mosquitto.
mod brokers;
/// A raw MQTT client: bytes in, bytes out.
mod client;
/// Faults, floods and bounds of the embedded one.
mod faults;
/// Topic matching against Mosquitto, and any input in any pieces.
mod properties;
/// The list that both must pass: messages.
mod messages;
/// The list that both must pass: connections.
mod sessions;
