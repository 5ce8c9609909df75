//! A small MQTT 3.1.1 broker for loopback, on rumqttc's codec.
//!
//! Supported: clean sessions, `+` and `#`, QoS 0 and 1, take-over of a client id, keep-alive. If
//! the broker has a password, CONNECT must carry it, under any user; otherwise any user and password are accepted. Each client gets a message once, at the best QoS among its filters.
//!
//! Not supported, and refused rather than ignored: QoS 2 in a message, retained messages, wills and
//! kept sessions end the connection (a will or a kept session with return code 3 in CONNACK). A
//! subscription at QoS 2 is granted 1. The one retained message is its own `$SYS/broker/version`.
//!
//! Promise: **no message is dropped for a slow subscriber.** A publisher to a subscriber without
//! room is not read until there is room. A subscriber that reads nothing for a while although others
//! wait for it is disconnected, and the log says so. A client can harm only itself: its memory is
//! bounded, the wait for the rest of a packet is 30 s at most, and a protocol error closes
//! its connection only.
//!
//! Consequences: a client that publishes to itself must read while it writes, and one with 60,000
//! messages unacknowledged at QoS 1 holds its publishers back until it acknowledges some.
//!
//! ```text
//! connection (task): socket ──frame──▶ session ──▶ hub ──▶ outbox of each subscriber ──▶ its task
//! ```

mod connection;
/// Public for those who test it with any input.
pub(crate) mod frame;
mod hub;
mod outbox;
mod session;
pub(crate) mod topic;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use connection::{BrokerConnection, Shared};
use hub::BrokerHub;

use crate::pipeline::servers::password::Password;

/// A pause after a connection could not be taken: most likely there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Interval between two checks for the end of the last connection.
const LAST_LOOK: Duration = Duration::from_millis(5);

/// Bounds. The defaults are what `run` uses.
#[derive(Debug, Clone)]
pub struct BrokerLimits {
    /// Connections at a time. One more is closed at once, unless one has not introduced itself yet: then that
    /// one is.
    pub connections: usize,
    /// The largest message: bytes of its packet's body. All other packets are small.
    pub frame_bytes: usize,
    /// Bytes in the outbox of a client, give or take one packet, from which on its publishers wait.
    pub outbox_bytes: usize,
    /// Bytes of unfinished packets and of packets that wait, beyond 64 KiB a connection, over all connections. A
    /// connection that needs more is closed.
    pub part_bytes: usize,
    /// Bytes of all clients' filters, each counted with 64 more. A filter beyond is refused.
    pub filter_bytes: usize,
    /// The longest time that a client may read nothing while others wait for it.
    pub stall_limit: Duration,
    /// The longest time that a connection may take to send CONNECT.
    pub connect_limit: Duration,
    /// The longest wait for the rest of a packet.
    pub part_limit: Duration,
    /// The longest time for writing the outboxes when the broker stops.
    pub stop_limit: Duration,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            frame_bytes: 16 * 1024 * 1024,
            outbox_bytes: 1024 * 1024,
            part_bytes: 256 * 1024 * 1024,
            filter_bytes: 1024 * 1024,
            stall_limit: Duration::from_secs(10),
            connect_limit: Duration::from_secs(10),
            part_limit: Duration::from_secs(30),
            stop_limit: Duration::from_millis(500),
        }
    }
}

/// Serves until `shutdown`. With a `password` clients have to give it in CONNECT, under any user. For a
/// current-thread runtime with time and network.
pub(crate) async fn run(
    listener: std::net::TcpListener,
    password: Option<Password>,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    serve(listener, BrokerHub::new(BrokerLimits::default(), password), shutdown).await
}

/// `run` without a password, under other bounds.
pub async fn run_with(
    listener: std::net::TcpListener,
    settings: BrokerLimits,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    serve(listener, BrokerHub::new(settings, None), shutdown).await
}

async fn serve(
    listener: std::net::TcpListener,
    hub: BrokerHub,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let shared = Rc::new(Shared::new(hub));
    let tasks = LocalSet::new();
    let serve = async {
        tokio::select! {
            () = accept(&listener, &shared) => {}
            // If nothing is left that could stop it, stop as well.
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
        drop(listener);
        stop(&shared).await;
    };
    tasks.run_until(serve).await;
    Ok(())
}

/// Accepts connections until the task is dropped.
async fn accept(listener: &TcpListener, shared: &Rc<Shared>) {
    let mut crowded = false;
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                log::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (is_full, limit) = {
            let mut hub = shared.hub.borrow_mut();
            let limit = hub.settings.connections;
            (hub.len() >= limit && !hub.end_stranger(), limit)
        };
        if is_full {
            if !std::mem::replace(&mut crowded, true) {
                log::warn!("{limit} connections are open: more are refused");
            }
            continue;
        }
        crowded = false;
        // Without it Nagle's algorithm and delayed acknowledgements hold small frames back for 40 ms.
        if socket.set_nodelay(true).is_ok() {
            spawn_local(BrokerConnection::new(Rc::clone(shared), socket).serve());
        }
    }
}

/// Has every connection write what it owes, and gives up those that take too long.
async fn stop(shared: &Shared) {
    shared.hub.borrow_mut().stop();
    let limit = shared.hub.borrow().settings.stop_limit;
    let all_gone = async {
        while shared.hub.borrow().len() > 0 {
            tokio::time::sleep(LAST_LOOK).await;
        }
    };
    // Those that are left are closed when their tasks are dropped.
    let _ = tokio::time::timeout(limit, all_gone).await;
}
