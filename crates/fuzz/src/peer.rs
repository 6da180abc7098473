//! The other side of a session: ICE and DTLS by the book, then whatever bytes it is told to send, protected with the session's keys.
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use wire::srtp::{self, Opener, Profile, Sealer};

/// One certificate serves every session.
fn identity() -> &'static (DtlsCertificate, Arc<dimpl::Config>) {
    static IDENTITY: OnceLock<(DtlsCertificate, Arc<dimpl::Config>)> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate can be made");
        (certificate, Arc::new(dimpl::Config::builder().build().expect("the default settings are valid")))
    })
}

/// The peer. `local` sends to `remote`.
pub(crate) struct Peer {
    local: SocketAddr,
    remote: SocketAddr,
    ice: IceAgent,
    dtls: Dtls,
    nominated: bool,
    /// For what it sends and for what it gets, once it has connected.
    pub(crate) keys: Option<(Sealer, Opener)>,
}

impl Peer {
    /// A peer and its offer: `template`, a browser's, with the peer's credentials and certificate.
    pub(crate) fn new(now: Instant, template: &str, local: SocketAddr, remote: SocketAddr) -> (Peer, String) {
        let credentials = IceCreds::new();
        let (certificate, config) = identity();
        let own = |line: &str| match line.split_once(':').map(|(name, _)| name) {
            Some("a=ice-ufrag") => format!("a=ice-ufrag:{}\r\n", credentials.ufrag),
            Some("a=ice-pwd") => format!("a=ice-pwd:{}\r\n", credentials.pass),
            Some("a=fingerprint") => format!("a=fingerprint:sha-256 {}\r\n", certificate.fingerprint_str()),
            Some("a=candidate") => String::new(),
            _ => format!("{line}\r\n"),
        };
        let offer = template.lines().map(own).collect();
        let mut ice = IceAgent::new(credentials);
        ice.set_controlling(true);
        ice.add_local_candidate(Candidate::host(local, "udp").expect("a plain address is a candidate"));
        let mut dtls = Dtls::new_12(config.clone(), certificate.clone(), now);
        dtls.set_active(true);
        (Peer { local, remote, ice, dtls, nominated: false, keys: None }, offer)
    }

    /// The other side's answer.
    pub(crate) fn accept(&mut self, now: Instant, answer: &str) {
        let value = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name)).expect("the answer has it");
        let (ufrag, pass) = (value("a=ice-ufrag:").to_owned(), value("a=ice-pwd:").to_owned());
        self.ice.set_remote_credentials(IceCreds { ufrag, pass });
        self.ice.add_remote_candidate(Candidate::host(self.remote, "udp").expect("a plain address is a candidate"));
        self.ice.handle_timeout(now);
    }

    /// A datagram from the other side.
    pub(crate) fn receive(&mut self, now: Instant, datagram: &mut [u8]) {
        match datagram.first() {
            Some(0..=3) => {
                let message = StunMessage::parse(datagram).expect("the other side sends STUN by the book");
                let packet = StunPacket { proto: Protocol::Udp, source: self.remote, destination: self.local, message };
                self.ice.handle_packet(now, packet);
            }
            Some(20..=63) => self.dtls.handle_packet(datagram).expect("the other side's handshake is by the book"),
            _ => {}
        }
    }

    /// What the peer wants to send.
    pub(crate) fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        self.ice.handle_timeout(now);
        while let Some(transmit) = self.ice.poll_transmit() {
            datagrams.push(transmit.contents.to_vec());
        }
        while let Some(event) = self.ice.poll_event() {
            self.nominated |= matches!(event, IceAgentEvent::NominatedSend { .. });
        }
        if !self.nominated {
            return datagrams;
        }
        // A refusal shows as a session that never connects.
        let _ = self.dtls.handle_timeout(now);
        let mut buffer = [0; 2048];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => datagrams.push(packet.to_vec()),
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
                        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
                        _ => Profile::Aes128CmHmacSha1_80,
                    };
                    self.keys = srtp::sessions(profile, &material, false).ok();
                }
                Output::Timeout(_) | Output::BufferTooSmall { .. } => return datagrams,
                _ => {}
            }
        }
    }
}
