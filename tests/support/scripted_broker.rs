//! A small MQTT 3.1.1 broker that behaves badly on purpose.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What the broker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    /// It closes each connection after its CONNACK (and SUBACK).
    ClosesAtOnce,
    /// It closes the connection on each message that contains this text.
    ClosesOn(&'static str),
}

/// The broker; it lives as long as the test's process.
#[derive(Debug)]
pub(crate) struct ScriptedBroker {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    accepted: AtomicUsize,
    payloads: Mutex<Vec<String>>,
}

impl ScriptedBroker {
    pub(crate) fn start(misbehaviour: Misbehaviour) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it listens");
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // The end of a connection is no error here.
                thread::spawn(move || _ = serve(client, misbehaviour, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// Number of connections it has accepted, by MQTT 3.1.1.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Relaxed)
    }

    /// Messages that it has taken, in order.
    pub(crate) fn payloads(&self) -> Vec<String> {
        self.state.payloads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: TcpStream, misbehaviour: Misbehaviour, state: &State) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let (_, hello) = read_packet(&mut client)?;
    // The level follows the protocol's name of four letters.
    if hello.get(6) != Some(&4) {
        return client.write_all(&[0x20, 2, 0, 1]);
    }
    state.accepted.fetch_add(1, Relaxed);
    client.write_all(&[0x20, 2, 0, 0])?;
    loop {
        if misbehaviour == Misbehaviour::ClosesAtOnce && !subscribes(&client)? {
            return Ok(());
        }
        let (kind, body) = read_packet(&mut client)?;
        match kind >> 4 {
            3 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let has_id = kind & 0b0110 != 0;
                let payload = &body[2 + topic + 2 * usize::from(has_id)..];
                let payload = String::from_utf8_lossy(payload).into_owned();
                if let Misbehaviour::ClosesOn(text) = misbehaviour
                    && payload.contains(text)
                {
                    return Ok(());
                }
                state.payloads.lock().unwrap_or_else(PoisonError::into_inner).push(payload);
                if has_id {
                    client.write_all(&[0x40, 2, body[2 + topic], body[3 + topic]])?;
                }
            }
            8 => client.write_all(&[0x90, 3, body[0], body[1], 0])?,
            12 => client.write_all(&[0xd0, 0])?,
            _ => return Ok(()),
        }
    }
}

/// Returns true if a SUBSCRIBE comes within a moment.
fn subscribes(client: &TcpStream) -> std::io::Result<bool> {
    client.set_read_timeout(Some(std::time::Duration::from_millis(2)))?;
    let mut first = [0];
    let is_subscribe = client.peek(&mut first).is_ok() && first[0] >> 4 == 8;
    client.set_read_timeout(None)?;
    Ok(is_subscribe)
}

/// First byte and content of the next packet.
fn read_packet(client: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    client.read_exact(&mut byte)?;
    let kind = byte[0];
    let (mut len, mut shift) = (0_usize, 0);
    loop {
        client.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    client.read_exact(&mut body)?;
    Ok((kind, body))
}
