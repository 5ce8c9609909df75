//! The embedded queue: a small server that speaks RESP2 as Redis does, with the commands that api,
//! push, subscriber, stamps and the run use, and no more. Anything else is an unknown command.
//!
//! One thread, as in Redis: each command is done alone, in the order of arrival.
//!
//! # Bounds
//!
//! | what | bound |
//! | --- | --- |
//! | one command | [`parser::MAX_FRAME`] bytes, `MAX_ARGS` words; a line of words 64 KiB |
//! | one `LRANGE` reply | as large as one command |
//! | a connection | one command, one read, the replies of at most one command above 256 KiB; silent: a few KiB |
//! | connections | `MAX_CLIENTS`; more are refused with Redis's words, or end one that has not given the password |
//! | unfinished commands of all connections | 512 MiB, beside 64 KiB for each; more closes the connection |
//! | a client before its password | 16 KiB of a command, 10 s |
//! | the data | none: a list holds what was pushed, as in Redis |
//!
//! A peer that sends half a command and waits, or never reads, costs what it has sent and no more.

pub(crate) mod args;
mod commands;
mod connection;
mod hub;
mod keys;
pub(crate) mod parser;
mod refusal;
mod reply;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use connection::QueueConnection;
use hub::QueueHub;

use crate::pipeline::servers::password::Password;

/// Connections at a time.
pub(crate) const MAX_CLIENTS: usize = 10_000;
/// Bytes of a buffer that are kept for the next use.
const KEPT_BUFFER: usize = 64 << 10;
/// Time between two searches for keys whose time is over.
const EXPIRE_EVERY: Duration = Duration::from_millis(500);
/// Pause if the system has no socket for a new connection.
const NO_SOCKET: Duration = Duration::from_millis(10);

/// Serves RESP on `listener` until `shutdown` becomes true or its sender is gone. With a `password` clients have to
/// give it first.
pub(crate) async fn run(
    listener: std::net::TcpListener,
    password: Option<Password>,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let hub = Rc::new(RefCell::new(QueueHub::new(password)));
    let expiring = Rc::clone(&hub);
    // With it go the tasks of all connections.
    let connections = LocalSet::new();
    connections
        .run_until(async {
            tokio::select! {
                never = accept(&listener, hub) => match never {},
                never = remove_expired(&expiring) => match never {},
                _ = shutdown.wait_for(|stop| *stop) => Ok(()),
            }
        })
        .await
}

/// Removes keys whose time is over; never returns. A key is seen for [`EXPIRE_EVERY`] longer than in Redis.
async fn remove_expired(hub: &RefCell<QueueHub>) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        hub.borrow_mut().keys.remove_expired();
    }
}

async fn accept(listener: &TcpListener, hub: Rc<RefCell<QueueHub>>) -> std::convert::Infallible {
    let clients = Rc::<Cell<usize>>::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) if clients.get() >= MAX_CLIENTS && !hub.borrow_mut().end_stranger() => {
                refuse(&stream);
            }
            Ok((stream, _)) => {
                // A reply that waits for the peer's acknowledgement is 40 ms late.
                let _ = stream.set_nodelay(true);
                let seat = Seat::take(&clients);
                let connection = QueueConnection::new(stream, Rc::clone(&hub));
                let stranger = connection.stranger();
                let task = spawn_local(async move {
                    connection.run().await;
                    drop(seat);
                });
                if let Some(id) = stranger {
                    hub.borrow_mut().add_stranger(id, task.abort_handle());
                }
            }
            Err(error) => {
                log::warn!("the embedded queue cannot take a connection: {error}");
                tokio::time::sleep(NO_SOCKET).await;
            }
        }
    }
}

fn refuse(stream: &TcpStream) {
    // A socket that has just been made takes so little at once, if the peer is still there.
    let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
}

/// A connection counted among all.
struct Seat(Rc<Cell<usize>>);

impl Seat {
    fn take(clients: &Rc<Cell<usize>>) -> Self {
        clients.set(clients.get() + 1);
        Self(Rc::clone(clients))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
