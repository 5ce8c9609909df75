//! Tests of the latency histogram.

use std::io::Write as _;

use hdrhistogram::serialization::V2Serializer;
use proptest::prelude::*;

use super::*;

/// A deflated histogram whose counts are so many zeros.
fn bomb(zeros: usize) -> String {
    let mut header = Vec::new();
    Latencies::default().histogram_header(&mut header);
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&header).expect("memory");
    let chunk = vec![0; 1 << 20];
    (0..zeros >> 20).for_each(|_| packer.write_all(&chunk).expect("memory"));
    let packed = packer.finish().expect("memory");
    let length = u32::try_from(packed.len()).expect("small").to_be_bytes();
    BASE64.encode([&V2_DEFLATED[..], &length, &packed].concat())
}

#[test]
fn a_histogram_that_unpacks_to_too_much_is_refused() {
    let text = bomb(64 << 20);
    assert!(text.len() < 1 << 20, "{}", text.len());
    assert!(matches!(Latencies::from_hdr(&text), Err(HdrError::TooLarge)));
    // The header alone may promise too much.
    for (at, value) in [(4, [0xff; 4]), (12, [0, 0, 0, 5])] {
        let mut header = Vec::new();
        Latencies::default().histogram_header(&mut header);
        header[at..at + 4].copy_from_slice(&value);
        let error = Latencies::from_hdr(&BASE64.encode(&header)).map(|_| ()).expect_err("refused");
        assert!(error.to_string().contains("its header says"), "{error}");
    }
}

fn of(values: &[u64]) -> Latencies {
    let mut latencies = Latencies::default();
    values.iter().for_each(|v| latencies.record(Nanos(*v)));
    latencies
}

#[test]
fn a_quantile_is_told_of_the_fewest_values_and_not_of_one_less() {
    for (name, place) in QUANTILES {
        let fewest = fewest_values(name).expect(name);
        let values: Vec<_> = (1..=fewest).collect();
        assert!(of(&values).quantile(place).is_some(), "{name} of {fewest}");
        assert!(of(&values[1..]).quantile(place).is_none(), "{name} of {fewest} less one");
    }
    assert_eq!((fewest_values("p99"), fewest_values("p50")), (Some(1_000), Some(20)));
    assert_eq!(fewest_values("max"), None);
}

#[test]
fn an_empty_histogram_has_no_numbers() {
    let none = Latencies::default();
    assert_eq!((none.mean(), none.stdev(), none.min(), none.max()), (None, None, None, None));
    assert_eq!((none.quantile(0.5), none.share_within_stdev()), (None, None));
}

#[test]
fn a_quantile_needs_ten_values_beyond_it() {
    for (count, quantile, known) in [
        (19, 0.5, false),
        (20, 0.5, true),
        (999, 0.99, false),
        (1000, 0.99, true),
        (9_999, 0.999, false),
    ] {
        let mut latencies = Latencies::default();
        latencies.record_n(Nanos(5_000), count);
        assert_eq!(latencies.quantile(quantile).is_some(), known, "{count} values at {quantile}");
    }
}

#[test]
fn a_row_of_a_series_has_a_quantile_of_slightly_fewer_values() {
    for (count, quantile, known) in
        [(949, 0.99, false), (950, 0.99, true), (18, 0.5, false), (19, 0.5, true)]
    {
        let mut latencies = Latencies::default();
        latencies.record_n(Nanos(5_000), count);
        assert_eq!(latencies.row_quantile(quantile).is_some(), known, "{count} values");
    }
}

#[test]
fn a_value_beyond_a_day_counts_at_the_end_and_is_not_lost() {
    let latencies = of(&[u64::MAX]);
    assert_eq!(latencies.count(), 1);
    assert!(latencies.max() >= Some(Nanos(HIGHEST_NS)));
}

#[test]
fn values_are_counted_up_to_bounds() {
    let latencies = of(&[1_000, 1_000, 50_000, 2_000_000, 3_000_000_000]);
    let bounds = [500, 2_000, 1_000_000, 10_000_000, 20_000_000].map(Nanos);
    assert_eq!(latencies.counts_up_to(&bounds), [0, 2, 3, 4, 4]);
    let sum = latencies.sum_s();
    assert!((sum - 3.002_052).abs() < 0.004, "{sum}");
    assert_eq!(Latencies::default().counts_up_to(&bounds), [0; 5]);
    assert_eq!(Latencies::default().sum_s(), 0.0);
}

impl Latencies {
    /// The 40 bytes in front of the counts.
    fn histogram_header(&self, out: &mut Vec<u8>) {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.histogram, &mut bytes).expect("memory");
        out.extend_from_slice(&bytes[..40]);
    }
}

#[test]
fn foreign_text_is_refused() {
    assert!(matches!(Latencies::from_hdr("***"), Err(HdrError::Base64(_))));
    assert!(matches!(Latencies::from_hdr("AAAA"), Err(HdrError::Format(_))));
}

proptest! {
    #[test]
    fn values_since_an_earlier_state_are_those_recorded_later(
        before in prop::collection::vec(RESOLUTION_NS..HIGHEST_NS, 0..50),
        after in prop::collection::vec(RESOLUTION_NS..HIGHEST_NS, 0..50),
    ) {
        let (earlier, later) = (of(&before), of(&after));
        let mut all = earlier.clone();
        all.merge(&later);
        let recent = all.since(&earlier);
        prop_assert_eq!(recent.count(), later.count());
        prop_assert_eq!(recent.steps(1), later.steps(1));
    }

    #[test]
    fn merging_gives_the_histogram_of_the_union(
        a in prop::collection::vec(0u64..1 << 46, 0..200), b in prop::collection::vec(0u64..1 << 46, 0..200),
    ) {
        let mut merged = of(&a);
        merged.merge(&of(&b));
        let union = of(&[a, b].concat());
        prop_assert_eq!(&merged.histogram, &union.histogram);
    }

    #[test]
    fn every_value_is_kept_within_a_thousandth(value in RESOLUTION_NS * 1000..HIGHEST_NS) {
        let kept = of(&[value]).max().unwrap_or_default().0 as f64;
        prop_assert!((kept - value as f64).abs() / value as f64 <= 0.001, "{} became {}", value, kept);
    }

    #[test]
    fn text_and_back_is_the_same_histogram(values in prop::collection::vec(0u64..1 << 46, 0..100)) {
        let latencies = of(&values);
        let back = Latencies::from_hdr(&latencies.to_hdr()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(back.count(), latencies.count());
        for (_, q) in QUANTILES {
            prop_assert_eq!(back.quantile(q), latencies.quantile(q));
        }
    }
}
