//! The peer's end of SCTP: an association by the book, and packets that are not, built upon what it knows (tags and numbers),
//! with lengths and checksums that hold, so that they get past the first look.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload,
    PayloadProtocolIdentifier as Ppid, Transmit,
};

/// The library tells associations apart by address; there is one.
const OTHER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);
const PORTS: [u8; 4] = [0x13, 0x88, 0x13, 0x88];
/// Ports, tag, checksum.
const HEADER_BYTES: usize = 12;
/// Largest DATA chunk, so that its packet fits into what DTLS takes, bytes.
const CHUNK_BYTES: u32 = 1_024;

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const RECONFIG: u8 = 130;
const FORWARD: u8 = 192;

/// See the module.
pub(crate) struct Association {
    endpoint: Endpoint,
    handle: AssociationHandle,
    association: sctp_proto::Association,
    /// The other side's verification tag, once it has said it.
    tag: [u8; 4],
    /// Transmission sequence numbers: of our next DATA chunk, and the newest of the other side.
    next: u32,
    newest: u32,
}

impl Association {
    /// One that begins; [`Association::drain`] has its INIT.
    pub(crate) fn new() -> Association {
        let mut config = EndpointConfig::new();
        config.max_payload_size(CHUNK_BYTES);
        let mut endpoint = Endpoint::new(Arc::new(config), None);
        let (handle, association) =
            endpoint.connect(ClientConfig::new(), OTHER).expect("a first association can begin");
        Association { endpoint, handle, association, tag: [0; 4], next: 0, newest: 0 }
    }

    pub(crate) fn connected(&self) -> bool {
        !self.association.is_handshaking() && !self.over()
    }

    pub(crate) fn over(&self) -> bool {
        self.association.is_closed() || self.association.is_drained()
    }

    /// A packet from the other side.
    pub(crate) fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        for (kind, chunk) in chunks(&packet) {
            match (kind, word(chunk, 4)) {
                (INIT_ACK, Some(tag)) => {
                    self.tag = tag.to_be_bytes();
                    self.newest = word(chunk, 16).unwrap_or(0).wrapping_sub(1);
                }
                (DATA, Some(number)) => self.newest = number,
                _ => {}
            }
        }
        if let Some((_, DatagramEvent::AssociationEvent(event))) =
            self.endpoint.handle(now, OTHER, None, None, packet.into())
        {
            self.association.handle_event(event);
        }
    }

    /// What the association by the book wants to send.
    pub(crate) fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if self.association.poll_timeout().is_some_and(|due| due <= now) {
            self.association.handle_timeout(now);
        }
        let mut packets: Vec<Vec<u8>> = Vec::new();
        loop {
            if self.association.poll().is_some() {
                while self.association.accept_stream().is_some() {}
            } else if let Some(event) = self.association.poll_endpoint_event() {
                if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                    self.association.handle_event(event);
                }
            } else if let Some(Transmit { payload: Payload::RawEncode(more), .. }) = self.association.poll_transmit(now)
            {
                packets.extend(more.into_iter().map(Vec::from));
            } else {
                break;
            }
        }
        for packet in &packets {
            for (kind, chunk) in chunks(packet) {
                match kind {
                    INIT => self.next = word(chunk, 16).unwrap_or(0),
                    DATA => self.next = word(chunk, 4).map_or(self.next, |number| number.wrapping_add(1)),
                    _ => {}
                }
            }
        }
        packets
    }

    /// Writes a message by the book. What the library refuses is not sent.
    pub(crate) fn write(&mut self, stream: u16, ppid: Ppid, message: &[u8]) {
        if self.association.stream(stream).is_err() {
            let _ = self.association.open_stream(stream, ppid);
        }
        if let Ok(mut stream) = self.association.stream(stream) {
            let _ = stream.write_with_ppi(message, ppid);
        }
    }

    /// Closes a stream by the book.
    pub(crate) fn close(&mut self, stream: u16) {
        if let Ok(mut stream) = self.association.stream(stream) {
            let _ = stream.close();
        }
    }

    /// Any chunks behind a header that holds.
    pub(crate) fn packet(&self, chunks: &[u8]) -> Vec<u8> {
        let mut packet = PORTS.to_vec();
        packet.extend(self.tag);
        packet.extend([0; 4]);
        packet.extend(chunks);
        with_checksum(packet)
    }

    /// A chunk of any kind with flags and body, its length as it is.
    pub(crate) fn chunk(&self, kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let mut chunk = vec![kind, flags];
        chunk.extend((body.len() as u16 + 4).to_be_bytes());
        chunk.extend(body);
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    }

    /// DATA: the number so far from the expected one, which is then used up; stream, number within it, protocol, bytes.
    pub(crate) fn data(&mut self, flags: u8, apart: i8, stream: u8, within: u8, ppid: u8, bytes: &[u8]) -> Vec<u8> {
        let number = self.next.wrapping_add_signed(apart.into());
        if apart == 0 {
            self.next = self.next.wrapping_add(1);
        }
        let mut body = number.to_be_bytes().to_vec();
        body.extend([0, stream, 0, within, 0, 0, 0, ppid]);
        body.extend(bytes);
        self.chunk(DATA, flags, &body)
    }

    /// An acknowledgement up to so far from the newest, of a window and with whatever gaps and doubles.
    pub(crate) fn acknowledgement(&self, apart: i8, window: [u8; 2], rest: &[u8]) -> Vec<u8> {
        let mut body = self.newest.wrapping_add_signed(apart.into()).to_be_bytes().to_vec();
        body.extend([0, 0]);
        body.extend(window);
        body.extend([0, (rest.len() / 4) as u8, 0, 0]);
        body.extend(rest);
        self.chunk(SACK, 0, &body)
    }

    /// What is to be taken for received, up to so far from the expected number; streams with their numbers.
    pub(crate) fn forward(&mut self, apart: i16, streams: &[u8]) -> Vec<u8> {
        let mut body = self.next.wrapping_add_signed(apart.into()).to_be_bytes().to_vec();
        body.extend(streams);
        self.chunk(FORWARD, 0, &body)
    }

    /// A request that resets streams, outgoing ones of ours (parameter 13) or whatever else `parameter` asks.
    pub(crate) fn reset(&self, parameter: u8, apart: i8, streams: &[u8]) -> Vec<u8> {
        let number = self.next.wrapping_add_signed(apart.into()).to_be_bytes();
        let mut body = vec![0, parameter];
        body.extend((streams.len() as u16 + 16).to_be_bytes());
        body.extend(number);
        body.extend(self.newest.to_be_bytes());
        body.extend(self.next.wrapping_sub(1).to_be_bytes());
        body.extend(streams);
        self.chunk(RECONFIG, 0, &body)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The chunks of a packet, each with its kind.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = packet.get(HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?])).max(4);
        let chunk = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((chunk[0], chunk))
    })
}

/// CRC32c over a packet, as RFC 9260 appendix A has it, put into its place.
pub(crate) fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    if packet.len() >= HEADER_BYTES {
        packet[8..12].fill(0);
        let crc = packet.iter().fold(!0u32, |crc, byte| (crc >> 8) ^ CRC32C[usize::from(crc as u8 ^ byte)]);
        packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
    }
    packet
}

static CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
