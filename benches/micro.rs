//! Microbenchmarks of the steps of each request and message, to find the step that a change made slower:
//! `cargo bench --features internals --bench micro [FILTER]`.

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    loadgen::bench::measure_steps(&mut |name, step| {
        criterion.bench_function(name, |bencher| bencher.iter(&mut *step));
    });
    criterion.final_summary();
}
