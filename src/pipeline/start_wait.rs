//! `--wait-for`: the wait before the start, until servers take connections.

use std::fmt::Display;
use std::time::{Duration, Instant};

#[cfg(feature = "pipeline")]
use super::servers::{StackError, mqtt, redis};
#[cfg(feature = "pipeline")]
use crate::core::{Address, ServerType};

/// Pause between two attempts.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Wait of a command for all of its servers together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartWait {
    begun: Instant,
    limit: Duration,
}

impl StartWait {
    /// Begins to wait now, for at most `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { begun: Instant::now(), limit }
    }

    /// Repeats an attempt until it succeeds or the time is over, and returns its last result. The first failure and a late
    /// success are logged with `server`, the name of what is waited for.
    pub(crate) async fn until_up<E: Display>(
        &self,
        server: &str,
        attempt: impl AsyncFn() -> Result<(), E>,
    ) -> Result<(), E> {
        let begun = Instant::now();
        let mut is_told = false;
        loop {
            let Err(error) = attempt().await else {
                if is_told {
                    let waited = begun.elapsed().as_secs_f64();
                    log::warn!("{server} answers after {waited:.1} s");
                }
                return Ok(());
            };
            let left = self.limit.saturating_sub(self.begun.elapsed());
            if left < RETRY_EVERY {
                return Err(error);
            }
            if !is_told {
                let left = left.as_secs_f64();
                log::warn!("waiting at most {left:.1} s: {error}");
                is_told = true;
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Waits until Redis or a broker answers to a client.
    #[cfg(feature = "pipeline")]
    pub(crate) async fn until_server_up(&self, address: &Address) -> Result<(), StackError> {
        let name = match address.server_type() {
            ServerType::Redis => format!("Redis at {address}"),
            ServerType::Mqtt => format!("the MQTT broker at {address}"),
        };
        self.until_up(&name, async || connect_once(address).await).await
    }
}

#[cfg(feature = "pipeline")]
async fn connect_once(address: &Address) -> Result<(), StackError> {
    match address.server_type() {
        ServerType::Redis => redis::connect(address, redis::Use::Commands).await.map(drop),
        ServerType::Mqtt => {
            let id = mqtt::client_id("wait");
            mqtt::connect(address, &id, mqtt::ReceiptTimes::Read).await.map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn attempts_are_repeated_until_one_succeeds() {
        let attempts = Cell::new(0);
        let attempt = async || {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 3 { Err("refused") } else { Ok(()) }
        };
        let wait = StartWait::new(Duration::from_secs(600));
        assert_eq!(wait.until_up("the server", attempt).await, Ok(()));
        assert_eq!(attempts.get(), 3);
    }

    #[tokio::test]
    async fn the_last_error_is_returned_when_the_time_is_over() {
        let attempts = Cell::new(0);
        let attempt = async || {
            attempts.set(attempts.get() + 1);
            Err(format!("error {}", attempts.get()))
        };
        let wait = StartWait::new(RETRY_EVERY / 2);
        assert_eq!(wait.until_up("the server", attempt).await, Err("error 1".to_owned()));
    }
}
