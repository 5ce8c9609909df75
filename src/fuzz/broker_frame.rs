//! The embedded broker's frames, messages and packets.

use crate::pipeline::servers::embedded::broker::BrokerLimits;
use crate::pipeline::servers::embedded::broker::frame::{
    Frame, FrameError, PacketKind, cut, put_message, run_len,
};
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet};

use super::{filled, ways};

/// The longest header: a byte, and four of length.
const HEADER: usize = 5;
/// A small bound beside the usual one, so that both sides of it are seen.
const SMALL: usize = 100;

/// Frames in any pieces: the same however they are cut, bounded, and what is read can be written and
/// read again.
pub(super) fn check(input: &[u8]) {
    for max in [BrokerLimits::default().frame_bytes, SMALL] {
        let whole = read(&[input], max);
        for pieces in ways(input) {
            assert_eq!(read(&pieces, max), whole, "in pieces");
        }
        if let (frames, None) = whole {
            assert_is_bounded(input, max, &frames);
        }
    }
    let mut rest = input;
    while let Ok(Some(frame)) = cut(rest, BrokerLimits::default().frame_bytes) {
        check_message(&frame, rest);
        check_packet(&frame);
        rest = &rest[frame.bytes.len()..];
    }
}

/// The frames of an input, and the refusal at its end.
fn read(pieces: &[&[u8]], max: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let (mut input, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match cut(&input, max) {
                Ok(None) => break,
                Err(refusal) => return (frames, Some(refusal)),
                Ok(Some(frame)) => {
                    let Frame { bytes, body } = frame;
                    assert!(input.starts_with(bytes) && bytes.ends_with(body) && body.len() <= max);
                    assert!((2..=HEADER).contains(&(bytes.len() - body.len())));
                    frames.push(bytes.to_vec());
                    input.drain(..frames[frames.len() - 1].len());
                }
            }
        }
    }
    (frames, None)
}

/// Whatever half a frame promises, as much as a frame may have decides it.
fn assert_is_bounded(input: &[u8], max: usize, frames: &[Vec<u8>]) {
    let rest = &input[frames.iter().map(Vec::len).sum()..];
    assert!(rest.len() < HEADER + max, "{} bytes are waited with", rest.len());
    if !rest.is_empty() {
        let waits = filled(rest, HEADER + max, |input| matches!(cut(input, max), Ok(None)));
        assert!(!waits, "{max} bytes do not do");
    }
}

fn check_message(frame: &Frame<'_>, rest: &[u8]) {
    if frame.kind() != PacketKind::Publish {
        return assert!(!frame.is_plain());
    }
    let Ok(message) = frame.message() else { return };
    assert_ne!(message.packet_id, Some(0));
    for retained in [false, true] {
        let mut again = BytesMut::new();
        put_message(&mut again, &message, retained);
        assert!(again.len() <= frame.bytes.len(), "as short as can be");
        let same = cut(&again, frame.body.len()).expect("a frame").expect("a whole one");
        assert_eq!(same.bytes.len(), again.len());
        if retained {
            assert!(same.message().is_err() && !same.is_plain());
        } else {
            assert_eq!(same.message(), Ok(message));
            assert_eq!(same.is_plain(), message.packet_id.is_none());
            assert_eq!(frame.is_plain(), same.is_plain() && again == frame.bytes);
        }
    }
    if frame.is_plain() {
        check_run(&rest[..run_len(rest, frame, message.topic)], message.topic);
    }
}

/// A run is plain messages to one topic, at least one, and nothing else.
fn check_run(run: &[u8], topic: &[u8]) {
    assert!(!run.is_empty());
    let mut rest = run;
    while !rest.is_empty() {
        let frame = cut(rest, rest.len()).expect("a frame").expect("a whole one");
        assert!(frame.is_plain());
        assert_eq!(frame.message().map(|message| message.topic), Ok(topic));
        rest = &rest[frame.bytes.len()..];
    }
}

fn check_packet(frame: &Frame<'_>) {
    let Ok(packet) = frame.packet() else { return };
    let mut again = BytesMut::new();
    let len = packet.write(&mut again, usize::MAX).expect("a packet that can be written");
    assert_eq!((len, packet.size()), (again.len(), again.len()));
    let same = cut(&again, frame.body.len()).expect("a frame").expect("a whole one");
    let unsaid = match &packet {
        Packet::Connect(connect) => {
            assert!(frame.protocol().is_some_and(|(name, level)| name == b"MQTT" && level <= 5));
            unsaid(connect, frame)
        }
        _ => 0,
    };
    assert_eq!(same.body.len() + unsaid, frame.body.len(), "{packet:?} is all there was");
    if unsaid == 0 {
        assert_eq!(same.packet().as_ref(), Ok(&packet));
        assert_eq!(same.body, frame.body);
    }
}

/// Bytes that the codec does not write: it makes no difference between an empty user or password
/// and none.
fn unsaid(connect: &Connect, frame: &Frame<'_>) -> usize {
    let flags = frame.body[2 + b"MQTT".len() + 1];
    let empty = |text: fn(&rumqttc::mqttbytes::v4::Login) -> &str| {
        connect.login.as_ref().is_none_or(|login| text(login).is_empty())
    };
    let user = flags & 0x80 != 0 && empty(|login| &login.username);
    let password = flags & 0x40 != 0 && empty(|login| &login.password);
    2 * (usize::from(user) + usize::from(password))
}
