//! A proxy that delays what passes, in order and without limiting its throughput.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Delay of bytes on the way to the server, and back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delay {
    pub(super) there: Duration,
    pub(super) back: Duration,
}

/// Starts a proxy to `server` for the rest of the process; its address.
pub(super) fn start(server: SocketAddr, delay: Delay) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(upstream) = TcpStream::connect(server) else { continue };
            pass(&client, &upstream, delay.there);
            pass(&upstream, &client, delay.back);
        }
    });
    address
}

/// Passes one direction on: a thread reads and notes when, another writes when the time has come.
fn pass(from: &TcpStream, to: &TcpStream, delay: Duration) {
    let mut from = from.try_clone().expect("a descriptor");
    let mut to = to.try_clone().expect("a descriptor");
    to.set_nodelay(true).expect("a socket");
    let (on_the_way, arriving) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            if on_the_way.send((Instant::now() + delay, buffer[..len].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in arriving {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // One side has closed, so the other gets no more bytes.
        let _ = to.shutdown(Shutdown::Both);
    });
}
