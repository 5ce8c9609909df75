//! The words of a command, and what they may mean.

use std::time::Duration;

use super::refusal::CommandError;

/// Position of a word in the bytes that were read. Half the size of a range: a command may have a million words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WordSpan {
    begin: u32,
    len: u32,
}

impl WordSpan {
    /// Within a frame, whose bound is far below what fits.
    pub(super) fn new(begin: usize, len: usize) -> Self {
        Self { begin: begin as u32, len: len as u32 }
    }
}

/// The words of one command, in place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Args<'a> {
    input: &'a [u8],
    spans: &'a [WordSpan],
}

impl<'a> Args<'a> {
    pub(super) fn new(input: &'a [u8], spans: &'a [WordSpan]) -> Self {
        Self { input, spans }
    }

    /// Returns the number of words, with the name of the command.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns true if there is not even a name.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The word at a place; beyond the last one an empty word.
    pub(crate) fn word(&self, n: usize) -> &'a [u8] {
        self.get(n).unwrap_or_default()
    }

    /// The word at a place.
    pub(crate) fn get(&self, n: usize) -> Option<&'a [u8]> {
        self.spans.get(n).map(|span| slice(self.input, *span))
    }

    /// The words from a place on.
    pub(crate) fn from(&self, n: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let input = self.input;
        self.spans.get(n..).unwrap_or_default().iter().map(move |span| slice(input, *span))
    }

    /// A number as Redis reads it: no sign but a minus, no zero in front.
    pub(super) fn integer(&self, n: usize) -> Result<i64, CommandError> {
        integer(self.word(n)).ok_or(CommandError::NotAnInteger)
    }

    /// A number that is at least `least`, or what Redis says of any other.
    pub(super) fn at_least(
        &self,
        n: usize,
        least: i64,
        or: CommandError,
    ) -> Result<usize, CommandError> {
        let number = integer(self.word(n)).filter(|&number| number >= least);
        number.and_then(|number| usize::try_from(number).ok()).ok_or(or)
    }

    /// Reads a time to wait: seconds with fractions; 0 is without limit.
    pub(super) fn timeout(&self, n: usize) -> Result<Option<Duration>, CommandError> {
        let text = std::str::from_utf8(self.word(n)).ok();
        let seconds: f64 =
            text.and_then(|text| text.parse().ok()).ok_or(CommandError::TimeoutNotAFloat)?;
        // Redis counts milliseconds, and a fraction of one is one.
        let millis = (seconds * 1_000.0).ceil();
        if seconds.is_nan() {
            Err(CommandError::TimeoutNotAFloat)
        } else if millis > i64::MAX as f64 {
            Err(CommandError::TimeoutOutOfRange)
        } else if millis < 0.0 {
            Err(CommandError::TimeoutNegative)
        } else {
            Ok(Some(millis as u64).filter(|&millis| millis > 0).map(Duration::from_millis))
        }
    }
}

fn slice(input: &[u8], span: WordSpan) -> &[u8] {
    let begin = span.begin as usize;
    input.get(begin..begin + span.len as usize).unwrap_or_default()
}

fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // Only as it would be printed: not +1, not 01, not -0.
    (itoa::Buffer::new().format(number).as_bytes() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<T>(word: &[u8], read: impl FnOnce(Args<'_>) -> T) -> T {
        read(Args::new(word, &[WordSpan::new(0, word.len())]))
    }

    /// Bytes that are often nearly numbers.
    fn nearly_numbers() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            "[-+]?[0-9]{0,21}".prop_map(String::into_bytes),
            "[-+]?[0-9]{0,20}([.][0-9]{0,5})?([eE][-+]?[0-9]{1,4})?".prop_map(String::into_bytes),
            "[-+]?(inf|infinity|nan|0x10|1_000)".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..8),
        ]
    }

    proptest! {
        #[test]
        fn an_integer_is_what_prints_the_same(word in nearly_numbers(), least in -1i64..3) {
            let number = std::str::from_utf8(&word).ok().and_then(|text| text.parse::<i128>().ok());
            let number = number.filter(|number| number.to_string().as_bytes() == word);
            let expected = number.and_then(|number| i64::try_from(number).ok());
            prop_assert_eq!(read(&word, |args| args.integer(0).ok()), expected);
            let count = expected.filter(|&number| number >= least.max(0)).map(|number| number as usize);
            prop_assert_eq!(read(&word, |args| args.at_least(0, least, CommandError::Count).ok()), count);
        }

        #[test]
        fn a_wait_is_never_shorter_than_asked(word in nearly_numbers()) {
            let seconds = std::str::from_utf8(&word).ok().and_then(|text| text.parse::<f64>().ok());
            match (read(&word, |args| args.timeout(0)), seconds) {
                (Ok(None), Some(seconds)) => prop_assert!((-0.001..=0.0).contains(&seconds)),
                (Ok(Some(wait)), Some(seconds)) => {
                    prop_assert!(wait >= Duration::from_millis(1));
                    // As exactly as such a number has it, and at most a millisecond longer.
                    let (wait, error) = (wait.as_secs_f64(), 4.0 * f64::EPSILON);
                    prop_assert!(wait >= seconds * (1.0 - error));
                    prop_assert!(wait <= (seconds + 0.001) * (1.0 + error));
                }
                (Err(CommandError::TimeoutNegative), Some(seconds)) => prop_assert!(seconds < 0.0),
                (Err(CommandError::TimeoutOutOfRange), Some(seconds)) => prop_assert!(seconds > 1e15),
                (Err(CommandError::TimeoutNotAFloat), seconds) => {
                    prop_assert!(seconds.is_none_or(f64::is_nan));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
