//! Is the embedded broker a broker? One list of tests runs on it and on the real Mosquitto; what only
//! the embedded one promises (nothing dropped, bounds, refusals) is tested on it alone.

/// Brokers to test: the embedded one on a thread, and Mosquitto.
#[path = "conformance_broker/brokers.rs"]
mod brokers;
/// A raw MQTT client: bytes in, bytes out.
#[path = "conformance_broker/client.rs"]
mod client;
/// The list that both must pass.
#[path = "conformance_broker/common.rs"]
mod common;
/// Faults, floods and bounds of the embedded one.
#[path = "conformance_broker/faults.rs"]
mod faults;
/// Topic matching against Mosquitto, and any input in any pieces.
#[path = "conformance_broker/properties.rs"]
mod properties;
