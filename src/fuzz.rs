//! Properties that must hold for whatever a peer sends, or a file holds. Each function takes any bytes and panics where
//! something does not hold; the fuzz targets in `fuzz/` and the tests of [`corpus`] call them.

mod broker_frame;
mod broker_topic;
#[cfg(test)]
mod corpus;
mod http_response;
#[cfg(test)]
mod mutations;
mod queue_command;
mod saved_report;

/// The embedded broker's reader of frames, messages and packets.
pub fn broker_frame(input: &[u8]) {
    broker_frame::check(input);
}

/// The embedded broker's topics and filters.
pub fn broker_topic(input: &[u8]) {
    broker_topic::check(input);
}

/// The raw engine's reader of responses.
pub fn http_response(input: &[u8]) {
    http_response::check(input);
}

/// The embedded queue's reader of commands.
pub fn queue_command(input: &[u8]) {
    queue_command::check(input);
}

/// The reader of saved reports, and every form that shows them.
pub fn saved_report(input: &[u8]) {
    saved_report::check(input);
}

/// Pieces that one input is cut into at most.
const MOST_PIECES: usize = 4_096;
/// Ways in two pieces at most.
const MOST_HALVES: usize = 16;

/// Ways an input may come in: the pieces of each, joined, are the input. The first is byte by byte.
fn ways(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let smallest = input.len().div_ceil(MOST_PIECES).max(1);
    let sizes = [1, 7, 61].map(|size| size.max(smallest));
    let step = input.len().div_ceil(MOST_HALVES).max(1);
    // Not always the same places.
    let first = input.iter().fold(0, |sum, byte| sum + usize::from(*byte)) % step;
    let halves = (first..input.len()).step_by(step);
    let chunks = sizes.into_iter().map(|size| input.chunks(size).collect());
    chunks.chain(halves.map(|at| vec![&input[..at], &input[at..]]))
}

/// Calls `look` with `begin` and fillers behind it, `len` bytes together. The memory is used again:
/// a peer may promise much.
fn filled<T>(begin: &[u8], len: usize, look: impl FnOnce(&[u8]) -> T) -> T {
    use std::cell::RefCell;
    /// Neither an end of a line nor a length.
    const FILLER: u8 = b'a';
    thread_local!(static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    ROOM.with_borrow_mut(|room| {
        room.resize(len.max(room.len()), FILLER);
        room[..begin.len()].copy_from_slice(begin);
        let seen = look(&room[..len]);
        room[..begin.len()].fill(FILLER);
        seen
    })
}
