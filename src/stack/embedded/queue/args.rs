//! The words of a command, and what they may mean.

use std::time::Duration;

use super::refusal::Refusal;

/// Where a word lies in what was read. Half the size of a range: a command may have a million words.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    begin: u32,
    len: u32,
}

impl Span {
    /// Within a frame, whose bound is far below what fits.
    pub(super) fn new(begin: usize, len: usize) -> Self {
        Self { begin: begin as u32, len: len as u32 }
    }
}

/// The words of one command, in place.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    input: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    pub(super) fn new(input: &'a [u8], spans: &'a [Span]) -> Self {
        Self { input, spans }
    }

    /// How many, the command's name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The word at a place; beyond the last one an empty word.
    pub fn word(&self, n: usize) -> &'a [u8] {
        self.get(n).unwrap_or_default()
    }

    /// The word at a place.
    pub fn get(&self, n: usize) -> Option<&'a [u8]> {
        self.spans.get(n).map(|span| slice(self.input, *span))
    }

    /// The words from a place on.
    pub fn from(&self, n: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let input = self.input;
        self.spans.get(n..).unwrap_or_default().iter().map(move |span| slice(input, *span))
    }

    /// A number as Redis reads it: no sign but a minus, no zero in front.
    pub(super) fn integer(&self, n: usize) -> Result<i64, Refusal> {
        integer(self.word(n)).ok_or(Refusal::NotAnInteger)
    }

    /// A number that is at least `least`, or what Redis says of any other.
    pub(super) fn at_least(&self, n: usize, least: i64, or: Refusal) -> Result<usize, Refusal> {
        let number = integer(self.word(n)).filter(|&number| number >= least);
        number.and_then(|number| usize::try_from(number).ok()).ok_or(or)
    }

    /// How long to wait: seconds with fractions, 0 for ever.
    pub(super) fn timeout(&self, n: usize) -> Result<Option<Duration>, Refusal> {
        let text = std::str::from_utf8(self.word(n)).ok();
        let seconds: f64 =
            text.and_then(|text| text.parse().ok()).ok_or(Refusal::TimeoutNotAFloat)?;
        // Redis counts milliseconds, and a fraction of one is one.
        let millis = (seconds * 1_000.0).ceil();
        if seconds.is_nan() {
            Err(Refusal::TimeoutNotAFloat)
        } else if millis > i64::MAX as f64 {
            Err(Refusal::TimeoutOutOfRange)
        } else if millis < 0.0 {
            Err(Refusal::TimeoutNegative)
        } else {
            Ok(Some(millis as u64).filter(|&millis| millis > 0).map(Duration::from_millis))
        }
    }
}

fn slice(input: &[u8], span: Span) -> &[u8] {
    let begin = span.begin as usize;
    input.get(begin..begin + span.len as usize).unwrap_or_default()
}

fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // Only as it would be printed: not +1, not 01, not -0.
    (itoa::Buffer::new().format(number).as_bytes() == text).then_some(number)
}
