//! Chunked coding of HTTP/1.1 bodies (RFC 9112, 7.1): measured, not stored.

use super::{InvalidResponse, MAX_HEAD};

/// Position within the chunked coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// In the hexadecimal size, with its value and number of digits so far.
    Size { value: u64, digits: u8 },
    /// In a chunk extension, which is skipped up to the line's end.
    Extension { value: u64 },
    /// In the data, with `left` bytes to go.
    Data { left: u64 },
    /// After the data, at the end of the line.
    DataEnd,
    /// In the trailer, with the length of the line and of all lines so far.
    Trailer { line: u32, total: u32 },
}

/// Position before a chunk.
pub(crate) const CHUNK_START: Chunk = Chunk::Size { value: 0, digits: 0 };

/// Reads chunks and passes their data to `see`. Returns the number of bytes used when the last chunk and the
/// trailer are complete, else `None`.
pub(crate) fn read_chunks(
    chunk: &mut Chunk,
    data: &[u8],
    mut see: impl FnMut(&[u8]),
) -> Result<Option<usize>, InvalidResponse> {
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

/// Returns the position after one byte that is not data; `None` at the end of the body.
fn next_chunk_state(chunk: Chunk, byte: u8) -> Result<Option<Chunk>, InvalidResponse> {
    Ok(Some(match (chunk, byte) {
        (Chunk::Size { value, digits }, b) if b.is_ascii_hexdigit() => {
            if digits == 16 {
                return Err(InvalidResponse("a chunk size of more than 64 bits"));
            }
            let digit = u64::from((b as char).to_digit(16).unwrap_or_default());
            Chunk::Size { value: value << 4 | digit, digits: digits + 1 }
        }
        (Chunk::Size { digits: 0, .. }, _) => {
            return Err(InvalidResponse("a chunk without a size"));
        }
        (Chunk::Size { value, .. } | Chunk::Extension { value }, b'\n') => {
            if value == 0 {
                Chunk::Trailer { line: 0, total: 0 }
            } else {
                Chunk::Data { left: value }
            }
        }
        (Chunk::Size { value, .. }, b';' | b'\r' | b' ' | b'\t') => Chunk::Extension { value },
        (Chunk::Size { .. }, _) => {
            return Err(InvalidResponse("a chunk size that is not hexadecimal"));
        }
        (Chunk::Extension { value }, _) => Chunk::Extension { value },
        (Chunk::DataEnd, b'\r') => Chunk::DataEnd,
        (Chunk::DataEnd, b'\n') => CHUNK_START,
        (Chunk::DataEnd, _) => return Err(InvalidResponse("a chunk longer than its size")),
        (Chunk::Trailer { line: 0, .. }, b'\n') => return Ok(None),
        (Chunk::Trailer { total, .. }, _) if total as usize > MAX_HEAD => {
            return Err(InvalidResponse("a trailer longer than 64 KiB"));
        }
        (Chunk::Trailer { total, .. }, b'\n') => Chunk::Trailer { line: 0, total: total + 1 },
        (Chunk::Trailer { line, total }, b'\r') => Chunk::Trailer { line, total: total + 1 },
        (Chunk::Trailer { line, total }, _) => Chunk::Trailer { line: line + 1, total: total + 1 },
        (Chunk::Data { .. }, _) => unreachable!("the caller skips data"),
    }))
}
