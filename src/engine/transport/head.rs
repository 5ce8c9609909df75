//! A response's head: its status, and how its body ends (RFC 9112, 6.3). Parsed by httparse.

use super::chunked::{CHUNK_START, Chunk};
use super::{MAX_FIELDS, MAX_HEAD, ProtocolError};

/// How the body that follows a head ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Length(u64),
    Chunked(Chunk),
    UntilClose,
}

/// What a response's head says that matters to a load generator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) keep_alive: bool,
    pub(super) body: Body,
    pub(super) len: usize,
}

/// The bound is the same whether a head comes whole or in pieces.
pub(super) fn bounded(head: usize) -> Result<(), ProtocolError> {
    if head > MAX_HEAD {
        return Err(ProtocolError("the head is longer than 64 KiB"));
    }
    Ok(())
}

pub(super) fn read_head(data: &[u8], bodyless: bool) -> Result<Option<Head>, ProtocolError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let len = match response.parse(data) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(ProtocolError("more than 128 header fields"));
        }
        Err(_) => return Err(ProtocolError("the head is not HTTP/1.1")),
    };
    bounded(len)?;
    let status = response.code.unwrap_or(0);
    if !(100..=999).contains(&status) || status == 101 {
        return Err(ProtocolError("the status is not one a plain request can have"));
    }
    let mut framing = Framing { keep_alive: response.version == Some(1), ..Framing::default() };
    for field in response.headers.iter() {
        framing.field(field.name, field.value)?;
    }
    // RFC 9112, 6.3, in its order.
    let body = match framing {
        _ if bodyless || status < 200 || status == 204 || status == 304 => Body::None,
        Framing { chunked: true, .. } => Body::Chunked(CHUNK_START),
        Framing { coded: true, .. } => Body::UntilClose,
        Framing { length: Some(0), .. } => Body::None,
        Framing { length: Some(length), .. } => Body::Length(length),
        _ => Body::UntilClose,
    };
    let keep_alive = framing.keep_alive && !framing.close && body != Body::UntilClose;
    Ok(Some(Head { status, keep_alive, body, len }))
}

/// What the header fields say about the message's end.
#[derive(Debug, Default)]
struct Framing {
    keep_alive: bool,
    /// Wins over keep-alive, in whatever order they come.
    close: bool,
    chunked: bool,
    coded: bool,
    length: Option<u64>,
}

impl Framing {
    fn field(&mut self, name: &str, value: &[u8]) -> Result<(), ProtocolError> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = parse_length(value)?;
            if self.length.is_some_and(|other| other != length) {
                return Err(ProtocolError("two Content-Lengths that differ"));
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

fn parse_length(value: &[u8]) -> Result<u64, ProtocolError> {
    let bad = ProtocolError("Content-Length is not a number");
    // RFC 9110, 8.6: a list of the same value may stand for the one.
    let mut values = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    let first = values.next().unwrap_or_default();
    if first.is_empty() || !first.iter().all(u8::is_ascii_digit) || values.any(|v| v != first) {
        return Err(bad);
    }
    std::str::from_utf8(first).ok().and_then(|text| text.parse().ok()).ok_or(bad)
}
