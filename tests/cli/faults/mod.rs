//! Faults: what loadgen says and counts when the target, the network or the machine misbehaves.
//!
//! The targets are scripted servers on threads of this process. Timings are never asserted tightly,
//! only relations that hold on a busy machine too.

mod causes;
mod compare;
mod data;
mod hostile;
mod late;
mod limits;
mod pipeline;
mod proxy;
mod reach;
mod stall;
mod starved;
mod wire;
