//! The data channels of a subscriber: SCTP over its DTLS, opened by the peer.
//!
//! ```text
//!   Waiting ──INIT──► Running ──ABORT, SHUTDOWN, strikes, fault──► Over
//! ```
//!
//! The association is `sctp-proto`'s; we are always its passive side, as we are DTLS's. A value is made only when the first
//! SCTP packet has come, so that a viewer without channels costs a pointer. What goes wrong here ends here: `Over` is quiet
//! and for good, and the media does not notice.
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppid, ReliabilityType, ServerConfig, StreamEvent, Transmit, TransportConfig,
};

use super::books::Books;
use super::crumbs;
use super::dcep::{ACKNOWLEDGE, Dcep, Open, Reliability};
use super::{DataClose, DataEvent, DataLimits, DataSent, DataStats, Meter};

/// For `a=sctp-port`.
pub(crate) const PORT: u16 = 5000;
/// The library tells associations apart by address; we have one a value.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
/// Of a DATA chunk: with the SCTP header (28) and DTLS's (37 with AEAD) below DTLS's 1,150 bytes.
const CHUNK_BYTES: u32 = 1_024;
/// RFC 9260 has 1 s as the least time to a repeat, which is long for a caption. A delayed acknowledgement takes 200 ms.
const LEAST_REPEAT_MS: u64 = 400;
const FIRST_REPEAT_MS: u64 = 500;
const LONGEST_REPEAT_MS: u64 = 10_000;

enum State {
    Waiting,
    Running(AssociationHandle, Box<Association>),
    Over,
}

/// See the module.
pub(crate) struct Channels {
    endpoint: Endpoint,
    state: State,
    books: Books<u16>,
    /// Longest message that the peer takes.
    most_sent: usize,
    datagrams: Meter,
    /// Small pieces that came and are in no message yet that was read.
    crumbs: Meter,
    packets: VecDeque<Bytes>,
}

