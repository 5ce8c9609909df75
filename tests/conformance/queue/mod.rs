//! The embedded queue and `redis-server`.

mod blocking;
mod client;
mod commands;
mod faults;
mod foreign;
mod random;
mod wire;

use std::net::SocketAddr;
use std::process::Command;

use client::QueueClient;

use crate::support::{Process, Redis, loadgen};

/// A server under test; gone when dropped.
pub(crate) struct QueueServer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Option<Process>,
    _redis: Option<Redis>,
}

impl QueueServer {
    pub(crate) fn embedded() -> Self {
        Self::embedded_by(&mut command())
    }

    fn embedded_by(command: &mut Command) -> Self {
        let mut process = Process::start("queue", command);
        let address = |line: &str| line.strip_prefix("listening on ")?.parse().ok();
        let address = process.await_line(address);
        Self { name: "embedded", address, process: Some(process), _redis: None }
    }

    /// `None` where it is not installed and the test is skipped for it.
    fn real() -> Option<Self> {
        Some(Self::real_of(Redis::start()?))
    }

    fn real_of(redis: Redis) -> Self {
        let address = redis.address().parse().expect("an address of loopback");
        Self { name: "redis-server", address, process: None, _redis: Some(redis) }
    }

    pub(crate) fn client(&self) -> QueueClient {
        QueueClient::new(self.address, self.name)
    }

    /// The embedded server's process.
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("it is the embedded one")
    }
}

fn command() -> Command {
    loadgen("embedded queue --listen 127.0.0.1:0")
}

/// Runs a test on both servers, each fresh.
pub(crate) fn on_both(test: impl Fn(&QueueServer)) {
    test(&QueueServer::embedded());
    if let Some(real) = QueueServer::real() {
        test(&real);
    }
}

/// Runs a test on both servers with this password, each fresh.
pub(crate) fn on_both_with(password: &'static str, test: impl Fn(&QueueServer)) {
    on_embedded_with(password, &test);
    if let Some(real) = Redis::with_password(password) {
        test(&QueueServer::real_of(real));
    }
}

/// Runs a test on the embedded server with this password.
pub(crate) fn on_embedded_with(password: &str, test: impl Fn(&QueueServer)) {
    let mut command = command();
    test(&QueueServer::embedded_by(command.env("LOADGEN_EMBEDDED_PASSWORD", password)));
}
