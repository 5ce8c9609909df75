//! An observer of the broker with a connection and a session of its own, which the broker keeps while it is away.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Subscribe};
use rumqttc::mqttbytes::{self, QoS};

use super::ids::{IdSet, msg_id};
use super::support::eventually;

/// Largest packet; messages above it are refused by the brokers of these tests.
const MAX_PACKET: usize = 1 << 20;

/// The observer; it lives as long as the test's process.
#[derive(Debug)]
pub(crate) struct Observer {
    seen: Arc<Mutex<Seen>>,
}

/// Messages that the observer had.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) ids: IdSet,
    pub(crate) messages: u64,
    pub(crate) duplicates: u64,
    is_subscribed: bool,
}

impl Observer {
    /// Returns after the broker has the subscription.
    pub(crate) fn of(broker: String) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let kept = Arc::clone(&seen);
        thread::spawn(move || {
            loop {
                // The broker is killed and restarted: a lost connection is no error.
                let _ = observe(&broker, &kept);
                thread::sleep(Duration::from_millis(2));
            }
        });
        let observer = Self { seen };
        eventually("the observer's subscription", || observer.seen().is_subscribed.then_some(()));
        observer
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn observe(broker: &str, seen: &Mutex<Seen>) -> Result<()> {
    let mut stream = TcpStream::connect(broker)?;
    stream.set_nodelay(true)?;
    let mut hello = Connect::new("observer");
    hello.clean_session = false;
    // No traffic of ours keeps it alive.
    hello.keep_alive = 0;
    let mut out = BytesMut::new();
    hello.write(&mut out).map_err(other)?;
    let mut subscribe = Subscribe::new("/channel", QoS::AtLeastOnce);
    subscribe.pkid = 1;
    subscribe.write(&mut out).map_err(other)?;
    let (mut input, mut buffer) = (BytesMut::new(), vec![0; 64 * 1024]);
    loop {
        stream.write_all(&out)?;
        out.clear();
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(&buffer[..len]);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        while seen.take(&mut input, &mut out)? {}
    }
}

impl Seen {
    /// Takes the next packet of `input` and writes its answer; false if none is whole.
    fn take(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool> {
        match Packet::read(input, MAX_PACKET) {
            Ok(Packet::Publish(publish)) => {
                self.messages += 1;
                if let Some(id) = msg_id(&publish.payload)
                    && !self.ids.insert(id)
                {
                    self.duplicates += 1;
                }
                if publish.qos != QoS::AtMostOnce {
                    PubAck::new(publish.pkid).write(out).map_err(other)?;
                }
            }
            Ok(Packet::SubAck(_)) => self.is_subscribed = true,
            Ok(_) => {}
            Err(mqttbytes::Error::InsufficientBytes(_)) => return Ok(false),
            Err(error) => return Err(other(error)),
        }
        Ok(true)
    }
}

fn other(error: mqttbytes::Error) -> Error {
    Error::other(error)
}