impl Channels {
    /// `most_sent`: the peer's `a=max-message-size`, 0 for any.
    pub(crate) fn new(now: Instant, limits: DataLimits, most_sent: u32) -> Channels {
        let most_sent = most_sent as usize;
        let most_sent = if most_sent == 0 { limits.message_bytes } else { most_sent.min(limits.message_bytes) };
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(limits.message_bytes.saturating_mul(4) as u32)
            .with_max_receive_message_size(limits.message_bytes as u32)
            .with_max_send_message_size(most_sent as u32)
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None)
            .with_rto_initial_ms(FIRST_REPEAT_MS)
            .with_rto_min_ms(LEAST_REPEAT_MS)
            .with_rto_max_ms(LONGEST_REPEAT_MS);
        let mut server = ServerConfig::default();
        server.transport = Arc::new(transport);
        let mut config = EndpointConfig::new();
        config.max_payload_size(CHUNK_BYTES);
        Channels {
            endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(server))),
            state: State::Waiting,
            books: Books::new(now, limits),
            most_sent,
            datagrams: Meter::new(now, limits.datagrams_per_s, limits.datagrams_per_s),
            crumbs: Meter::new(now, limits.crumbs_per_s, limits.crumbs),
            packets: VecDeque::new(),
        }
    }

    /// An SCTP packet from the peer.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: Bytes) {
        if matches!(self.state, State::Over) {
            return;
        }
        if !self.datagrams.pass(now) || !self.crumbs.pass_all(now, crumbs::count(&packet)) {
            self.books.counts.dropped_datagrams += 1;
            return;
        }
        self.guarded(|channels| {
            match channels.endpoint.handle(now, PEER, None, None, packet) {
                Some((handle, DatagramEvent::NewAssociation(association))) => {
                    channels.state = State::Running(handle, Box::new(association));
                    // a second one would be kept by the library for ever
                    channels.endpoint.reject_new_associations();
                }
                Some((_, DatagramEvent::AssociationEvent(event))) => {
                    if let State::Running(_, association) = &mut channels.state {
                        association.handle_event(event);
                    }
                }
                None => {}
            }
            channels.drain(now);
        });
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.guarded(|channels| {
            if let State::Running(_, association) = &mut channels.state {
                association.handle_timeout(now);
                channels.drain(now);
            }
        });
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Running(_, association) => association.poll_timeout(),
            State::Waiting | State::Over => None,
        }
    }

    /// The next SCTP packet for the peer.
    pub(crate) fn poll_packet(&mut self) -> Option<Bytes> {
        self.packets.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<DataEvent> {
        self.books.poll_event()
    }

    pub(crate) fn stats(&self) -> DataStats {
        self.books.stats()
    }

    /// Sends a message on the first channel of that label.
    pub(crate) fn send(&mut self, now: Instant, label: &str, text: bool, message: &[u8]) -> DataSent {
        let Some((id, whole)) = self.books.find(label) else { return DataSent::NoChannel };
        let mut sent = DataSent::Closed;
        self.guarded(|channels| {
            sent = channels.write(id, whole, text, message);
            channels.drain(now);
        });
        sent
    }

    fn write(&mut self, id: u16, whole: bool, text: bool, message: &[u8]) -> DataSent {
        let State::Running(_, association) = &mut self.state else { return DataSent::NoChannel };
        let waiting: usize =
            self.books.ids().filter_map(|id| association.stream(id).ok()?.buffered_amount().ok()).sum();
        // RFC 8831 6.6: SCTP has no empty messages; one byte that does not count stands for them
        let (ppid, bytes): (_, &[u8]) = match (text, message.is_empty()) {
            (true, false) => (Ppid::String, message),
            (true, true) => (Ppid::StringEmpty, &[0]),
            (false, false) => (Ppid::Binary, message),
            (false, true) => (Ppid::BinaryEmpty, &[0]),
        };
        let fits = message.len() <= self.most_sent && waiting + bytes.len() <= self.books.limits.buffered_bytes;
        let written = fits && association.stream(id).is_ok_and(|mut stream| stream.write_with_ppi(bytes, ppid).is_ok());
        let sent = self.books.sent(written, whole, message.len());
        if sent == DataSent::Closed {
            self.close(id, DataClose::Full);
        }
        sent
    }

    /// Library code on bytes of a stranger: whatever goes wrong in it may end the channels, not the session.
    fn guarded(&mut self, work: impl FnOnce(&mut Channels)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.end(DataClose::Protocol);
        }
    }

    /// Takes everything out of the library, which must be done after any change.
    fn drain(&mut self, now: Instant) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.collect(transmit);
        }
        loop {
            let State::Running(handle, association) = &mut self.state else { return };
            if let Some(event) = association.poll() {
                self.handle_event(now, event);
            } else if let Some(event) = association.poll_endpoint_event() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    association.handle_event(event);
                }
            } else if let Some(transmit) = association.poll_transmit(now) {
                self.collect(transmit);
            } else {
                return;
            }
        }
    }

    fn collect(&mut self, transmit: Transmit) {
        if let Payload::RawEncode(packets) = transmit.payload {
            self.packets.extend(packets);
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => {
                if let State::Running(_, association) = &mut self.state {
                    association.set_max_send_message_size(self.most_sent as u32);
                }
            }
            Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => self.end(DataClose::Peer),
            Event::Stream(StreamEvent::Opened { id }) => self.take_stream(id),
            Event::Stream(StreamEvent::Readable { id }) => self.read(now, id),
            Event::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. }) => {
                self.books.forget(id, DataClose::Peer);
            }
            _ => {}
        }
    }

    /// A stream that the peer has sent on for the first time.
    fn take_stream(&mut self, id: u16) {
        let State::Running(_, association) = &mut self.state else { return };
        while association.accept_stream().is_some() {} // they are found by their ids
        if association.stream_ids().len() > self.books.limits.channels {
            self.close(id, DataClose::TooMany);
        }
    }

    fn read(&mut self, now: Instant, id: u16) {
        loop {
            let State::Running(_, association) = &mut self.state else { return };
            let Ok(mut stream) = association.stream(id) else { return };
            let Ok(Some(chunks)) = stream.read_sctp() else { return };
            self.crumbs.forgive();
            if chunks.len() > self.books.limits.message_bytes {
                return self.close(id, DataClose::TooLong);
            }
            let mut message = vec![0; chunks.len()];
            let read = chunks.read(&mut message);
            match (chunks.ppi, read) {
                (Ppid::Dcep, Ok(_)) => self.handle_dcep(id, &message),
                (Ppid::String, Ok(_)) => self.handle_message(now, id, true, message),
                (Ppid::Binary, Ok(_)) => self.handle_message(now, id, false, message),
                (Ppid::StringEmpty, _) => self.handle_message(now, id, true, Vec::new()),
                (Ppid::BinaryEmpty, _) => self.handle_message(now, id, false, Vec::new()),
                _ => return self.close(id, DataClose::Protocol),
            }
        }
    }

    fn handle_dcep(&mut self, id: u16, message: &[u8]) {
        match Dcep::parse(message) {
            Some(Dcep::Open(open)) if !self.books.has(id) => self.open(id, open),
            // we open nothing that could be acknowledged, and a channel is opened once
            _ => self.close(id, DataClose::Protocol),
        }
    }

    fn open(&mut self, id: u16, open: Open) {
        let State::Running(_, association) = &mut self.state else { return };
        let (kind, value) = match open.reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::Repeats(most) => (ReliabilityType::Rexmit, most),
            Reliability::Lifetime(ms) => (ReliabilityType::Timed, ms),
        };
        let Ok(mut stream) = association.stream(id) else { return };
        // RFC 8832 6: the acknowledgement goes in order and for sure, whatever the channel is
        let acknowledged = stream.write_with_ppi(&ACKNOWLEDGE, Ppid::Dcep).is_ok();
        if !acknowledged || stream.set_reliability_params(!open.ordered, kind, value).is_err() {
            return self.close(id, DataClose::Protocol);
        }
        let whole = open.ordered && open.reliability == Reliability::Reliable;
        self.books.open(id, open.label, whole);
    }

    /// RFC 8832 6: data before the OPEN cannot be, which travels first and in order.
    fn handle_message(&mut self, now: Instant, id: u16, text: bool, bytes: Vec<u8>) {
        if let Err(why) = self.books.take(now, id, text, bytes) {
            self.close(id, why);
        }
    }

    /// Closes a stream of our own accord.
    fn close(&mut self, id: u16, why: DataClose) {
        if let State::Running(_, association) = &mut self.state
            && let Ok(mut stream) = association.stream(id)
        {
            // fails only when the association is on its way down, which closes it too
            let _ = stream.close();
        }
        if self.books.close(id, why) {
            self.end(DataClose::Protocol);
        }
    }

    /// No channels any more in this session.
    fn end(&mut self, why: DataClose) {
        self.state = State::Over;
        self.books.end(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use proptest::prelude::*;
    use sctp_proto::ClientConfig;

    /// A client's association with `channels` that has just connected.
    fn connected(now: Instant, channels: &mut Channels) -> (Endpoint, AssociationHandle, Association) {
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
        let (handle, mut association) = endpoint.connect(ClientConfig::new(), PEER).unwrap();
        for _ in 0..10 {
            exchange(now, &mut endpoint, &mut association, channels);
        }
        assert!(matches!(channels.state, State::Running(..)));
        assert!(!association.is_handshaking());
        (endpoint, handle, association)
    }

    /// The client's packets, and what comes back for them.
    fn exchange(now: Instant, endpoint: &mut Endpoint, association: &mut Association, channels: &mut Channels) {
        for packet in packets(now, association) {
            channels.handle_packet(now, packet);
        }
        while let Some(packet) = channels.poll_packet() {
            if let Some((_, DatagramEvent::AssociationEvent(event))) = endpoint.handle(now, PEER, None, None, packet) {
                association.handle_event(event);
            }
        }
        while association.poll().is_some() {}
    }

    fn packets(now: Instant, association: &mut Association) -> Vec<Bytes> {
        let mut packets = Vec::new();
        while let Some(Transmit { payload: Payload::RawEncode(more), .. }) = association.poll_transmit(now) {
            packets.extend(more);
        }
        packets
    }

    /// CRC32c, bit by bit: a damaged packet must pass the checksum to get any further.
    fn with_checksum(mut packet: Vec<u8>) -> Bytes {
        if packet.len() >= 12 {
            packet[8..12].fill(0);
            let crc = packet.iter().fold(!0u32, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
            });
            packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
        }
        packet.into()
    }

    #[test]
    fn strangers_cannot_begin_a_second_association() {
        let now = Instant::now();
        let mut channels = Channels::new(now, DataLimits { datagrams_per_s: 100_000, ..DataLimits::default() }, 0);
        let (_endpoint, _, _association) = connected(now, &mut channels);
        for _ in 0..1000 {
            let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
            let (_, mut other) = endpoint.connect(ClientConfig::new(), PEER).unwrap();
            packets(now, &mut other).into_iter().for_each(|packet| channels.handle_packet(now, packet));
        }
        let text = format!("{:?}", channels.endpoint);
        assert!(text.len() < 10_000, "the endpoint keeps what it was sent: {} bytes of text", text.len());
        while channels.poll_packet().is_some() {}
    }

    #[test]
    fn a_flood_of_datagrams_is_cut_off() {
        let now = Instant::now();
        let mut channels = Channels::new(now, DataLimits::default(), 0);
        (0..10_000).for_each(|_| channels.handle_packet(now, Bytes::from_static(&[0; 40])));
        assert_eq!(channels.stats().dropped_datagrams, 10_000 - 400);
    }

    proptest! {
        #[test]
        fn any_packet_does_no_harm(bytes in proptest::collection::vec(0u8.., 0..300)) {
            let now = Instant::now();
            let mut channels = Channels::new(now, DataLimits::default(), 0);
            channels.handle_packet(now, with_checksum(bytes));
            channels.handle_timeout(now + Duration::from_secs(1));
        }

        #[test]
        fn damaged_packets_do_no_harm(damage in proptest::collection::vec((12usize..60, 0u8.., 0usize..20), 1..8)) {
            let now = Instant::now();
            let mut channels = Channels::new(now, DataLimits::default(), 0);
            let (mut endpoint, _, mut association) = connected(now, &mut channels);
            let mut stream = association.open_stream(0, Ppid::Binary).unwrap();
            stream.write_with_ppi(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, b'x'], Ppid::Dcep).unwrap();
            stream.write_with_ppi(&[9; 3000], Ppid::Binary).unwrap();
            for packet in packets(now, &mut association) {
                let mut damaged = packet.to_vec();
                for (at, byte, cut) in &damage {
                    if let Some(place) = damaged.get_mut(*at) {
                        *place = *byte;
                    }
                    damaged.truncate(damaged.len().saturating_sub(*cut));
                }
                channels.handle_packet(now, with_checksum(damaged));
                channels.handle_packet(now, packet);
            }
            channels.handle_timeout(now + Duration::from_secs(1));
            exchange(now, &mut endpoint, &mut association, &mut channels);
            prop_assert!(channels.stats().channels <= 8);
        }
    }
}
