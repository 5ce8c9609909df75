//! Reader of HTTP/1.1 responses that arrive in any pieces: parses the head and measures the body. Allocates
//! nothing while heads arrive whole; a head in pieces is stored until it is complete.

use super::InvalidResponse;
use super::captured::CapturedResponse;
use super::chunked::read_chunks;
use super::head::{BodyEnd, ResponseHead, check_length, read_head};

/// Result of one piece of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadProgress {
    /// The response is not complete yet.
    More,
    /// The response is complete.
    Done {
        /// HTTP status, 200 to 999: interim responses are skipped.
        status: u16,
        /// True if the connection can carry another request.
        keep_alive: bool,
        /// Number of bytes of the piece that belong to the response.
        used: usize,
    },
}

/// Reader of one connection's responses, one after another.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    /// Bytes of a head that arrives in pieces.
    partial: Vec<u8>,
    /// Head of the response whose body is being read.
    current: Option<ResponseHead>,
    /// True if responses have no body, whatever their head says: the method is HEAD.
    bodyless: bool,
    /// Copy of the response, if a script wants to see it.
    captured: Option<Box<CapturedResponse>>,
}

impl ResponseReader {
    /// Creates a reader. `bodyless` is true if the requests are HEAD.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn new(bodyless: bool) -> Self {
        Self { bodyless, ..Self::default() }
    }

    /// Sets whether the next response is that of a HEAD request.
    pub(super) fn expect(&mut self, bodyless: bool) {
        self.bodyless = bodyless;
    }

    /// Captures responses from now on.
    pub(super) fn capture(&mut self) {
        self.captured = Some(Box::default());
    }

    /// Last complete response, if responses are captured.
    pub(super) fn captured(&self) -> Option<&CapturedResponse> {
        self.captured.as_deref()
    }

    /// Discards a partial response, for a new connection.
    pub(crate) fn reset(&mut self) {
        self.partial.clear();
        self.current = None;
    }

    /// Returns true if part of a response has been read.
    pub(super) fn is_in_progress(&self) -> bool {
        self.current.is_some() || !self.partial.is_empty()
    }

    /// Reads the next piece of input.
    pub(crate) fn feed(&mut self, data: &[u8]) -> Result<ReadProgress, InvalidResponse> {
        if self.current.is_some() {
            return self.feed_body(data, 0);
        }
        if self.partial.is_empty() {
            return self.feed_head(data, 0);
        }
        // Rare: the head arrives in pieces. It is joined and parsed from its beginning.
        let before = self.partial.len();
        self.partial.extend_from_slice(data);
        let joined = std::mem::take(&mut self.partial);
        let progress = self.feed_head(&joined, before);
        if self.partial.is_empty() {
            self.partial = joined;
            self.partial.clear();
        }
        progress
    }

    /// Handles the end of the input. Returns the status of a response that only a close can end.
    pub(crate) fn end_of_input(&mut self) -> Option<u16> {
        match self.current.take() {
            Some(ResponseHead { body: BodyEnd::UntilClose, status, .. }) => Some(status),
            _ => None,
        }
    }

    /// Reads a head at the start of `data`, of which `before` bytes came in earlier pieces.
    fn feed_head(&mut self, data: &[u8], before: usize) -> Result<ReadProgress, InvalidResponse> {
        let mut at = 0;
        loop {
            match read_head(&data[at..], self.bodyless)? {
                None => {
                    check_length(data.len() - at)?;
                    self.partial.extend_from_slice(&data[at..]);
                    return Ok(ReadProgress::More);
                }
                // RFC 9110, 15.2: any number of interim responses may come first.
                Some(head) if head.status < 200 => at += head.len,
                Some(head) => {
                    if let Some(captured) = &mut self.captured {
                        captured.begin(&data[at..at + head.len]);
                    }
                    at += head.len;
                    self.current = Some(head);
                    break;
                }
            }
        }
        let progress = self.feed_body(&data[at..], at)?;
        Ok(match progress {
            ReadProgress::Done { status, keep_alive, used } => {
                ReadProgress::Done { status, keep_alive, used: used.saturating_sub(before) }
            }
            more @ ReadProgress::More => more,
        })
    }

    /// Reads body from `data`, which begins `offset` bytes into the piece.
    fn feed_body(&mut self, data: &[u8], offset: usize) -> Result<ReadProgress, InvalidResponse> {
        let Some(head) = &mut self.current else { return Ok(ReadProgress::More) };
        let captured = &mut self.captured;
        let used = match &mut head.body {
            BodyEnd::None => Some(0),
            BodyEnd::UntilClose => {
                capture(captured, data);
                None
            }
            BodyEnd::Length(left) => {
                let step = (*left).min(data.len() as u64);
                *left -= step;
                capture(captured, &data[..step as usize]);
                (*left == 0).then_some(step as usize)
            }
            BodyEnd::Chunked(chunk) => read_chunks(chunk, data, |piece| capture(captured, piece))?,
        };
        let Some(used) = used else { return Ok(ReadProgress::More) };
        let ResponseHead { status, keep_alive, .. } = *head;
        self.current = None;
        Ok(ReadProgress::Done { status, keep_alive, used: offset + used })
    }
}

