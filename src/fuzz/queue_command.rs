//! The embedded queue's parser of commands.

use crate::pipeline::servers::embedded::queue::args::Args;
use crate::pipeline::servers::embedded::queue::parser::{MAX_FRAME, MAX_LINE, Parser, RespError};

use super::{filled, ways};

/// The header that may begin where a frame has no more room.
const HEADER: usize = 32;

type Words = Vec<Vec<u8>>;

/// Commands that an input contains.
#[derive(Debug, PartialEq)]
struct ReadCommands {
    /// With the length that each had.
    commands: Vec<(Words, usize)>,
    error: Option<RespError>,
}

/// Commands and lines in any pieces: the same however they are cut, bounded, and what is found can be
/// written and found again.
pub(super) fn check(input: &[u8]) {
    let whole = read(&[input]);
    for pieces in ways(input) {
        assert_eq!(read(&pieces), whole, "in pieces");
    }
    assert_is_bounded(input, &whole);
    for (words, _) in &whole.commands {
        let array = as_array(words);
        assert_eq!(read(&[&array]), one(words, array.len()), "as an array");
        if let Some(line) = as_line(words) {
            assert_eq!(read(&[&line]), one(words, line.len()), "as a line");
        }
    }
}

fn read(pieces: &[&[u8]]) -> ReadCommands {
    let (mut parser, mut input, mut commands) = (Parser::default(), Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match parser.advance(&input) {
                Ok(None) => break,
                Err(error) => return ReadCommands { commands, error: Some(error) },
                Ok(Some(len)) => {
                    assert!((1..=input.len()).contains(&len), "{len} of {}", input.len());
                    commands.push((words(parser.args(&input)), len));
                    parser.reset();
                    input.drain(..len);
                }
            }
        }
        assert_eq!(parser.advance(&input), Ok(None), "it still waits");
    }
    ReadCommands { commands, error: None }
}

/// Reads the words in each way there is.
fn words(args: Args<'_>) -> Words {
    let words: Words = args.from(0).map(<[u8]>::to_vec).collect();
    assert_eq!((args.len(), args.is_empty()), (words.len(), words.is_empty()));
    for (n, word) in words.iter().enumerate() {
        assert!(args.get(n) == Some(word) && args.word(n) == word, "word {n}");
    }
    assert!(args.get(words.len()).is_none() && args.word(words.len()).is_empty());
    assert_eq!(args.from(words.len() + 1).len(), 0);
    words
}

/// Whatever half a command promises, as much as a command may have decides it.
fn assert_is_bounded(input: &[u8], whole: &ReadCommands) {
    let rest = &input[whole.commands.iter().map(|(_, len)| len).sum()..];
    let bound = match rest.first() {
        _ if whole.error.is_some() => return,
        None => return,
        Some(b'*') => MAX_FRAME + HEADER,
        Some(_) => MAX_LINE + 1,
    };
    assert!(rest.len() < bound, "{} bytes are waited with", rest.len());
    let mut parser = Parser::default();
    assert_eq!(parser.advance(rest), Ok(None));
    let decided = filled(rest, bound, |input| parser.advance(input));
    assert_ne!(decided, Ok(None), "{bound} bytes do not do");
}

fn one(words: &Words, len: usize) -> ReadCommands {
    ReadCommands { commands: vec![(words.clone(), len)], error: None }
}

fn as_array(words: &Words) -> Vec<u8> {
    let mut array = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        array.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        array.extend_from_slice(word);
        array.extend_from_slice(b"\r\n");
    }
    array
}

/// Returns the same command as a line, if a line can contain it.
fn as_line(words: &Words) -> Option<Vec<u8>> {
    let line = [words.join(&b' '), b"\r\n".to_vec()].concat();
    let sayable = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'');
    let whole = |word: &Vec<u8>| !word.is_empty() && word.iter().all(sayable);
    (words.iter().all(whole) && !line.starts_with(b"*") && line.len() <= MAX_LINE).then_some(line)
}
