//! Connections that publish: MQTT 5 where the broker has it, for the limits that it names and the reasons that it
//! gives, else MQTT 3.1.1.

use std::io;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::{Error as CodecError, v5};

use super::StackError;
use super::mqtt::{
    self, KEEP_ALIVE_SECS, MqttSender, ReceiptTimes, Receiver, open_halves, within_limit,
};
use crate::core::Address;
use crate::message::MAX_BODY;

/// Largest packet that a broker sends to a publisher: it sends no messages.
const MAX_ANSWER: u32 = 64 * 1024;
/// First byte of a DISCONNECT.
const DISCONNECT: u8 = 0xe0;

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MqttVersion {
    /// MQTT 3.1.1: the broker closes the connection on what it does not take.
    V311,
    /// MQTT 5.
    V5,
}

/// A connection of a publisher that the broker has accepted.
#[derive(Debug)]
pub(crate) struct PublisherLink {
    pub(crate) sender: MqttSender,
    pub(crate) receiver: Receiver,
    pub(crate) version: MqttVersion,
    /// Largest packet that the broker takes, in bytes.
    pub(crate) max_packet: usize,
    /// The broker speaks MQTT 5, also where `version` is 3.1.1.
    pub(crate) speaks_v5: bool,
}

/// Use of a connection by a publisher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublisherNeeds {
    pub(crate) qos: QoS,
    /// Most messages without acknowledgement at QoS 1.
    pub(crate) window: usize,
}

/// Connects by MQTT 5, and by MQTT 3.1.1 if that fails, or if the broker takes fewer unacknowledged messages than
/// needed by MQTT 5: there the limit is a part of the protocol, which would make a distant broker slow. Its limit of
/// packets counts then, too.
pub(crate) async fn connect_publisher(
    address: &Address,
    client_id: &str,
    needs: PublisherNeeds,
) -> Result<PublisherLink, StackError> {
    let attempt = connect_v5(address, client_id, needs);
    let known = match within_limit(address, attempt).await {
        Ok(Accepted { link, is_sufficient: true }) => return Ok(link),
        Ok(Accepted { mut link, .. }) => {
            let mut goodbye = BytesMut::new();
            let _ = v4::Packet::Disconnect.write(&mut goodbye, MAX_BODY);
            // It is closed anyway.
            let _ = link.sender.send_bytes(&goodbye).await;
            Some(link.max_packet)
        }
        Err(error) => {
            log::debug!("no MQTT 5: {error}");
            None
        }
    };
    let link = connect_v311(address, client_id).await?;
    let max_packet = known.unwrap_or(link.max_packet);
    Ok(PublisherLink { max_packet, speaks_v5: known.is_some(), ..link })
}

/// Connects by MQTT 3.1.1 only.
pub(crate) async fn connect_v311(
    address: &Address,
    client_id: &str,
) -> Result<PublisherLink, StackError> {
    let (sender, receiver) = mqtt::connect(address, client_id, ReceiptTimes::Read).await?;
    let (version, max_packet) = (MqttVersion::V311, usize::MAX);
    Ok(PublisherLink { sender, receiver, version, max_packet, speaks_v5: false })
}

/// A connection by MQTT 5.
struct Accepted {
    link: PublisherLink,
    /// The broker's limits leave room for what the publisher needs.
    is_sufficient: bool,
}

