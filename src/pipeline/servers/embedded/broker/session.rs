//! Effects of each packet of a client.

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, Packet, PubAck, SubAck, Subscribe, SubscribeReasonCode,
    UnsubAck, Unsubscribe,
};
use rumqttc::mqttbytes::valid_filter;

use super::frame::{Frame, FrameError, Message, PacketKind, cut, is_message, run_len};
use super::hub::BrokerHub;
use super::topic::{VERSION_TOPIC, is_filter, matches};
use crate::pipeline::servers::EMBEDDED_VERSION;
use crate::pipeline::servers::mqtt;

/// The largest packet other than PUBLISH: a CONNECT with client id, user and password of full
/// length, or a SUBSCRIBE to as many filters as a client may have. A client before its CONNECT must
/// not fill our memory, and a million filters at once would make all others wait.
const MAX_CONTROL: usize = 272 * 1024;

/// Agreements of a connection: client id and keep-alive.
#[derive(Debug, Default)]
pub(super) struct ClientSession {
    connected: bool,
    /// Seconds; 0 is none.
    keep_alive: u16,
}

/// Reason for which no more bytes were taken, other than that the next packet is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadStop {
    /// The client with this key has no room for the next message.
    Held(usize),
    /// The connection has looked up many topics: it goes on in its next turn.
    Later,
    /// The client said goodbye.
    Goodbye,
    /// The client was refused.
    Refused(FrameError),
}

/// The packets that bytes began with.
#[derive(Debug)]
pub(super) struct Taken {
    /// Their length.
    pub(super) used: usize,
    pub(super) stop: Option<ReadStop>,
}

impl ClientSession {
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(super) fn keep_alive(&self) -> u16 {
        self.keep_alive
    }

    /// Takes in all whole packets, as far as there is room for what they cause.
    pub(super) fn take(&mut self, hub: &mut BrokerHub, me: usize, bytes: &[u8]) -> Taken {
        let mut used = 0;
        let stop = loop {
            let rest = &bytes[used..];
            let message = self.connected && is_message(rest);
            let max = if message { hub.settings.frame_bytes } else { MAX_CONTROL };
            let step = match cut(rest, max) {
                Ok(Some(frame)) => self.step(hub, me, rest, frame),
                Ok(None) => break None,
                Err(refusal) => Err(ReadStop::Refused(refusal)),
            };
            match step {
                Ok(count) => used += count,
                Err(stop) => break Some(stop),
            }
        };
        Taken { used, stop }
    }

    /// Takes in the first packet, and with a message those that go the same way; their length.
    fn step(
        &mut self,
        hub: &mut BrokerHub,
        me: usize,
        bytes: &[u8],
        frame: Frame<'_>,
    ) -> Result<usize, ReadStop> {
        // Answers need room: who sends without reading is held by itself. An acknowledgement makes
        // room, and is never held.
        if frame.kind() != PacketKind::PubAck
            && hub.peer(me).is_some_and(|peer| peer.outbox.is_unread())
        {
            return Err(ReadStop::Held(me));
        }
        match (frame.kind(), self.connected) {
            (PacketKind::Connect, false) => self.connect(hub, me, &frame)?,
            (PacketKind::Connect, true) => return Err(refused("a second CONNECT")),
            (_, false) => return Err(refused("a first packet other than CONNECT")),
            (PacketKind::Publish, true) => return publish(hub, me, bytes, &frame),
            (PacketKind::PubAck | PacketKind::Other, true) => {
                control(hub, me, frame.packet().map_err(ReadStop::Refused)?)?
            }
        }
        Ok(frame.bytes.len())
    }

    fn connect(
        &mut self,
        hub: &mut BrokerHub,
        me: usize,
        frame: &Frame<'_>,
    ) -> Result<(), ReadStop> {
        let answer = match frame.protocol() {
            Some((b"MQTT", 4)) => match frame.packet().map_err(ReadStop::Refused)? {
                Packet::Connect(connect) => self.introduce(hub, me, &connect),
                _ => return Err(refused("a malformed CONNECT")),
            },
            Some((b"MQTT" | b"MQIsdp", _)) => {
                Err((ConnectReturnCode::RefusedProtocolVersion, "a protocol other than MQTT 3.1.1"))
            }
            _ => return Err(refused("a protocol that is not MQTT")),
        };
        let code = answer.err().map_or(ConnectReturnCode::Success, |(code, _)| code);
        reply(hub, me, &Packet::ConnAck(ConnAck::new(code, false)));
        answer.map_err(|(_, why)| refused(why))
    }

