//! A proxy before the api that records the MsgIDs which were answered with 200.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::ids::{IdSet, msg_id};

/// The proxy; it lives as long as the test's process.
#[derive(Debug)]
pub(crate) struct Tap {
    address: SocketAddr,
    accepted: Arc<Mutex<IdSet>>,
}

/// MsgIDs of the requests on a connection that have no answer yet.
type Waiting = Arc<Mutex<VecDeque<Option<u64>>>>;

impl Tap {
    pub(crate) fn before(api: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it listens");
        let accepted = Arc::<Mutex<IdSet>>::default();
        let kept = Arc::clone(&accepted);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(api) {
                    record(client, server, &kept).expect("descriptors");
                }
            }
        });
        Self { address, accepted }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ids so far. Later ones go to a new set.
    pub(crate) fn take(&self) -> IdSet {
        std::mem::take(&mut *self.accepted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn record(client: TcpStream, server: TcpStream, to: &Arc<Mutex<IdSet>>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let waiting = Waiting::default();
    let (requests, answers) = (client.try_clone()?, server.try_clone()?);
    let (sent, accepted) = (Arc::clone(&waiting), Arc::clone(to));
    thread::spawn(move || {
        pass(requests, server, |message| {
            sent.lock().expect("no panic").push_back(msg_id(message));
        });
    });
    thread::spawn(move || {
        pass(answers, client, |message| {
            let id = waiting.lock().expect("no panic").pop_front().flatten();
            if let Some(id) = id.filter(|_| message.starts_with(b"HTTP/1.1 200")) {
                accepted.lock().expect("no panic").insert(id);
            }
        });
    });
    Ok(())
}

/// Passes bytes on after `see` has had each whole message in them.
fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    let mut pending = Vec::new();
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..len]);
        let mut begin = 0;
        while let Some(len) = message_len(&pending[begin..]) {
            see(&pending[begin..begin + len]);
            begin += len;
        }
        pending.drain(..begin);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Length of the HTTP message at the begin, head and body; `None` if it is not whole.
fn message_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head is text").to_ascii_lowercase();
    let lengths = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = lengths.map_or(0, |value| value.trim().parse().expect("a length"));
    (bytes.len() >= head + body).then_some(head + body)
}
