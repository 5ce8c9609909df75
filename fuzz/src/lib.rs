//! What must hold for whatever a peer sends, or a file holds. Each `check` takes any bytes and panics where something
//! does not hold; fuzz targets and `tests/library/fuzz` call it.

pub mod broker_frame;
pub mod broker_topic;
pub mod http_response;
pub mod queue_command;
pub mod saved_report;

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
