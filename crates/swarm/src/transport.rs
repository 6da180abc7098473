//! ICE, DTLS and SRTP of a peer that connects to the server: from the answer to the session's keys, without its socket.
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use dimpl::{Dtls, DtlsCertificate, Output};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use wire::srtp::{self, Opener, Profile, Sealer};

use crate::description::Remote;

/// Longest datagram that DTLS writes, bytes.
const DTLS_BYTES: usize = 2048;

/// What all viewers of a swarm share.
#[derive(Clone)]
pub struct Identity {
    config: Arc<dimpl::Config>,
    certificate: DtlsCertificate,
    pub(crate) fingerprint: Vec<u8>,
}

impl Identity {
    /// A new self-signed certificate and the DTLS settings for it.
    pub fn generate() -> Option<Identity> {
        let certificate = dimpl::certificate::generate_self_signed_certificate().ok()?;
        let fingerprint = fingerprint(&certificate.certificate);
        let config = Arc::new(dimpl::Config::builder().build().ok()?);
        Some(Identity { config, certificate, fingerprint })
    }

    /// For `a=fingerprint:sha-256 `.
    pub fn fingerprint_text(&self) -> String {
        self.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }
}

fn fingerprint(certificate: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate).as_ref().to_vec()
}

/// Controlling in ICE, client in DTLS. Drive it: [`Transport::handle_datagram`] and [`Transport::handle_timeout`], then
/// [`Transport::poll_transmit`] until `None`, then [`Transport::poll_timeout`]. Media is sealed and opened by
/// [`Transport::keys`].
pub struct Transport {
    local: SocketAddr,
    protocol: Protocol,
    ice: IceAgent,
    dtls: Dtls,
    dtls_timeout: Option<Instant>,
    started: bool,
    fingerprint: Vec<u8>,
    remote: Option<SocketAddr>,
    keys: Option<(Sealer, Opener)>,
    /// The last one goes first.
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
    data: VecDeque<Vec<u8>>,
    failed: bool,
}

impl Transport {
    /// A transport from `local`, and the credentials for its offer.
    pub fn new(now: Instant, identity: &Identity, local: SocketAddr, protocol: Protocol) -> (Transport, IceCreds) {
        let credentials = IceCreds::new();
        let mut ice = IceAgent::new(credentials.clone());
        ice.set_controlling(true);
        if let Ok(candidate) = Candidate::host(local, protocol) {
            ice.add_local_candidate(candidate);
        }
        let mut dtls = Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        dtls.set_active(true);
        let transport = Transport {
            local,
            protocol,
            ice,
            dtls,
            dtls_timeout: None,
            started: false,
            fingerprint: Vec::new(),
            remote: None,
            keys: None,
            outgoing: VecDeque::new(),
            data: VecDeque::new(),
            failed: false,
        };
        (transport, credentials)
    }

    /// The server's answer: checks begin.
    pub fn accept(&mut self, now: Instant, remote: Remote) {
        self.ice.set_remote_credentials(IceCreds { ufrag: remote.ufrag, pass: remote.password });
        for address in remote.candidates {
            if address.is_ipv4() == self.local.is_ipv4()
                && let Ok(candidate) = Candidate::host(address, self.protocol)
            {
                self.ice.add_remote_candidate(candidate);
            }
        }
        self.fingerprint = remote.fingerprint;
        self.started = true;
        self.handle_timeout(now);
    }

    /// Begins an ICE restart from another socket, with these credentials. The answer goes to [`Transport::accept_restart`].
    pub fn restart(&mut self, local: SocketAddr) -> IceCreds {
        let credentials = IceCreds::new();
        self.ice.ice_restart(credentials.clone(), false);
        self.local = local;
        if let Ok(candidate) = Candidate::host(local, self.protocol) {
            self.ice.add_local_candidate(candidate);
        }
        self.started = false;
        credentials
    }

