//! Sets of MsgIDs, a bit for each: the ids of a run with `--first-id` are dense.

/// Larger ids are not of these tests.
const LIMIT: u64 = 1 << 32;

/// A set of MsgIDs.
#[derive(Debug, Default)]
pub(crate) struct IdSet {
    words: Vec<u64>,
}

impl IdSet {
    /// Returns false if the id was there already.
    pub(crate) fn insert(&mut self, id: u64) -> bool {
        assert!(id < LIMIT, "{id} is not an id of this test");
        let (word, bit) = ((id / 64) as usize, 1 << (id % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.words.get((id / 64) as usize).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    pub(crate) fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The ids that are not in `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let other = other.words.iter().copied().chain(std::iter::repeat(0));
        Self { words: self.words.iter().zip(other).map(|(own, other)| own & !other).collect() }
    }
}

/// The MsgID of a message as the generator writes it; `None` for other bytes.
pub(crate) fn msg_id(message: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"MsgID\":";
    let at = message.windows(NAME.len()).position(|part| part == NAME)? + NAME.len();
    let digits = message[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let digits: Vec<u8> = digits.copied().collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}
