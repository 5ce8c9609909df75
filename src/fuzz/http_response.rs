//! The raw engine's reader of responses.

use crate::engine::transport::http1::InvalidResponse;
use crate::engine::transport::http1::response::{ReadProgress, ResponseReader};

use super::ways;

/// The longest head.
const MAX_HEAD: usize = 64 * 1024;
/// Fields of a head, as many as httparse is given room for.
const MAX_FIELDS: usize = 128;

/// Responses that an input contains.
#[derive(Debug, PartialEq)]
struct ReadResponses {
    /// Status, whether the connection lives on, and where the response ended.
    responses: Vec<(u16, bool, usize)>,
    end: End,
}

#[derive(Debug, PartialEq)]
enum End {
    /// The input breaks the protocol. Which fault is left open: there may be two.
    Broken,
    /// The connection closed, and with it ended a response.
    Closed(u16),
    /// The connection closed too early, or between two responses.
    Open,
}

/// Responses in any pieces: the same however they are cut, and bounded.
pub(super) fn check(input: &[u8]) {
    for bodyless in [false, true] {
        let whole = read(&mut ResponseReader::new(bodyless), &[input]);
        for pieces in ways(input) {
            assert_eq!(read(&mut ResponseReader::new(bodyless), &pieces), whole, "in pieces");
        }
        let mut reader = ResponseReader::new(bodyless);
        let _ = reader.feed(&input[..input.len() / 2]);
        reader.reset();
        assert_eq!(read(&mut reader, &[input]), whole, "on another connection");
        check_heads(input, bodyless, &whole);
        if !bodyless {
            check_longest(input, &whole);
        }
    }
    check_written(input);
}

/// Reads responses until the connection would be closed.
fn read(reader: &mut ResponseReader, pieces: &[&[u8]]) -> ReadResponses {
    let (mut responses, mut before) = (Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        while at < piece.len() {
            match reader.feed(&piece[at..]) {
                Err(InvalidResponse(why)) => {
                    assert!(!why.is_empty());
                    return ReadResponses { responses, end: End::Broken };
                }
                Ok(ReadProgress::More) => at = piece.len(),
                Ok(ReadProgress::Done { status, keep_alive, used }) => {
                    assert!((200..=999).contains(&status), "{status}");
                    assert!((1..=piece.len() - at).contains(&used), "{used}");
                    at += used;
                    responses.push((status, keep_alive, before + at));
                    if !keep_alive {
                        return ReadResponses { responses, end: End::Open };
                    }
                }
            }
        }
        before += piece.len();
    }
    let end = reader.end_of_input().map_or(End::Open, End::Closed);
    assert_eq!(reader.end_of_input(), None, "a response ends once");
    ReadResponses { responses, end }
}

/// Holds the heads against httparse, which reads each of them alone.
fn check_heads(input: &[u8], bodyless: bool, whole: &ReadResponses) {
    let mut begin = 0;
    for (status, _, end) in &whole.responses {
        let (last, len) = final_head(&input[begin..*end]).expect("a response has a head");
        assert_eq!(last, *status);
        assert!(len <= end - begin);
        if bodyless {
            assert_eq!(len, end - begin, "a head alone");
        }
        begin = *end;
    }
    match (&whole.end, final_head(&input[begin..])) {
        (End::Closed(status), head) => assert_eq!(head.map(|(status, _)| status), Some(*status)),
        (End::Open, None)
            if whole.responses.last().is_none_or(|(_, keep_alive, _)| *keep_alive) =>
        {
            assert_is_bounded(&input[begin..], bodyless);
        }
        _ => {}
    }
}

/// A head may be as long as the limit, and not a byte longer, also in one piece. This makes the reason of the first
/// head longer.
fn check_longest(input: &[u8], whole: &ReadResponses) {
    let Some((status, keep_alive, end)) = whole.responses.first() else { return };
    let version = input.iter().position(|byte| *byte == b'H').expect("a head");
    let code = version + "HTTP/1.1 ".len();
    let (is_interim, reason) = (input[code] == b'1', code + "200".len());
    let room = final_head(input).and_then(|(_, len)| MAX_HEAD.checked_sub(len));
    let Some(room @ 1..) = room.filter(|_| !is_interim) else { return };
    for (more, fits) in [(room, true), (room + 1, false)] {
        let filler = [b" ", &[b'a'; MAX_HEAD][..more - 1]].concat();
        let longer = [&input[..reason], &filler, &input[reason..*end]].concat();
        let expected = if fits {
            let responses = vec![(*status, *keep_alive, end + more)];
            ReadResponses { responses, end: End::Open }
        } else {
            ReadResponses { responses: vec![], end: End::Broken }
        };
        for size in [longer.len(), MAX_HEAD] {
            let pieces: Vec<_> = longer.chunks(size).collect();
            assert_eq!(read(&mut ResponseReader::new(false), &pieces), expected, "{more} more");
        }
    }
}

/// Status of the first head that is not interim, and its end.
fn final_head(input: &[u8]) -> Option<(u16, usize)> {
    let mut at = 0;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(len) = head.parse(&input[at..]).ok()? else { return None };
        at += len;
        match head.code? {
            ..200 => {}
            code => return Some((code, at)),
        }
    }
}

/// A head that does not end is given up.
fn assert_is_bounded(begin: &[u8], bodyless: bool) {
    let mut reader = ResponseReader::new(bodyless);
    assert!(begin.is_empty() || reader.feed(begin) == Ok(ReadProgress::More));
    let broken = (0..2).any(|_| reader.feed(&[b'a'; MAX_HEAD / 2 + 1]).is_err());
    assert!(broken, "a head without end");
}

/// A usual response is read to its end, and no further: `body` in each framing there is.
fn check_written(body: &[u8]) {
    let sized = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let size = 1 + usize::from(*body.first().unwrap_or(&0));
    let mut chunks = Vec::new();
    for chunk in body.chunks(size) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    for written in [[sized.as_bytes(), body].concat(), [chunked, &chunks[..]].concat()] {
        let end = written.len();
        let followed = [&written[..], b"HTTP/1.1 500 Next\r\n"].concat();
        for pieces in [followed.chunks(size).collect(), vec![&followed[..]]] {
            let seen = read(&mut ResponseReader::new(false), &pieces);
            assert_eq!(seen, ReadResponses { responses: vec![(200, true, end)], end: End::Open });
        }
    }
    let closed = [b"HTTP/1.1 200 OK\r\n\r\n", body].concat();
    let seen = read(&mut ResponseReader::new(false), &[&closed]);
    assert_eq!(seen, ReadResponses { responses: vec![], end: End::Closed(200) });
}
