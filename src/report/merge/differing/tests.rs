use proptest::prelude::*;

use super::*;

/// Numbers in (0, 1) from a linear congruential generator (Knuth, MMIX).
struct Uniform(u64);

impl Uniform {
    fn draw(&mut self) -> f64 {
        let (factor, summand) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        self.0 = self.0.wrapping_mul(factor).wrapping_add(summand);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A time of a distribution with a heavy tail (Pareto with the exponent 1.1, which has no variance), from 1 ms.
    fn heavy(&mut self) -> f64 {
        1e6 * self.draw().powf(-1.0 / 1.1)
    }
}

/// Values of one node in groups that are late together, each value `factor` times as large.
struct Example {
    count: u64,
    group: u64,
    factor: f64,
}

impl Example {
    fn node(&self, index: u64, random: &mut Uniform) -> NodeTimes {
        let mut latencies = Latencies::default();
        for _ in 0..self.count / self.group {
            let value = Nanos((random.heavy() * self.factor) as u64);
            latencies.record_n(value, self.group);
        }
        // A group is what is due in a stall.
        NodeTimes::new(index, &latencies, self.group as f64 / STALL_S).expect("enough values")
    }
}

/// The nodes that are named in a fleet, of which the first one is `factor` times as slow as the others.
fn named(count: u64, example: &Example, factor: f64, seed: u64) -> Vec<u64> {
    let mut random = Uniform(seed);
    let odd = Example { factor, ..*example };
    let mut nodes = vec![odd.node(0, &mut random)];
    nodes.extend((1..count).map(|index| example.node(index, &mut random)));
    differing(&nodes).into_iter().map(|node| node.index).collect()
}

#[test]
fn equal_nodes_with_a_heavy_tail_are_not_named() {
    for (nodes, count, group) in [
        (3, 1_000, 1),
        (3, 5_000, 1),
        (4, 20_000, 10),
        (5, 2_000, 1),
        (12, 2_000, 1),
        (40, 1_000, 1),
    ] {
        let example = Example { count, group, factor: 1.0 };
        let trials = (1_500_000 / (nodes * count / group)).min(300);
        let fired = (0..trials).filter(|seed| !named(nodes, &example, 1.0, *seed).is_empty());
        assert_eq!(fired.count(), 0, "{nodes} nodes with {count} values in groups of {group}");
    }
}

#[test]
fn a_node_that_is_far_slower_or_faster_is_named() {
    let example = Example { count: 5_000, group: 1, factor: 1.0 };
    for factor in [0.2, 5.0] {
        for nodes in [4, 12] {
            let found = (0..30).filter(|seed| named(nodes, &example, factor, *seed) == [0]).count();
            assert!(found >= 27, "{found} of 30 with {nodes} nodes, {factor} times as slow");
        }
    }
}

fn times(index: u64, p99: f64) -> NodeTimes {
    NodeTimes { index, p99, low: p99 * 0.99, high: p99 * 1.01 }
}

#[test]
fn several_bad_nodes_are_named_and_the_most_distant_comes_first() {
    let nodes = [1e6, 5e6, 1.01e6, 0.99e6, 9e6, 1.02e6, 0.98e6];
    let nodes: Vec<_> = nodes.iter().zip(0..).map(|(p99, index)| times(index, *p99)).collect();
    let found = differing(&nodes);
    assert_eq!(found.iter().map(|node| node.index).collect::<Vec<_>>(), [4, 1]);
    assert_eq!((found[0].p99_us, found[0].others_us), (9_000.0, 1_005.0));
}

#[test]
fn small_differences_wide_spreads_and_two_nodes_are_not_named() {
    let named = |all: &[f64]| {
        let nodes = all.iter().zip(0..).map(|(p99, index)| times(index, *p99));
        differing(&nodes.collect::<Vec<_>>()).len()
    };
    assert_eq!(named(&[1.0e6, 1.0e6, 1.0e6, 1.2e6]), 0, "a fifth hides nothing");
    assert_eq!(named(&[1.0e6, 1.0e6, 1.0e6, 1.3e6]), 1);
    assert_eq!(named(&[1.0e6, 1.5e6, 2.2e6, 3.3e6]), 0, "all nodes vary");
    assert_eq!((named(&[1.0e6, 9.0e6]), named(&[])), (0, 0));
}

#[test]
fn the_interval_lies_between_order_statistics() {
    let mut latencies = Latencies::default();
    (1..=10_000).for_each(|value| latencies.record(Nanos(value * 1_000)));
    let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 2e-3;
    // Ranks 9,900 ± 2.576 √99.
    let alone = NodeTimes::new(0, &latencies, 10.0).expect("enough values");
    assert!(near(alone.low, 9_874_400.0) && near(alone.high, 9_925_600.0), "{alone:?}");
    // 10,000 values a second are groups of 100, so the interval is ten times as wide and ends at the largest value.
    let dense = NodeTimes::new(0, &latencies, 10_000.0).expect("enough values");
    assert!(near(dense.low, 9_643_700.0) && near(dense.high, 1e7), "{dense:?}");
    let few = (0..999).fold(Latencies::default(), |mut all, _| {
        all.record(Nanos(5));
        all
    });
    assert_eq!(NodeTimes::new(0, &few, 1.0), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn equal_nodes_of_any_size_are_not_named(
        seed in any::<u64>(), nodes in 3_u64..20, count in 1_000_u64..4_000, group in 1_u64..4,
    ) {
        let example = Example { count: count.max(1_000 + group), group, factor: 1.0 };
        prop_assert_eq!(named(nodes, &example, 1.0, seed), Vec::<u64>::new());
    }
}
