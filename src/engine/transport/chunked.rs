//! The chunked coding of HTTP/1.1 bodies (RFC 9112, 7.1): counted off, not kept.

use super::{MAX_HEAD, ProtocolError};

/// Where in the chunked coding (RFC 9112, 7.1) the input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the hexadecimal size, with the digits so far.
    Size { value: u64, digits: u8 },
    /// In a chunk extension, which is skipped up to the line's end.
    Extension { value: u64 },
    /// In the data, with that much to go.
    Data { left: u64 },
    /// Behind the data, at the line's end.
    DataEnd,
    /// In the trailer, with the length of the line and of the whole so far.
    Trailer { line: u32, total: u32 },
}

/// Before the first chunk, and between two.
pub(super) const CHUNK_START: Chunk = Chunk::Size { value: 0, digits: 0 };

/// Counts chunks off and shows their data; `Some(used)` when the last one and the trailer are complete.
pub(super) fn read_chunks(
    chunk: &mut Chunk,
    data: &[u8],
    mut see: impl FnMut(&[u8]),
) -> Result<Option<usize>, ProtocolError> {
    let mut at = 0;
    while at < data.len() {
        if let Chunk::Data { left } = chunk {
            let step = (*left).min((data.len() - at) as u64);
            *left -= step;
            see(&data[at..at + step as usize]);
            at += step as usize;
            if *left == 0 {
                *chunk = Chunk::DataEnd;
            }
            continue;
        }
        let byte = data[at];
        at += 1;
        match next_chunk_state(*chunk, byte)? {
            Some(next) => *chunk = next,
            None => return Ok(Some(at)),
        }
    }
    Ok(None)
}

/// The state after one byte that is not data; `None` at the end of the body.
fn next_chunk_state(chunk: Chunk, byte: u8) -> Result<Option<Chunk>, ProtocolError> {
    let after_line = |value: u64| match value {
        0 => Chunk::Trailer { line: 0, total: 0 },
        left => Chunk::Data { left },
    };
    Ok(Some(match (chunk, byte) {
        (Chunk::Size { value, digits }, b) if b.is_ascii_hexdigit() => {
            if digits == 16 {
                return Err(ProtocolError("a chunk size of more than 64 bits"));
            }
            let digit = u64::from((b as char).to_digit(16).unwrap_or_default());
            Chunk::Size { value: value << 4 | digit, digits: digits + 1 }
        }
        (Chunk::Size { digits: 0, .. }, _) => return Err(ProtocolError("a chunk without a size")),
        (Chunk::Size { value, .. } | Chunk::Extension { value }, b'\n') => after_line(value),
        (Chunk::Size { value, .. }, b';' | b'\r' | b' ' | b'\t') => Chunk::Extension { value },
        (Chunk::Size { .. }, _) => {
            return Err(ProtocolError("a chunk size that is not hexadecimal"));
        }
        (Chunk::Extension { value }, _) => Chunk::Extension { value },
        (Chunk::DataEnd, b'\r') => Chunk::DataEnd,
        (Chunk::DataEnd, b'\n') => CHUNK_START,
        (Chunk::DataEnd, _) => return Err(ProtocolError("a chunk longer than its size")),
        (Chunk::Trailer { line: 0, .. }, b'\n') => return Ok(None),
        (Chunk::Trailer { total, .. }, _) if total as usize > MAX_HEAD => {
            return Err(ProtocolError("a trailer longer than 64 KiB"));
        }
        (Chunk::Trailer { total, .. }, b'\n') => Chunk::Trailer { line: 0, total: total + 1 },
        (Chunk::Trailer { line, total }, b'\r') => Chunk::Trailer { line, total: total + 1 },
        (Chunk::Trailer { line, total }, _) => Chunk::Trailer { line: line + 1, total: total + 1 },
        (Chunk::Data { .. }, _) => unreachable!("data is counted off in one step"),
    }))
}
