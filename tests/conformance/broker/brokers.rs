//! Brokers to test: the embedded one on a thread of this process, and Mosquitto as a child.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loadgen::pipeline::servers::embedded::broker::{self, BrokerLimits};
use tokio::sync::watch;

use crate::support::{Mosquitto, find_program};

/// A broker that ends with its guard.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Embedded(watch::Sender<bool>, Option<JoinHandle<std::io::Result<()>>>),
    Mosquitto { _guard: Mosquitto },
}

impl Broker {
    pub(crate) fn embedded() -> Self {
        Self::embedded_with(BrokerLimits::default())
    }

    pub(crate) fn embedded_with(settings: BrokerLimits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it listens");
        let (stop, shutdown) = watch::channel(false);
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(broker::run_with(listener, settings, shutdown))
        };
        let thread = std::thread::spawn(serve);
        Self { address, running: Running::Embedded(stop, Some(thread)) }
    }

    /// `None` where Mosquitto is not installed and the test is skipped.
    pub(crate) fn mosquitto() -> Option<Self> {
        let server = Mosquitto::without_persistence()?;
        let address = server.address().parse().expect("an address of loopback");
        Some(Self { address, running: Running::Mosquitto { _guard: server } })
    }

    /// Stops the embedded broker. Returns the time that it took.
    pub(crate) fn stop(&mut self) -> Duration {
        let begin = Instant::now();
        if let Running::Embedded(stop, thread) = &mut self.running {
            let _ = stop.send(true);
            if let Some(thread) = thread.take() {
                thread.join().expect("the broker does not panic").expect("nor fails");
            }
        }
        begin.elapsed()
    }

    /// Command of `mosquitto_pub` or `mosquitto_sub` with the address of this broker.
    pub(crate) fn foreign(&self, program: &str) -> Command {
        let mut command = Command::new(find_program(program).expect("it was required"));
        command.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        match &mut self.running {
            // A panic of its thread fails the test, also if the test itself has passed.
            Running::Embedded(..) if !std::thread::panicking() => _ = self.stop(),
            Running::Embedded(stop, _) => _ = stop.send(true),
            // The server ends with its own guard.
            Running::Mosquitto { .. } => {}
        }
    }
}
