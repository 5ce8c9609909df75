//! Number of bytes to read at once from a stream of packets. The kernel gives one time for all bytes of a
//! read, that of the last byte. So if each packet is to have its own time, each needs a read of its own.

/// Bytes that a read may bring at most.
pub(super) const CHUNK: usize = 64 * 1024;

/// Goal of a read.
#[derive(Debug)]
pub(super) enum ReadSize {
    /// All that is there.
    All,
    /// One packet.
    Packet {
        /// Likely length of the next packet.
        likely: usize,
        /// Bytes that are missing of the packet that has begun; 0 if none has.
        missing: usize,
    },
}

impl ReadSize {
    /// One packet at a time. The first one may be of any length, and the broker says nothing behind it
    /// before it is asked to.
    pub(super) fn packet() -> Self {
        Self::Packet { likely: CHUNK, missing: 0 }
    }

    /// Returns the number of bytes to read, 1 to [`CHUNK`].
    pub(super) fn room(&self) -> usize {
        match *self {
            Self::All => CHUNK,
            Self::Packet { likely, missing: 0 } => likely,
            Self::Packet { missing, .. } => missing.min(CHUNK),
        }
    }

    /// A packet of `len` bytes is complete. To read too little costs another read, to read too much mixes
    /// the times of two packets: so this follows at once to shorter ones, and slowly to longer ones.
    pub(super) fn complete(&mut self, len: usize) {
        if let Self::Packet { likely, missing } = self {
            *likely = len.min(*likely + *likely / 16 + 1).clamp(1, CHUNK);
            *missing = 0;
        }
    }

    /// At least `bytes` are missing of a packet; if none has begun, that says nothing of the next one.
    pub(super) fn lacks(&mut self, bytes: usize, begun: bool) {
        if let Self::Packet { missing, .. } = self {
            *missing = if begun { bytes } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads packets of these lengths, whose headers are two bytes, as a codec asks for them. For each
    /// read: how many packets it completed.
    fn reads(lengths: &[usize]) -> Vec<usize> {
        let mut piece = ReadSize::packet();
        // The answer to the connection stands alone.
        piece.complete(4);
        let total: usize = lengths.iter().sum();
        let (mut left, mut buffered, mut packets) = (total, 0, lengths.iter().copied());
        let (mut current, mut completed) = (packets.next(), Vec::new());
        while let Some(mut length) = current {
            let read = piece.room().min(left);
            assert!(read > 0, "nothing to read, but {length} bytes are missing");
            (left, buffered) = (left - read, buffered + read);
            completed.push(0);
            while buffered >= length {
                piece.complete(length);
                buffered -= length;
                completed.last_mut().map(|count| *count += 1).expect("just pushed");
                current = packets.next();
                let Some(next) = current else { break };
                length = next;
            }
            let known = if buffered < 2 { 2 } else { length };
            piece.lacks(known.saturating_sub(buffered), buffered > 0);
        }
        completed
    }

    #[test]
    fn packets_of_one_length_take_a_read_each() {
        let completed = reads(&[95; 1_000]);
        assert!(completed.iter().all(|count| *count <= 1), "one read mixed two packets");
        assert!(completed.len() < 1_100, "{} reads", completed.len());
    }

    #[test]
    fn a_digit_more_does_not_mix_packets() {
        let lengths: Vec<_> = [95; 100].into_iter().chain([96; 100]).collect();
        assert!(reads(&lengths).iter().all(|count| *count <= 1));
    }

    proptest! {
        #[test]
        fn all_packets_come_in_a_few_reads_each(lengths in prop::collection::vec(2..200_000_usize, 1..100)) {
            let completed = reads(&lengths);
            prop_assert_eq!(completed.iter().sum::<usize>(), lengths.len());
            // Too little, the rest of a header, the rest of the packet.
            let chunks: usize = lengths.iter().map(|length| length / CHUNK).sum();
            prop_assert!(completed.len() <= 3 * lengths.len() + chunks, "{}", completed.len());
        }

        #[test]
        fn what_is_there_is_read_where_times_do_not_matter(lengths in prop::collection::vec(2..1_000_usize, 1..20)) {
            let mut piece = ReadSize::All;
            for length in lengths {
                piece.complete(length);
                piece.lacks(length, true);
                prop_assert_eq!(piece.room(), CHUNK);
            }
        }
    }
}
