//! A CI smoke run of another project: a test that drives its pipeline at a
//! small rate and asserts on the report. Here the pipeline is loadgen's own, on private servers.
//!
//! `cargo test --example smoke` runs the test, `cargo run --example smoke` prints the report.

use std::time::Duration;

use loadgen::output::{TextOptions, text};
use loadgen::{Plan, Report, Runner, Settings};

type Failure = Box<dyn std::error::Error>;

/// 500 requests a second for two seconds. To drive your own: set `url`, `redis` and `mqtt`.
async fn smoke() -> Result<Report, Failure> {
    let plan = Plan::new(Settings {
        rate: Some("500".parse()?),
        duration: Some(Duration::from_secs(2)),
        fail_if: vec!["messages.lost>0".to_owned(), "requests.failed>0".to_owned()],
        ..Settings::default()
    })?;
    Ok(Runner::new().run(&plan).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    print!("{}", text(&smoke().await?, TextOptions::default()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_message_arrives() -> Result<(), Failure> {
        let report = smoke().await?;
        assert!(report.verdict.thresholds.iter().all(|threshold| threshold.ok));
        let messages = report.messages.ok_or("arrivals are not measured")?;
        assert_eq!((messages.accepted, messages.arrived), (1_000, 1_000));
        assert_eq!((messages.lost, messages.duplicated), (0, 0));
        Ok(())
    }
}
