//! Head of a response: its status, and the framing of its body (RFC 9112, 6.3). httparse parses it.

use super::chunked::{CHUNK_START, Chunk};
use super::{InvalidResponse, MAX_FIELDS, MAX_HEAD};

/// End of the body that follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    None,
    Length(u64),
    Chunked(Chunk),
    UntilClose,
}

/// Parts of a response's head that a load generator needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    pub(super) keep_alive: bool,
    pub(super) body: BodyEnd,
    /// Length of the head in bytes.
    pub(super) len: usize,
}

/// Refuses a head longer than [`MAX_HEAD`], complete or in part.
pub(super) fn check_length(head: usize) -> Result<(), InvalidResponse> {
    if head > MAX_HEAD {
        return Err(InvalidResponse("the head is longer than 64 KiB"));
    }
    Ok(())
}

/// Parses the head at the start of `data`; `None` if it is not complete. `bodyless` is true for a HEAD
/// request.
pub(super) fn read_head(
    data: &[u8],
    bodyless: bool,
) -> Result<Option<ResponseHead>, InvalidResponse> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let len = match response.parse(data) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(InvalidResponse("more than 128 header fields"));
        }
        Err(_) => return Err(InvalidResponse("the head is not HTTP/1.1")),
    };
    check_length(len)?;
    let status = response.code.unwrap_or(0);
    if !(100..=999).contains(&status) || status == 101 {
        return Err(InvalidResponse("the status is not one a plain request can have"));
    }
    let mut framing =
        ResponseFraming { keep_alive: response.version == Some(1), ..ResponseFraming::default() };
    for field in response.headers.iter() {
        framing.field(field.name, field.value)?;
    }
    // In the order of RFC 9112, 6.3.
    let body = match framing {
        _ if bodyless || status < 200 || status == 204 || status == 304 => BodyEnd::None,
        ResponseFraming { chunked: true, .. } => BodyEnd::Chunked(CHUNK_START),
        ResponseFraming { coded: true, .. } => BodyEnd::UntilClose,
        ResponseFraming { length: Some(0), .. } => BodyEnd::None,
        ResponseFraming { length: Some(length), .. } => BodyEnd::Length(length),
        _ => BodyEnd::UntilClose,
    };
    let keep_alive = framing.keep_alive && !framing.close && body != BodyEnd::UntilClose;
    Ok(Some(ResponseHead { status, keep_alive, body, len }))
}

/// Header fields that determine the end of a response.
#[derive(Debug, Default)]
struct ResponseFraming {
    keep_alive: bool,
    /// True for `Connection: close`, which overrides keep-alive.
    close: bool,
    chunked: bool,
    coded: bool,
    length: Option<u64>,
}

impl ResponseFraming {
    fn field(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidResponse> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = parse_length(value)?;
            if self.length.is_some_and(|other| other != length) {
                return Err(InvalidResponse("two Content-Lengths that differ"));
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.coded = true;
            let last = value.rsplit(|b| *b == b',').next().unwrap_or_default();
            self.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                if option.eq_ignore_ascii_case(b"close") {
                    self.close = true;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep_alive = true;
                }
            }
        }
        Ok(())
    }
}

fn parse_length(value: &[u8]) -> Result<u64, InvalidResponse> {
    let bad = InvalidResponse("Content-Length is not a number");
    // RFC 9110, 8.6: a list of the same value is the same as the one value.
    let mut values = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    let first = values.next().unwrap_or_default();
    if first.is_empty() || !first.iter().all(u8::is_ascii_digit) || values.any(|v| v != first) {
        return Err(bad);
    }
    std::str::from_utf8(first).ok().and_then(|text| text.parse().ok()).ok_or(bad)
}