    /// The server's answer to a restart: checks begin anew. DTLS and SRTP go on.
    pub fn accept_restart(&mut self, now: Instant, fragment: &str) {
        let fingerprint = std::mem::take(&mut self.fingerprint);
        // A fragment is as much of an answer as changes; the certificate does not.
        if let Some(remote) = Remote::parse(&format!("a=fingerprint:sha-256 00\r\n{fragment}")) {
            self.accept(now, Remote { fingerprint, ..remote });
        }
    }

    /// STUN or DTLS from the network; anything else is left alone.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        match datagram.first() {
            Some(0..=3) => {
                if let Ok(message) = StunMessage::parse(datagram) {
                    let packet = StunPacket { proto: self.protocol, source: from, destination: self.local, message };
                    self.ice.handle_packet(now, packet);
                    self.drain_ice(now);
                }
            }
            // Before the handshake was begun it is for whoever had this port before.
            Some(20..=63) if self.remote.is_some() => {
                self.failed |= self.dtls.handle_packet(datagram).is_err();
                self.drain_dtls();
            }
            _ => {}
        }
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.started {
            return;
        }
        self.ice.handle_timeout(now);
        self.drain_ice(now);
        if self.dtls_timeout.is_some_and(|due| due <= now) {
            self.failed |= self.dtls.handle_timeout(now).is_err();
            self.drain_dtls();
        }
    }

    /// When [`Transport::handle_timeout`] is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if !self.started || self.failed {
            return None;
        }
        [self.ice.poll_timeout(), self.dtls_timeout].into_iter().flatten().min()
    }

    /// A datagram to send.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.outgoing.pop_back()
    }

    /// Where datagrams go, once a pair of addresses was chosen.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// The handshake failed, or the peer is not whom the answer named.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// For what it sends and for what it gets, once the handshake is done.
    pub fn keys(&mut self) -> Option<(&mut Sealer, &mut Opener)> {
        self.keys.as_mut().map(|(sealer, opener)| (sealer, opener))
    }

    /// Whether media can be opened.
    pub fn connected(&self) -> bool {
        self.keys.is_some()
    }

    /// Sends something inside DTLS, as SCTP is sent. What the library refuses, for it is too long or DTLS is closed, is lost.
    pub fn send_data(&mut self, data: &[u8]) {
        let _ = self.dtls.send_application_data(data);
        self.drain_dtls();
    }

    /// What came inside DTLS.
    pub fn poll_data(&mut self) -> Option<Vec<u8>> {
        self.data.pop_front()
    }

    /// Sends `datagram`, sealed already, after what waits.
    pub(crate) fn send(&mut self, datagram: Vec<u8>) {
        if let Some(remote) = self.remote {
            self.outgoing.push_front((remote, datagram));
        }
    }

    fn drain_ice(&mut self, now: Instant) {
        while let Some(transmit) = self.ice.poll_transmit() {
            self.outgoing.push_back((transmit.destination, transmit.contents.to_vec()));
        }
        let mut nominated = false;
        while let Some(event) = self.ice.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                nominated = self.remote.is_none();
                self.remote = Some(destination);
            }
        }
        if nominated {
            self.failed |= self.dtls.handle_timeout(now).is_err();
            self.drain_dtls();
        }
    }

    fn drain_dtls(&mut self) {
        let Some(remote) = self.remote else { return };
        let mut buffer = [0; DTLS_BYTES];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outgoing.push_front((remote, packet.to_vec())),
                Output::PeerCert(certificate) => self.failed |= fingerprint(certificate) != self.fingerprint,
                Output::KeyingMaterial(material, profile) => {
                    let profile = Profile::named(&profile.to_string());
                    self.keys = profile.and_then(|profile| srtp::sessions(profile, &material, false).ok());
                    self.failed |= self.keys.is_none();
                }
                Output::ApplicationData(data) => self.data.push_back(data.to_vec()),
                Output::Timeout(due) => {
                    self.dtls_timeout = Some(due);
                    return;
                }
                Output::BufferTooSmall { .. } => {
                    self.failed = true;
                    return;
                }
                _ => {}
            }
        }
    }
}
