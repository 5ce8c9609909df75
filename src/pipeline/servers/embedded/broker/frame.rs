//! From bytes to packets: frames are cut here, without copying, and PUBLISH, the packet that comes by
//! the million, is read in place. All others go through rumqttc's codec, after the checks it leaves
//! out. Nothing here panics on, or allocates for, what a length only promises.

use bytes::{BufMut as _, BytesMut};
use rumqttc::mqttbytes::v4::Packet;

/// The first byte of a PUBLISH at QoS 0, neither duplicate nor retained.
const PLAIN: u8 = 0x30;
/// Bytes that are forwarded in one go at most, so that a subscriber's bound is looked at in between.
const RUN_BYTES: usize = 64 * 1024;

/// Why a connection is closed: its peer broke the protocol, or asked for what is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FrameError(pub &'static str);

/// One whole packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// Header and body.
    pub bytes: &'a [u8],
    /// Bytes that the remaining length counts.
    pub body: &'a [u8],
}

/// The kinds of packets a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacketKind {
    /// It introduces itself.
    Connect,
    /// A message.
    Publish,
    /// It has a message at QoS 1.
    PubAck,
    /// Any other.
    Other,
}

/// A message, read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Not yet checked.
    pub topic: &'a [u8],
    /// At QoS 1.
    pub packet_id: Option<u16>,
    /// The rest.
    pub payload: &'a [u8],
}

/// The first packet of `bytes`; `None` while it is not complete. `max` bounds what its body may
/// promise.
pub(crate) fn cut(bytes: &[u8], max: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let mut promised = 0;
    for (at, byte) in bytes.iter().skip(1).take(4).enumerate() {
        promised |= usize::from(byte & 0x7f) << (7 * at);
        if promised > max {
            return Err(FrameError("a packet larger than allowed"));
        }
        if byte & 0x80 == 0 {
            let (head, end) = (2 + at, 2 + at + promised);
            let whole = bytes.get(..end);
            return Ok(whole.map(|bytes| Frame { bytes, body: &bytes[head..] }));
        }
    }
    if bytes.len() > 4 { Err(FrameError("a malformed length")) } else { Ok(None) }
}

/// Returns true if the first packet of `bytes`, complete or not, is a PUBLISH.
pub(crate) fn is_message(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 4 == PLAIN >> 4)
}

impl<'a> Frame<'a> {
    /// Its kind, by its first four bits.
    pub(crate) fn kind(&self) -> PacketKind {
        match self.bytes[0] >> 4 {
            1 => PacketKind::Connect,
            3 => PacketKind::Publish,
            4 => PacketKind::PubAck,
            _ => PacketKind::Other,
        }
    }

