//! Commands out of bytes: arrays of bulk strings, and lines of words as people type them.
//!
//! Why not the `redis` crate's parser: it is made for replies. It takes every type and nests them a
//! hundred deep, copies each string, makes room for as many elements as an array claims to have, and
//! waits for as many bytes as a string claims to have: a peer can make it hold anything. It begins
//! anew with each read, and it knows no lines of words. A command is flat, so that this one is small:
//! it remembers where it stopped, allocates nothing but the list of places, and refuses at once what
//! cannot become a command within [`MAX_FRAME`].

use super::args::{Args, WordSpan};

/// Bytes of one command at most.
pub(crate) const MAX_FRAME: usize = 64 << 20;
/// Arguments of one command at most, as in Redis.
pub(crate) const MAX_ARGS: usize = 1 << 20;
/// Bytes of one line of words at most, as in Redis.
pub(crate) const MAX_LINE: usize = 64 << 10;
/// Bytes of a length and its line end at most; no number that is valid needs more.
const MAX_HEADER: usize = 32;
/// Places that are kept between two commands.
const KEPT_SPANS: usize = 4_096;

/// Fault of a peer that does not follow the protocol; it ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RespError {
    /// The number of an array's elements.
    ArrayLength,
    /// The length of a string.
    BulkLength,
    /// An array holds something else than strings.
    NotABulk(u8),
    /// A string is longer than it says.
    BulkEnd,
    /// A line of words is too long.
    LineTooLong,
    /// A line of words has quotes.
    Quotes,
    /// The command is larger than [`MAX_FRAME`].
    TooLarge,
}

impl std::fmt::Display for RespError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::ArrayLength => f.write_str("invalid multibulk length"),
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::NotABulk(byte) => write!(f, "expected '$', got '{}'", byte.escape_ascii()),
            Self::BulkEnd => f.write_str("a bulk string does not end where it says"),
            Self::LineTooLong => f.write_str("too big inline request"),
            Self::Quotes => f.write_str("quotes are not known in inline requests"),
            Self::TooLarge => write!(f, "a command of more than {MAX_FRAME} bytes"),
        }
    }
}

/// Finds commands in what has been read, whatever pieces it comes in.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    spans: Vec<WordSpan>,
    /// Elements that the array still lacks.
    missing: usize,
    /// Position up to which the current command has been parsed.
    at: usize,
}

impl Parser {
    /// The length of the command at the beginning of `input`, once it is complete. `input` must begin
    /// with the same command until then.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<Option<usize>, RespError> {
        match input.first() {
            None => Ok(None),
            Some(b'*') => self.array(input),
            Some(_) => self.line(input),
        }
    }

    /// The words of the command that was found; none in an empty line or array.
    pub(crate) fn args<'a>(&'a self, input: &'a [u8]) -> Args<'a> {
        Args::new(input, &self.spans)
    }

    /// Lets go of the command that was found: the next one begins behind it.
    pub(crate) fn reset(&mut self) {
        self.spans.clear();
        self.spans.shrink_to(KEPT_SPANS);
        (self.missing, self.at) = (0, 0);
    }

    fn array(&mut self, input: &[u8]) -> Result<Option<usize>, RespError> {
        if self.at == 0 {
            let Some((count, next)) = number(input, 1, RespError::ArrayLength)? else {
                return Ok(None);
            };
            // Redis takes a negative count for none as well.
            self.missing = usize::try_from(count).unwrap_or(0);
            if self.missing > MAX_ARGS {
                return Err(RespError::ArrayLength);
            }
            self.at = next;
        }
        while self.missing > 0 {
            let Some(next) = self.bulk(input)? else { return Ok(None) };
            self.at = next;
            self.missing -= 1;
        }
        Ok(Some(self.at))
    }

    /// Takes in one string, and says where it ends.
    fn bulk(&mut self, input: &[u8]) -> Result<Option<usize>, RespError> {
        match input.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&other) => return Err(RespError::NotABulk(other)),
        }
        let Some((len, begin)) = number(input, self.at + 1, RespError::BulkLength)? else {
            return Ok(None);
        };
        let len = usize::try_from(len).map_err(|_| RespError::BulkLength)?;
        if len > MAX_FRAME || begin + len + 2 > MAX_FRAME {
            return Err(RespError::TooLarge);
        }
        match input.get(begin + len..begin + len + 2) {
            None => Ok(None),
            Some(b"\r\n") => {
                self.spans.push(WordSpan::new(begin, len));
                Ok(Some(begin + len + 2))
            }
            Some(_) => Err(RespError::BulkEnd),
        }
    }

    fn line(&mut self, input: &[u8]) -> Result<Option<usize>, RespError> {
        let end = input[self.at..].iter().position(|&byte| byte == b'\n');
        let Some(end) = end.map(|end| self.at + end).filter(|&end| end <= MAX_LINE) else {
            self.at = input.len();
            return if self.at > MAX_LINE { Err(RespError::LineTooLong) } else { Ok(None) };
        };
        let line = &input[..end];
        if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
            return Err(RespError::Quotes);
        }
        let mut begin = 0;
        for word in line.split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                self.spans.push(WordSpan::new(begin, word.len()));
            }
            begin += word.len() + 1;
        }
        Ok(Some(end + 1))
    }
}

