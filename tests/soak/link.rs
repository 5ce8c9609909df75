//! A TCP proxy between two components. It cuts, freezes, delays, breaks off an answer, and rewrites a command.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// The proxy; it lives as long as the test's process.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The state of a link, and the wake-up for what waits for a change of it.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    server: String,
    is_frozen: bool,
    delay: Duration,
    edit: Option<Edit>,
    accepted: u64,
    connections: BTreeMap<u64, Pair>,
}

/// Something that is done once, to the next bytes that allow it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Edit {
    /// The connection is reset after half of an answer.
    BreakAnswer,
    /// The first text in what the client sends becomes the second, of the same length.
    Rewrite(&'static str, &'static str),
}

/// Both sides of a connection.
#[derive(Debug)]
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Link {
    /// Passes connections on to `server`.
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it listens");
        let shared = Arc::<Shared>::default();
        let link = Self { address, shared: Arc::clone(&shared) };
        link.lead_to(server);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = shared.lock().server.clone();
                if let Ok(server) = TcpStream::connect(server) {
                    shared.pass_both_ways(Pair { client, server });
                }
            }
        });
        link
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes new connections on to another server; the open ones stay.
    pub(crate) fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.shared.lock().server);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        for pair in std::mem::take(&mut self.shared.lock().connections).into_values() {
            pair.end();
        }
        self.shared.changed.notify_all();
    }

    /// Holds all bytes for a time, and drops them with the connections.
    pub(crate) fn swallow_for(&self, time: Duration) {
        self.shared.lock().is_frozen = true;
        thread::sleep(time);
        self.cut();
        self.shared.lock().is_frozen = false;
        self.shared.changed.notify_all();
    }

    /// Delays all bytes by `delay` for a time.
    pub(crate) fn delay_for(&self, delay: Duration, time: Duration) {
        self.shared.lock().delay = delay;
        thread::sleep(time);
        self.shared.lock().delay = Duration::ZERO;
    }

    /// Does this once.
    pub(crate) fn edit(&self, edit: Edit) {
        self.shared.lock().edit = Some(edit);
    }

    /// Returns true if the last edit was done.
    pub(crate) fn is_edited(&self) -> bool {
        self.shared.lock().edit.is_none()
    }
}

impl Pair {
    fn end(&self) {
        for side in [&self.client, &self.server] {
            // The other side may have closed it already.
            let _ = side.shutdown(Shutdown::Both);
        }
    }

    /// Prepares the connection to be reset when its threads end.
    fn reset(&self) {
        for side in [&self.client, &self.server] {
            let _ = set_socket_linger(side, Some(Duration::ZERO));
            let _ = side.shutdown(Shutdown::Read);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_both_ways(self: &Arc<Self>, pair: Pair) {
        for side in [&pair.client, &pair.server] {
            side.set_nodelay(true).expect("a socket");
        }
        let both = || {
            let client = pair.client.try_clone().expect("a descriptor");
            Pair { client, server: pair.server.try_clone().expect("a descriptor") }
        };
        let sides = [(Direction::ToServer, both()), (Direction::ToClient, both())];
        let id = {
            let mut state = self.lock();
            state.accepted += 1;
            let id = state.accepted;
            state.connections.insert(id, pair);
            id
        };
        for (direction, sides) in sides {
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.pass(id, direction, &sides);
                let pair = shared.lock().connections.remove(&id);
                pair.inspect(Pair::end);
            });
        }
    }

    fn pass(&self, id: u64, direction: Direction, sides: &Pair) {
        let (mut from, mut to) = match direction {
            Direction::ToServer => (&sides.client, &sides.server),
            Direction::ToClient => (&sides.server, &sides.client),
        };
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let chunk = &mut buffer[..len];
            self.wait(id);
            let len = self.edit_chunk(id, direction, chunk);
            if to.write_all(&buffer[..len]).is_err() || !self.lock().connections.contains_key(&id) {
                return;
            }
        }
    }

    /// Waits until bytes of this connection may pass, or it has ended.
    fn wait(&self, id: u64) {
        let state = self.lock();
        let delay = state.delay;
        let held = |state: &mut State| state.is_frozen && state.connections.contains_key(&id);
        drop(self.changed.wait_while(state, held).unwrap_or_else(PoisonError::into_inner));
        if !delay.is_zero() {
            thread::sleep(delay);
        }
    }

    /// Does an edit that is due. Returns how many of these bytes pass.
    fn edit_chunk(&self, id: u64, direction: Direction, chunk: &mut [u8]) -> usize {
        let mut state = self.lock();
        if !state.connections.contains_key(&id) {
            return 0;
        }
        match (state.edit, direction) {
            (Some(Edit::BreakAnswer), Direction::ToClient) => {
                state.edit = None;
                state.connections.remove(&id).inspect(Pair::reset);
                chunk.len() / 2
            }
            (Some(Edit::Rewrite(old, new)), Direction::ToServer) => {
                let mut parts = chunk.windows(old.len());
                if let Some(at) = parts.position(|part| part == old.as_bytes()) {
                    chunk[at..at + new.len()].copy_from_slice(new.as_bytes());
                    state.edit = None;
                }
                chunk.len()
            }
            _ => chunk.len(),
        }
    }
}