async fn connect_v5(
    address: &Address,
    client_id: &str,
    needs: PublisherNeeds,
) -> io::Result<Accepted> {
    let (mut sender, mut receiver) = open_halves(address, ReceiptTimes::Read).await?;
    let hello = v5::Connect {
        keep_alive: KEEP_ALIVE_SECS,
        client_id: client_id.to_owned(),
        clean_start: true,
        properties: None,
    };
    let login = address.credentials().map(|(user, password)| v5::Login::new(user, password));
    let mut bytes = BytesMut::new();
    let packet = v5::Packet::Connect(hello, None, login);
    packet.write(&mut bytes, None).map_err(io::Error::other)?;
    sender.send_bytes(&bytes).await?;
    let ack = loop {
        match decode_v5(receiver.buffer())? {
            Some(v5::Packet::ConnAck(ack)) => break ack,
            Some(_) => return Err(io::Error::other("it does not answer in MQTT 5")),
            None => receiver.fill().await.map(|_| ())?,
        }
    };
    if ack.code != v5::ConnectReturnCode::Success {
        return Err(io::Error::other(format!("it refuses the connection ({:?})", ack.code)));
    }
    let limits = ack.properties;
    let limits = limits.as_ref();
    let max_packet = limits.and_then(|limits| limits.max_packet_size);
    let receive_max = limits.and_then(|limits| limits.receive_max).unwrap_or(u16::MAX);
    let max_qos = limits.and_then(|limits| limits.max_qos).unwrap_or(2);
    let keep_alive = limits.and_then(|limits| limits.server_keep_alive);
    let is_sufficient =
        needs.qos == QoS::AtMostOnce || (max_qos > 0 && usize::from(receive_max) >= needs.window);
    let link = PublisherLink {
        sender,
        receiver,
        version: MqttVersion::V5,
        max_packet: max_packet.map_or(usize::MAX, |most| most as usize),
        speaks_v5: true,
    };
    // A shorter keep-alive than ours: 3.1.1 has ours.
    let is_patient = keep_alive.is_none_or(|seconds| seconds == 0 || seconds >= KEEP_ALIVE_SECS);
    Ok(Accepted { link, is_sufficient: is_sufficient && is_patient })
}

/// Packet that a broker sends to a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerPacket {
    /// It has the message with this id, unless it gives a reason why not.
    Acknowledged { pkid: u16, refusal: Option<v5::PubAckReason> },
    /// Answer to a ping.
    Pong,
    /// It closes the connection, by MQTT 5.
    Closing(v5::DisconnectReasonCode),
    /// Anything else.
    Other,
}

impl PublisherLink {
    /// The next packet that is complete; `None` when more bytes are needed.
    pub(crate) fn decode(&mut self) -> io::Result<Option<BrokerPacket>> {
        if self.version == MqttVersion::V311 {
            return Ok(self.receiver.decode()?.map(|packet| match packet {
                v4::Packet::PubAck(ack) => {
                    BrokerPacket::Acknowledged { pkid: ack.pkid, refusal: None }
                }
                v4::Packet::PingResp => BrokerPacket::Pong,
                _ => BrokerPacket::Other,
            }));
        }
        if let Some(reason) = closing_reason(self.receiver.buffer()) {
            return Ok(Some(BrokerPacket::Closing(reason)));
        }
        Ok(decode_v5(self.receiver.buffer())?.map(|packet| match packet {
            v5::Packet::PubAck(ack) => {
                let is_taken = matches!(
                    ack.reason,
                    v5::PubAckReason::Success | v5::PubAckReason::NoMatchingSubscribers
                );
                BrokerPacket::Acknowledged {
                    pkid: ack.pkid,
                    refusal: (!is_taken).then_some(ack.reason),
                }
            }
            v5::Packet::PingResp(_) => BrokerPacket::Pong,
            _ => BrokerPacket::Other,
        }))
    }
}

fn decode_v5(buffer: &mut BytesMut) -> io::Result<Option<v5::Packet>> {
    match v5::Packet::read(buffer, Some(MAX_ANSWER)) {
        Ok(packet) => Ok(Some(packet)),
        Err(CodecError::InsufficientBytes(_)) => Ok(None),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
    }
}

/// Reason of a DISCONNECT at the begin of `bytes`. The codec refuses one without properties, which is allowed.
fn closing_reason(bytes: &[u8]) -> Option<v5::DisconnectReasonCode> {
    match *bytes {
        [DISCONNECT, 0, ..] => Some(v5::DisconnectReasonCode::NormalDisconnection),
        [DISCONNECT, _, reason, ..] => v5::DisconnectReasonCode::try_from(reason).ok(),
        _ => None,
    }
}