    /// Checks the password, and refuses what the broker does not have.
    fn introduce(
        &mut self,
        hub: &mut BrokerHub,
        me: usize,
        connect: &Connect,
    ) -> Result<(), (ConnectReturnCode, &'static str)> {
        let given = connect.login.as_ref().map_or(&[][..], |login| login.password.as_bytes());
        if hub.password.as_ref().is_some_and(|ours| !ours.is(given)) {
            return Err((ConnectReturnCode::BadUserNamePassword, "not the password"));
        }
        if connect.client_id.is_empty() && !connect.clean_session {
            return Err((ConnectReturnCode::BadClientId, "a kept session without a client id"));
        }
        // Accepted and not kept would be a promise broken later, in silence.
        if !connect.clean_session {
            return Err((ConnectReturnCode::ServiceUnavailable, "a session to be kept"));
        }
        if connect.last_will.is_some() {
            return Err((ConnectReturnCode::ServiceUnavailable, "a will"));
        }
        self.connected = true;
        self.keep_alive = connect.keep_alive;
        hub.introduce(me, &connect.client_id);
        Ok(())
    }
}

fn refused(why: &'static str) -> ReadStop {
    ReadStop::Refused(FrameError(why))
}

/// Routes a message, or a run of them.
fn publish(
    hub: &mut BrokerHub,
    me: usize,
    bytes: &[u8],
    frame: &Frame<'_>,
) -> Result<usize, ReadStop> {
    let message = frame.message().map_err(ReadStop::Refused)?;
    let Some(targets) = hub.targets(me, message.topic).map_err(ReadStop::Refused)? else {
        return Err(ReadStop::Later);
    };
    if let Some(full) = hub.full(&targets) {
        return Err(ReadStop::Held(full));
    }
    if frame.is_plain() {
        let len = run_len(bytes, frame, message.topic);
        hub.forward(&targets, &bytes[..len]);
        return Ok(len);
    }
    hub.deliver(&targets, message);
    if let Some(id) = message.packet_id {
        reply(hub, me, &Packet::PubAck(PubAck::new(id)));
    }
    Ok(frame.bytes.len())
}

fn control(hub: &mut BrokerHub, me: usize, packet: Packet) -> Result<(), ReadStop> {
    match packet {
        Packet::PubAck(ack) => {
            if let Some(peer) = hub.peer(me) {
                peer.outbox.acknowledged(ack.pkid);
            }
        }
        Packet::Subscribe(wish) => subscribe(hub, me, &wish)?,
        Packet::Unsubscribe(wish) => unsubscribe(hub, me, &wish)?,
        Packet::PingReq => reply(hub, me, &Packet::PingResp),
        Packet::Disconnect => return Err(ReadStop::Goodbye),
        _ => return Err(refused("a packet that clients do not send")),
    }
    Ok(())
}

fn subscribe(hub: &mut BrokerHub, me: usize, wish: &Subscribe) -> Result<(), ReadStop> {
    if !wish.filters.iter().all(|filter| is_filter(&filter.path)) {
        return Err(refused("a filter that is none"));
    }
    let mut codes = Vec::with_capacity(wish.filters.len());
    for filter in &wish.filters {
        let qos = mqtt::quality(filter.qos as u8);
        codes.push(if hub.subscribe(me, &filter.path, qos as u8) {
            SubscribeReasonCode::Success(qos)
        } else {
            SubscribeReasonCode::Failure
        });
    }
    reply(hub, me, &Packet::SubAck(SubAck::new(wish.pkid, codes)));
    if wish.filters.iter().any(|filter| matches(VERSION_TOPIC, &filter.path)) {
        tell_version(hub, me);
    }
    Ok(())
}

fn tell_version(hub: &mut BrokerHub, me: usize) {
    let (topic, payload) = (VERSION_TOPIC.as_bytes(), EMBEDDED_VERSION.as_bytes());
    if let Some(peer) = hub.peer(me) {
        peer.outbox.put_message(Message { topic, packet_id: None, payload }, 0, true);
    }
}

fn unsubscribe(hub: &mut BrokerHub, me: usize, wish: &Unsubscribe) -> Result<(), ReadStop> {
    if !wish.topics.iter().all(|filter| valid_filter(filter)) {
        return Err(refused("a filter that is none"));
    }
    for filter in &wish.topics {
        hub.unsubscribe(me, filter);
    }
    reply(hub, me, &Packet::UnsubAck(UnsubAck::new(wish.pkid)));
    Ok(())
}

fn reply(hub: &mut BrokerHub, me: usize, packet: &Packet) {
    let Some(peer) = hub.peer(me) else { return };
    let out: &mut BytesMut = peer.outbox.buffer();
    // It can only fail above a size that no answer has.
    let _ = packet.write(out, usize::MAX);
}