    /// Reads it as a message.
    pub(crate) fn message(&self) -> Result<Message<'a>, FrameError> {
        let packet_id = match self.bytes[0] & 0x0f {
            flags if flags & 0b0110 > 0b0010 => {
                return Err(FrameError("a message at a QoS above 1"));
            }
            flags if flags & 1 != 0 => {
                return Err(FrameError("a message to be retained: nothing is retained here"));
            }
            0b1000 => return Err(FrameError("a duplicate at QoS 0")),
            flags => flags != 0,
        };
        let (topic, rest) = string(self.body).ok_or(FrameError("a message without a topic"))?;
        if !packet_id {
            return Ok(Message { topic, packet_id: None, payload: rest });
        }
        match rest {
            [0, 0, ..] => Err(FrameError("a message with the packet id 0")),
            [high, low, payload @ ..] => {
                let id = u16::from_be_bytes([*high, *low]);
                Ok(Message { topic, packet_id: Some(id), payload })
            }
            _ => Err(FrameError("a message without a packet id")),
        }
    }

    /// Returns true if the packet can be passed on unchanged to every subscriber: QoS 0, no flags, and its
    /// length in as few bytes as possible.
    pub(crate) fn is_plain(&self) -> bool {
        let head = self.bytes.len() - self.body.len();
        self.bytes[0] == PLAIN && (head == 2 || self.bytes[head - 1] != 0)
    }

    /// Reads any other packet.
    pub(crate) fn packet(&self) -> Result<Packet, FrameError> {
        self.check()?;
        let mut copy = BytesMut::from(self.bytes);
        Packet::read(&mut copy, self.body.len()).map_err(|_| FrameError("a malformed packet"))
    }

    /// Checks the parts of a packet that the codec does not check.
    fn check(&self) -> Result<(), FrameError> {
        let id_is_zero = || self.body.starts_with(&[0, 0]);
        let known = match self.bytes[0] {
            0x10 => connect_is_sound(self.body),
            0x40 => self.body.len() == 2 && !id_is_zero(),
            0x82 => !id_is_zero() && wishes_are_sound(self.body.get(2..).unwrap_or_default()),
            0xa2 => self.body.len() > 2 && !id_is_zero(),
            0xc0 | 0xe0 => self.body.is_empty(),
            _ => return Err(FrameError("a packet that clients do not send, or not here")),
        };
        if known { Ok(()) } else { Err(FrameError("a malformed packet")) }
    }

    /// Protocol name and level of a CONNECT.
    pub(crate) fn protocol(&self) -> Option<(&'a [u8], u8)> {
        let (name, rest) = string(self.body)?;
        rest.first().map(|level| (name, *level))
    }
}

/// The reserved flag is 0, a password comes with a user, and what the flags announce is all there is.
fn connect_is_sound(body: &[u8]) -> bool {
    let Some((_, [_, flags, _, _, payload @ ..])) = string(body) else { return false };
    let announced = |flag, strings| if flags & flag == 0 { 0 } else { strings };
    // The client id; topic and message of a will; user; password.
    let strings = 1 + announced(0b100, 2) + announced(0b1000_0000, 1) + announced(0b0100_0000, 1);
    let rest = (0..strings).try_fold(payload, |rest, _| string(rest).map(|(_, rest)| rest));
    flags & 1 == 0 && flags & 0b1100_0000 != 0b0100_0000 && rest.is_some_and(<[u8]>::is_empty)
}

/// At least one filter, each with a QoS and nothing else in its byte.
fn wishes_are_sound(mut wishes: &[u8]) -> bool {
    while let Some((_, [0..=2, rest @ ..])) = string(wishes) {
        if rest.is_empty() {
            return true;
        }
        wishes = rest;
    }
    false
}

/// A string's bytes after their length, and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// The length of the run of plain messages to one topic that `bytes` begins with, the first of which
/// is `frame`. They can be forwarded together, as they are.
pub(crate) fn run_len(bytes: &[u8], frame: &Frame<'_>, topic: &[u8]) -> usize {
    let opening = &frame.body[..2 + topic.len()];
    let mut end = frame.bytes.len();
    while end < RUN_BYTES {
        match cut(&bytes[end..], RUN_BYTES) {
            Ok(Some(next)) if next.is_plain() && next.body.starts_with(opening) => {
                end += next.bytes.len();
            }
            _ => break,
        }
    }
    end
}

/// Writes a message, with a packet id at QoS 1 and without at QoS 0.
pub(crate) fn put_message(out: &mut BytesMut, message: &Message<'_>, retained: bool) {
    let id = message.packet_id;
    let len = 2 + message.topic.len() + message.payload.len() + if id.is_some() { 2 } else { 0 };
    out.reserve(5 + len);
    out.put_u8(PLAIN | u8::from(id.is_some()) << 1 | u8::from(retained));
    put_len(out, len);
    // A topic comes from a frame, whose length field it had to fit.
    out.put_u16(u16::try_from(message.topic.len()).unwrap_or(u16::MAX));
    out.put_slice(message.topic);
    if let Some(id) = id {
        out.put_u16(id);
    }
    out.put_slice(message.payload);
}

fn put_len(out: &mut BytesMut, mut len: usize) {
    while len > 0x7f {
        out.put_u8((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.put_u8(len as u8);
}
