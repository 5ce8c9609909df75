//! A TCP proxy whose connections can be cut, and that takes no new ones for a while.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The proxy; it lives as long as the test's process.
#[derive(Debug)]
pub(crate) struct Cutter {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    server: String,
    is_cut: bool,
    connections: Vec<TcpStream>,
}

impl Cutter {
    /// Passes connections on to `server`.
    pub(crate) fn start(server: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it listens");
        let state = State { server: server.to_owned(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if state.is_cut {
                    continue;
                }
                let Ok(upstream) = TcpStream::connect(&state.server) else { continue };
                pass(&client, &upstream);
                pass(&upstream, &client);
                state.connections.extend([client, upstream]);
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes new connections on to another server; the open ones stay.
    pub(crate) fn lead_to(&self, server: &str) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).server = server.to_owned();
    }

    /// Ends all connections, and new ones at once, until [`Self::mend`].
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_cut = true;
        for connection in state.connections.drain(..) {
            // The other side may have closed it already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_cut = false;
    }
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a descriptor");
    let mut to = to.try_clone().expect("a descriptor");
    to.set_nodelay(true).expect("a socket");
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