/// Adds a piece of a body to the captured response, if there is one.
fn capture(captured: &mut Option<Box<CapturedResponse>>, piece: &[u8]) {
    if let Some(captured) = captured {
        captured.add(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::transport::http1::{MAX_FIELDS, MAX_HEAD};
    use proptest::prelude::*;

    /// Feeds `input` in pieces of the given sizes, over and over; the end counts as a close.
    fn read(
        input: &[u8],
        sizes: &[usize],
        bodyless: bool,
    ) -> Result<Option<(u16, bool, usize)>, InvalidResponse> {
        read_with(&mut ResponseReader::new(bodyless), input, sizes)
    }

    fn read_with(
        reader: &mut ResponseReader,
        input: &[u8],
        sizes: &[usize],
    ) -> Result<Option<(u16, bool, usize)>, InvalidResponse> {
        let mut sizes = sizes.iter().cycle();
        let mut at = 0;
        while at < input.len() {
            let end = (at + sizes.next().copied().unwrap_or(1).max(1)).min(input.len());
            match reader.feed(&input[at..end])? {
                ReadProgress::Done { status, keep_alive, used } => {
                    return Ok(Some((status, keep_alive, at + used)));
                }
                ReadProgress::More => at = end,
            }
        }
        Ok(reader.end_of_input().map(|status| (status, false, at)))
    }

    const COMPLETE: [(&str, u16, bool); 13] = [
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            200,
            false,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, true),
        ("HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, true),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, true),
        ("HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 500, false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nA;x=y\r\n0123456789\r\n00\r\nT: 1\r\n\r\n",
            200,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            200,
            true,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
            201,
            true,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", 200, true),
    ];

    #[test]
    fn complete_responses_are_read_whole() {
        for (text, status, keep_alive) in COMPLETE {
            assert_eq!(
                read(text.as_bytes(), &[4096], false),
                Ok(Some((status, keep_alive, text.len()))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_close_ends_only_a_response_that_has_no_other_end() {
        let open = "HTTP/1.1 200 OK\r\n\r\nwhatever comes";
        assert_eq!(read(open.as_bytes(), &[7], false), Ok(Some((200, false, open.len()))));
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
        assert_eq!(read(short.as_bytes(), &[7], false), Ok(None));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nX: ", &[7], false), Ok(None));
    }

    #[test]
    fn a_head_response_has_no_body() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(read(text.as_bytes(), &[5], true), Ok(Some((200, true, text.len()))));
    }

    #[test]
    fn a_head_of_the_largest_length_is_read_and_a_longer_one_is_refused() {
        for (more, fits) in [(0, true), (1, false)] {
            let (begin, end) = ("HTTP/1.1 200 OK\r\nA: ", "\r\nContent-Length: 0\r\n\r\n");
            let filler = "b".repeat(MAX_HEAD - begin.len() - end.len() + more);
            let text = [begin, &filler, end].concat();
            // Read buffers hold more than a head.
            for size in [text.len(), MAX_HEAD - 1, 4096] {
                let read = read(text.as_bytes(), &[size], false);
                assert_eq!(read.is_ok(), fits, "{more} more in pieces of {size}: {read:?}");
            }
        }
    }

    #[test]
    fn invalid_responses_are_refused() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_HEAD + 1));
        let trailer = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: {}",
            "b".repeat(MAX_HEAD + 2)
        );
        for text in [
            "garbage\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11112222333344445\r\n",
            &many,
            &endless,
            &trailer,
        ] {
            assert!(
                read(text.as_bytes(), &[1000], false).is_err(),
                "{}",
                &text[..text.len().min(80)]
            );
        }
    }

    proptest! {
        #[test]
        fn a_response_is_the_same_in_any_pieces(which in 0..COMPLETE.len(), sizes in prop::collection::vec(1usize..40, 1..8)) {
            let (text, status, keep_alive) = COMPLETE[which];
            prop_assert_eq!(read(text.as_bytes(), &sizes, false), Ok(Some((status, keep_alive, text.len()))));
        }

        #[test]
        fn a_captured_body_is_complete_in_any_pieces(
            which in 0usize..3, size in 0usize..300, sizes in prop::collection::vec(1usize..40, 1..8),
        ) {
            let body: String = ('a'..='z').cycle().take(size).collect();
            let text = match which {
                0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{body}"),
                1 => format!("HTTP/1.1 200 OK\r\nKind: open\r\n\r\n{body}"),
                _ => {
                    let (one, two) = body.split_at(size / 3);
                    let chunk = |data: &str| match data.len() {
                        0 => String::new(),
                        len => format!("{len:x}\r\n{data}\r\n"),
                    };
                    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                    format!("{head}{}{}0\r\nT: 1\r\n\r\n", chunk(one), chunk(two))
                }
            };
            let mut reader = ResponseReader::default();
            reader.capture();
            // The second response must leave nothing of the first.
            for _ in 0..2 {
                read_with(&mut reader, text.as_bytes(), &sizes).expect("complete");
                let kept = reader.captured().expect("captured");
                prop_assert_eq!(kept.body(), body.as_bytes());
                let mut names = Vec::new();
                kept.fields(|name, _| names.push(name.to_owned()));
                prop_assert_eq!(names, [["Content-Length", "Kind", "Transfer-Encoding"][which]]);
            }
        }

        #[test]
        fn bytes_after_a_response_are_not_used(which in 0..COMPLETE.len(), sizes in prop::collection::vec(1usize..40, 1..8)) {
            let (text, status, keep_alive) = COMPLETE[which];
            let longer = format!("{text}HTTP");
            prop_assert_eq!(read(longer.as_bytes(), &sizes, false), Ok(Some((status, keep_alive, text.len()))));
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300), chunked in any::<bool>(), size in 1usize..50,
        ) {
            let head: &[u8] = if chunked { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" } else { b"" };
            let _ = read(&[head, &bytes].concat(), &[size], false);
        }
    }
}