/// A decimal number and its line end, from `begin`: its value and where the next thing begins.
fn number(input: &[u8], begin: usize, wrong: RespError) -> Result<Option<(i64, usize)>, RespError> {
    let rest = input.get(begin..).unwrap_or_default();
    let rest = &rest[..rest.len().min(MAX_HEADER)];
    let negative = rest.first() == Some(&b'-');
    let mut value = 0i64;
    for (n, &byte) in rest.iter().enumerate().skip(usize::from(negative)) {
        match byte {
            b'0'..=b'9' => {
                let digit = i64::from(byte - b'0');
                value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(wrong)?;
            }
            b'\r' if n > usize::from(negative) => {
                return match rest.get(n + 1) {
                    Some(b'\n') => Ok(Some((if negative { -value } else { value }, begin + n + 2))),
                    None if rest.len() < MAX_HEADER => Ok(None),
                    _ => Err(wrong),
                };
            }
            _ => return Err(wrong),
        }
    }
    if rest.len() < MAX_HEADER { Ok(None) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All commands of `input`, which comes in pieces of these lengths, and the error at the end.
    fn parse(
        input: &[u8],
        pieces: impl IntoIterator<Item = usize>,
    ) -> (Vec<Vec<Vec<u8>>>, Option<RespError>) {
        let (mut parser, mut commands) = (Parser::default(), Vec::new());
        let (mut from, mut to) = (0, 0);
        for piece in pieces.into_iter().chain([input.len()]) {
            to = input.len().min(to + piece);
            loop {
                let rest = &input[from..to];
                match parser.advance(rest) {
                    Ok(None) => break,
                    Err(error) => return (commands, Some(error)),
                    Ok(Some(len)) => {
                        assert!((1..=rest.len()).contains(&len));
                        commands.push(parser.args(rest).from(0).map(<[u8]>::to_vec).collect());
                        parser.reset();
                        from += len;
                    }
                }
            }
        }
        (commands, None)
    }

    #[test]
    fn arrays_and_lines_are_told_apart() {
        let input = b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n\n PING  x\r\n*0\r\n*-1\r\n*1\r\n$1\r\n";
        let word = |text: &str| text.as_bytes().to_vec();
        let expected =
            [vec![word("GET"), word("")], vec![], vec![word("PING"), word("x")], vec![], vec![]];
        assert_eq!(parse(input, []), (expected.to_vec(), None));
    }

    #[test]
    fn a_header_without_end_is_refused_early() {
        assert_eq!(parse(b"*1", []).1, None);
        assert_eq!(parse(&[b"*", &[b'0'; 40][..]].concat(), []).1, Some(RespError::ArrayLength));
        assert_eq!(parse(b"*1\rx", []).1, Some(RespError::ArrayLength));
        assert_eq!(parse(b"*1\r\n$67108864\r\n", []).1, Some(RespError::TooLarge));
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let part = prop::sample::select(vec![
            &b"*"[..],
            b"$",
            b"\r\n",
            b"\r",
            b"\n",
            b"-",
            b"0",
            b"1",
            b"3",
            b"99999999999",
            b"GET",
            b"*1\r\n$4\r\nPING\r\n",
            b" ",
            b"\"",
            b"\xff",
        ]);
        prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_panics_and_pieces_do_not_matter(
            input in prop_oneof![hostile(), prop::collection::vec(any::<u8>(), 0..200)],
            pieces in prop::collection::vec(0usize..20, 0..40),
        ) {
            prop_assert_eq!(parse(&input, pieces), parse(&input, []));
        }
    }
}
