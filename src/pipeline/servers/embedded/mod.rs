//! Two small loopback servers for a machine that has neither Redis nor Mosquitto. They speak the same
//! wire protocols as the real ones, so that the clients never know and there is one code path.
//!
//! They are stand-ins: figures taken with them are not those of a real deployment, and the report
//! says so.

pub mod broker;
pub(crate) mod queue;

/// Environment variable of `loadgen embedded` with the password that clients have to give. There is no flag for it:
/// every user can read the arguments of a process.
pub(crate) const PASSWORD_VARIABLE: &str = "LOADGEN_EMBEDDED_PASSWORD";
