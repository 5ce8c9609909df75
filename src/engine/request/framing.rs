//! Number of HTTP/1.1 requests in a text: each of them gets a response.

use crate::engine::transport::http1::chunked::{CHUNK_START, read_chunks};

/// Largest number of requests in one text; more are probably a mistake.
const MOST_REQUESTS: u64 = 1_024;

/// Requests of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestFraming {
    /// Number of requests, at least 1.
    pub(crate) requests: u64,
    /// True if the requests are HEAD, whose responses have no body.
    pub(crate) bodyless: bool,
}

impl RequestFraming {
    /// One request whose response may have a body.
    pub(crate) const ONE: Self = Self { requests: 1, bodyless: false };
}

/// Error about a text that is not a sequence of complete requests; the message describes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FramingError(&'static str);

/// Counts the requests of `text`. It checks only where each request ends: the rest of the content is up to
/// the script.
pub(crate) fn frame(text: &[u8]) -> Result<RequestFraming, FramingError> {
    let mut rest = text;
    let (mut requests, mut heads) = (0, 0);
    loop {
        // RFC 9112, 2.2: empty lines may precede a request.
        while let [b'\r' | b'\n', more @ ..] = rest {
            rest = more;
        }
        if rest.is_empty() {
            break;
        }
        let (is_head, after) = split_request(rest)?;
        rest = after;
        requests += 1;
        heads += u64::from(is_head);
    }
    match requests {
        0 => Err(FramingError("an empty text, not a request")),
        n if n > MOST_REQUESTS => Err(FramingError("more than 1,024 requests in one text")),
        n if heads != 0 && heads != n => {
            Err(FramingError("HEAD and other methods in one text; keep them apart"))
        }
        _ => Ok(RequestFraming { requests, bodyless: heads > 0 }),
    }
}

/// Splits one request from a text. Returns true if it is a HEAD, and the rest of the text.
fn split_request(text: &[u8]) -> Result<(bool, &[u8]), FramingError> {
    let (first, mut rest) = line(text)?;
    if !is_request_line(first) {
        return Err(FramingError("a text that is not an HTTP/1.1 request"));
    }
    let (mut length, mut chunked) = (0, false);
    loop {
        let (field, after) = line(rest)?;
        rest = after;
        if field.is_empty() {
            break;
        }
        match field[0] {
            b'C' | b'c' => {
                if let Some(value) = value_of(field, b"content-length") {
                    let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    let number: usize =
                        number.ok_or(FramingError("a Content-Length that is not a number"))?;
                    length = number;
                }
            }
            b'T' | b't' => {
                chunked |= value_of(field, b"transfer-encoding")
                    .is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
    }
    let incomplete = FramingError("a request whose body is shorter than it says");
    let used = if chunked {
        read_chunks(&mut CHUNK_START.clone(), rest, |_| ()).ok().flatten()
    } else {
        Some(length)
    };
    let rest = used.and_then(|used| rest.get(used..)).ok_or(incomplete)?;
    Ok((first.starts_with(b"HEAD "), rest))
}

/// Returns the first line without its end, and the rest of the text.
fn line(text: &[u8]) -> Result<(&[u8], &[u8]), FramingError> {
    let end = text.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or(FramingError("a request whose head does not end"))?;
    let line = &text[..end];
    Ok((line.strip_suffix(b"\r").unwrap_or(line), &text[end + 1..]))
}

fn is_request_line(line: &[u8]) -> bool {
    let version = line.iter().rposition(|byte| *byte == b' ').map(|at| &line[at + 1..]);
    version.is_some_and(|version| version.starts_with(b"HTTP/1.")) && line[0].is_ascii_uppercase()
}

/// Returns the value of a header line if its name is `name`.
fn value_of<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (own, value) = field.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    own.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    const POST: &str = "POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\na\r\n";
    const CHUNKED: &str =
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\r\nG\r\n0\r\n\r\n";
    const HEAD: &str = "HEAD / HTTP/1.1\r\n\r\n";

    fn count(text: &str) -> Result<(u64, bool), String> {
        frame(text.as_bytes()).map(|f| (f.requests, f.bodyless)).map_err(|e| e.to_string())
    }

    #[test]
    fn requests_are_counted_by_their_framing() {
        assert_eq!(count(GET), Ok((1, false)));
        assert_eq!(count(&[GET, POST, CHUNKED, GET].concat()), Ok((4, false)));
        assert_eq!(count(&[HEAD, HEAD].concat()), Ok((2, true)));
        assert_eq!(count("\r\nGET / HTTP/1.1\nHost: h\n\n\n"), Ok((1, false)));
        assert_eq!(count(&GET.repeat(1_024)), Ok((1_024, false)));
    }

    #[test]
    fn a_text_that_is_not_a_sequence_of_complete_requests_is_refused() {
        let many = GET.repeat(1_025);
        let mixed = [GET, HEAD].concat();
        for (text, part) in [
            ("", "empty"),
            ("\r\n", "empty"),
            ("hello", "does not end"),
            ("hello\n", "not an HTTP/1.1 request"),
            ("GET / HTTP/1.1\r\nHost: h\r\n", "does not end"),
            ("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort", "shorter"),
            ("POST / HTTP/1.1\r\nContent-Length: nine\r\n\r\n", "not a number"),
            ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", "shorter"),
            ("POST / HTTP/1.1\r\n\r\na body without a length", "does not end"),
            (&many, "1,024"),
            (&mixed, "HEAD"),
        ] {
            let refused = count(text).expect_err(part);
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), begin in 0usize..4) {
            let begin = [b"".as_slice(), GET.as_bytes(), b"POST / HTTP/1.1\r\nContent-Length: ", CHUNKED.as_bytes()][begin];
            let _ = frame(&[begin, &bytes].concat());
        }
    }
}