/// Writes the PUBLISH packets of one topic and quality of service.
#[derive(Debug)]
pub(crate) struct PublishFrame {
    qos: QoS,
    topic: String,
    v311: v4::Publish,
    v5: v5::Publish,
}

impl PublishFrame {
    /// Frames of messages for `topic`.
    pub(crate) fn new(topic: &str, qos: QoS) -> Self {
        let qos_5 = if qos == QoS::AtMostOnce { QoS5::AtMostOnce } else { QoS5::AtLeastOnce };
        Self {
            qos,
            topic: topic.to_owned(),
            v311: v4::Publish::from_bytes(topic, qos, Bytes::new()),
            v5: v5::Publish::new(topic, qos_5, Bytes::new(), None),
        }
    }

    pub(crate) fn qos(&self) -> QoS {
        self.qos
    }

    /// Writes a packet. At QoS 0 `pkid` is 0.
    pub(crate) fn write(
        &mut self,
        packet: PublishPacket<'_>,
        version: MqttVersion,
        to: &mut BytesMut,
    ) {
        let PublishPacket { pkid, dup, payload } = packet;
        // Fails only above MQTT's limit of 256 MB, which is far above `MAX_BODY`.
        if version == MqttVersion::V5 {
            (self.v5.pkid, self.v5.dup, self.v5.payload) = (pkid, dup, payload.clone());
            let _ = self.v5.write(to);
        } else {
            (self.v311.pkid, self.v311.dup, self.v311.payload) = (pkid, dup, payload.clone());
            let _ = self.v311.write(to);
        }
    }

    /// Largest payload of a packet of at most `max_packet` bytes.
    pub(crate) fn max_payload(&self, max_packet: usize, version: MqttVersion) -> usize {
        let id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = usize::from(version == MqttVersion::V5);
        let rest = 2 + self.topic.len() + id + properties;
        // The length of what follows has 1 to 4 bytes of 7 bits.
        let most =
            (1..=4).map(|bytes| max_packet.saturating_sub(1 + bytes).min((1 << (7 * bytes)) - 1));
        most.max().unwrap_or(0).saturating_sub(rest)
    }
}

/// Content of a PUBLISH packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishPacket<'a> {
    pub(crate) pkid: u16,
    /// It was sent before.
    pub(crate) dup: bool,
    pub(crate) payload: &'a Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_payload_fills_the_largest_packet() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            for version in [MqttVersion::V311, MqttVersion::V5] {
                let mut frame = PublishFrame::new("/channel", qos);
                for max_packet in [20, 129, 130, 131, 132, 1_000, 16_385, 16_390, 131_072] {
                    let most = frame.max_payload(max_packet, version);
                    let mut size = |len: usize| {
                        let payload = Bytes::from(vec![b'x'; len]);
                        let pkid = u16::from(qos == QoS::AtLeastOnce);
                        let packet = PublishPacket { pkid, dup: false, payload: &payload };
                        let mut bytes = BytesMut::new();
                        frame.write(packet, version, &mut bytes);
                        bytes.len()
                    };
                    assert!(size(most) <= max_packet, "{max_packet} {version:?}");
                    assert!(size(most + 1) > max_packet, "{max_packet} {version:?}");
                }
            }
        }
    }

    #[test]
    fn a_disconnect_without_properties_has_its_reason() {
        let shutting_down = v5::DisconnectReasonCode::ServerShuttingDown;
        assert_eq!(closing_reason(&[0xe0, 1, 0x8b]), Some(shutting_down));
        assert_eq!(closing_reason(&[0xe0, 2, 0x8b, 0]), Some(shutting_down));
        let normal = v5::DisconnectReasonCode::NormalDisconnection;
        assert_eq!(closing_reason(&[0xe0, 0]), Some(normal));
        assert_eq!(closing_reason(&[0xd0, 0]), None);
        assert_eq!(closing_reason(&[0xe0]), None);
    }
}
