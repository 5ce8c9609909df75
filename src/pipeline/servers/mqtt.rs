//! A connection to an MQTT 3.1.1 broker: rumqttc's codec on a socket of ours.
//!
//! rumqttc's own event loop flushes once per publish and forgets its queue when it reconnects. Here a batch is one
//! write. A read brings all that is there, or one packet with the time at which the kernel received it. No packet is
//! queued here without the caller's knowledge.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, Login, Packet, Subscribe, SubscribeFilter, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error as CodecError, QoS};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::StackError;
use super::read_size::{CHUNK, ReadSize};
use super::secure::{handshake, tls_advice};
use super::timed::{LastReceipt, Timed};
use super::wrong_scheme;
use crate::core::clock::{self, Nanos};
use crate::core::{Address, Scheme};
use crate::message::MAX_BODY;
use crate::pipeline::arrivals::ReceivedAt;

/// The longest time for connecting and subscribing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Seconds of silence after which the broker gives a client up; a ping goes out at half of it.
pub(super) const KEEP_ALIVE_SECS: u16 = 30;
/// Time between two pings.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(KEEP_ALIVE_SECS as u64 / 2);
/// Larger frames are refused: room for the largest body and its topic.
const MAX_FRAME: usize = MAX_BODY + 1024 * 1024;

trait MqttSocket: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> MqttSocket for T {}

/// A quality of service from its number.
pub(crate) fn quality(qos: u8) -> QoS {
    if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce }
}

/// Returns a unique client id: a broker ends an older connection with the same one.
pub(crate) fn client_id(role: &str) -> String {
    format!("loadgen-{role}-{}-{}", std::process::id(), clock::now().0)
}

/// Times that a receiver takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiptTimes {
    /// Time of reading.
    Read,
    /// Time at which the kernel received the bytes, however much later they are read. This costs a little CPU time.
    Received,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Receiver {
    half: ReadHalf<Box<dyn MqttSocket>>,
    buffer: BytesMut,
    received: LastReceipt,
    piece: ReadSize,
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct MqttSender {
    half: WriteHalf<Box<dyn MqttSocket>>,
}

/// Treatment of the subscriptions and unacknowledged messages of a client that is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// It forgets them, and what it kept before.
    Clean,
    /// It keeps them under the client id.
    Kept,
}

/// A connection that the broker has accepted.
#[derive(Debug)]
pub(crate) struct MqttConnection {
    /// The sending half.
    pub sender: MqttSender,
    /// The receiving half.
    pub receiver: Receiver,
    /// The broker had kept a session of this client id.
    pub session_present: bool,
}

/// Connects with a clean session under a unique client id.
pub(crate) async fn connect(
    address: &Address,
    client_id: &str,
    times: ReceiptTimes,
) -> Result<(MqttSender, Receiver), StackError> {
    let connection = connect_session(address, client_id, times, SessionKind::Clean).await?;
    Ok((connection.sender, connection.receiver))
}

/// Connects under a client id, and begins a session or takes up the one that was kept.
pub(crate) async fn connect_session(
    address: &Address,
    client_id: &str,
    times: ReceiptTimes,
    session: SessionKind,
) -> Result<MqttConnection, StackError> {
    let attempt = async {
        let opened = open_halves(address, times).await;
        let (mut sender, mut receiver) = opened.map_err(|e| wrong_scheme::explain(address, e))?;
        let mut hello = Connect::new(client_id);
        hello.keep_alive = KEEP_ALIVE_SECS;
        hello.clean_session = session == SessionKind::Clean;
        hello.login = address.credentials().map(|(user, password)| Login::new(user, password));
        sender.send(&Packet::Connect(hello)).await?;
        let answer = receiver.next().await.map_err(|e| wrong_scheme::explain(address, e))?;
        match answer {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => {
                Ok(MqttConnection { sender, receiver, session_present: ack.session_present })
            }
            Packet::ConnAck(ack) => Err(io::Error::other(refusal(ack.code, address))),
            _ => Err(io::Error::other("it does not answer in MQTT 3.1.1")),
        }
    };
    within_limit(address, attempt).await
}

/// Opens a connection on which nothing was sent yet.
pub(super) async fn open_halves(
    address: &Address,
    times: ReceiptTimes,
) -> io::Result<(MqttSender, Receiver)> {
    let received = LastReceipt::default();
    let socket = open(address, (times == ReceiptTimes::Received).then_some(&received)).await?;
    let (read, write) = tokio::io::split(socket);
    let piece = match (times, address.scheme()) {
        // TLS decrypts many bytes at once, which have one time anyway.
        (ReceiptTimes::Received, Scheme::Plain) => ReadSize::packet(),
        _ => ReadSize::All,
    };
    let buffer = BytesMut::with_capacity(CHUNK);
    Ok((MqttSender { half: write }, Receiver { half: read, buffer, received, piece }))
}

/// An attempt that is given up after a while, its error with the address.
pub(super) async fn within_limit<T>(
    address: &Address,
    attempt: impl Future<Output = io::Result<T>>,
) -> Result<T, StackError> {
    let result = timeout(ANSWER_TIMEOUT, attempt).await;
    let result = result.unwrap_or_else(|_| Err(io::Error::other("no answer within 3 s")));
    result.map_err(|error| {
        let refused = error.kind() == io::ErrorKind::ConnectionRefused;
        let hint = if refused { "; is it running there?" } else { "" };
        let advice = tls_advice(address, &error);
        let reason = advice.unwrap_or_else(|| format!("{error}{hint}"));
        StackError::Unreachable {
            server: "the MQTT broker",
            address: Box::new(address.clone()),
            reason,
        }
    })
}

fn refusal(code: ConnectReturnCode, address: &Address) -> String {
    match (code, address.credentials()) {
        (ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized, None) => {
            "it wants a user and password: mqtt://USER:PASSWORD@HOST".to_owned()
        }
        (ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized, Some(_)) => {
            "it does not accept this user and password".to_owned()
        }
        (other, _) => format!("it refuses the connection ({other:?})"),
    }
}

async fn open(
    address: &Address,
    received: Option<&LastReceipt>,
) -> io::Result<Box<dyn MqttSocket>> {
    let tcp = TcpStream::connect((address.host(), address.port())).await?;
    // Without it Nagle's algorithm and delayed acknowledgements hold small frames back for 40 ms.
    tcp.set_nodelay(true)?;
    let socket: Box<dyn MqttSocket> = match received {
        Some(received) => Box::new(Timed::new(tcp, received.clone())),
        None => Box::new(tcp),
    };
    if address.scheme() == Scheme::Plain {
        return Ok(socket);
    }
    Ok(Box::new(handshake(address, socket).await?))
}

/// A request to subscribe to topics.
pub(crate) fn subscription(topics: &[String], qos: u8) -> Subscribe {
    let mut request = Subscribe::new_many(
        topics.iter().map(|topic: &String| SubscribeFilter::new(topic.clone(), quality(qos))),
    );
    request.pkid = 1;
    request
}

/// Subscribes to topics and waits for the broker's consent.
pub(crate) async fn subscribe(
    connection: &mut MqttConnection,
    address: &Address,
    topics: &[String],
    qos: u8,
) -> Result<(), StackError> {
    let MqttConnection { sender, receiver, .. } = connection;
    let attempt = async {
        sender.send(&Packet::Subscribe(subscription(topics, qos))).await?;
        loop {
            // MQTT 3.1.1, 3.8.4: messages may come before the consent.
            let Packet::SubAck(ack) = receiver.next().await? else { continue };
            let codes = ack.return_codes.iter();
            let refused =
                codes.zip(topics).find(|(code, _)| **code == SubscribeReasonCode::Failure);
            return match refused {
                None => Ok(()),
                Some((_, topic)) => {
                    Err(io::Error::other(format!("it does not allow a subscription to {topic}")))
                }
            };
        }
    };
    within_limit(address, attempt).await
}

impl MqttSender {
    /// Writes one packet.
    pub(crate) async fn send(&mut self, packet: &Packet) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, MAX_FRAME).map_err(io::Error::other)?;
        self.send_bytes(&bytes).await
    }

    /// Writes whole packets.
    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await?;
        self.half.flush().await
    }

    /// Writes some of `frames` and takes that off it: what is left after an error was not written.
    /// TLS may still hold what was taken, until [`Self::flush`]. It gives the time before the write: what
    /// comes of it may come before this thread goes on.
    pub(crate) async fn write_some(&mut self, frames: &mut BytesMut) -> io::Result<Nanos> {
        let mut at = Nanos::ZERO;
        let write = poll_fn(|context| {
            at = clock::now();
            Pin::new(&mut self.half).poll_write(context, frames)
        });
        let written = write.await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        frames.advance(written);
        Ok(at)
    }

    /// Hands the kernel what was written.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.half.flush().await
    }
}

impl Receiver {
    /// Waits for bytes, and gives the time at which the last of them came. An end of input is an error.
    pub(crate) async fn fill(&mut self) -> io::Result<ReceivedAt> {
        let room = self.piece.room();
        self.buffer.reserve(room);
        if (&mut self.half).take(room as u64).read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let noted = self.received.get().map(|at| ReceivedAt { at, when_read: false });
        Ok(noted.unwrap_or_else(ReceivedAt::now))
    }

    /// The next packet that is complete; `None` when more bytes are needed.
    pub(crate) fn decode(&mut self) -> io::Result<Option<Packet>> {
        let before = self.buffer.len();
        match Packet::read(&mut self.buffer, MAX_FRAME) {
            Ok(packet) => {
                self.piece.complete(before - self.buffer.len());
                Ok(Some(packet))
            }
            Err(CodecError::InsufficientBytes(missing)) => {
                self.piece.lacks(missing, before > 0);
                Ok(None)
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
        }
    }

    /// Bytes that were read and not decoded.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Waits for the next packet.
    pub(crate) async fn next(&mut self) -> io::Result<Packet> {
        loop {
            if let Some(packet) = self.decode()? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }
}
