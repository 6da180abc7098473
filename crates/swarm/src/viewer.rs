//! One viewer without its socket: ICE controlling, DTLS client, SRTP, and the meter.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use wire::rtcp::{self, ReportBlock};
use wire::srtp::{self, Opener, Profile, Sealer};

use crate::description::{self, Remote};
use crate::meter::Meter;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// SSRC under which viewers send their reports.
const REPORT_SSRC: u32 = 1;

/// What all viewers of a swarm share.
#[derive(Clone)]
pub struct Identity {
    config: Arc<dimpl::Config>,
    certificate: DtlsCertificate,
    fingerprint: Vec<u8>,
}

impl Identity {
    /// A new self-signed certificate and the DTLS settings for it.
    pub fn generate() -> Option<Identity> {
        let certificate = dimpl::certificate::generate_self_signed_certificate().ok()?;
        let fingerprint = fingerprint(&certificate.certificate);
        let config = Arc::new(dimpl::Config::builder().build().ok()?);
        Some(Identity { config, certificate, fingerprint })
    }
}

fn fingerprint(certificate: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate).as_ref().to_vec()
}

/// A viewer. Drive it: [`Viewer::handle_datagram`] and [`Viewer::handle_timeout`], then [`Viewer::poll_transmit`] until
/// `None`, then [`Viewer::poll_timeout`].
pub struct Viewer {
    local: SocketAddr,
    protocol: Protocol,
    ice: IceAgent,
    dtls: Dtls,
    dtls_timeout: Option<Instant>,
    started: bool,
    fingerprint: Vec<u8>,
    remote: Option<SocketAddr>,
    keys: Option<(Sealer, Opener)>,
    next_report: Option<Instant>,
    outgoing: Vec<(SocketAddr, Vec<u8>)>,
    /// The handshake failed, or the peer is not whom the answer named.
    pub failed: bool,
    pub meter: Meter,
}

impl Viewer {
    /// A viewer on the socket `local`, and its offer.
    pub fn new(now: Instant, identity: &Identity, session: u64, local: SocketAddr) -> (Viewer, String) {
        Viewer::over(now, identity, session, local, Protocol::Udp)
    }

    /// A viewer on the TCP connection whose own end is `local`; framing (RFC 4571) is the caller's.
    pub fn over_tcp(now: Instant, identity: &Identity, session: u64, local: SocketAddr) -> (Viewer, String) {
        Viewer::over(now, identity, session, local, Protocol::Tcp)
    }

    fn over(
        now: Instant,
        identity: &Identity,
        session: u64,
        local: SocketAddr,
        protocol: Protocol,
    ) -> (Viewer, String) {
        let credentials = IceCreds::new();
        let offer = description::offer(session, &credentials.ufrag, &credentials.pass, &identity.fingerprint);
        let mut ice = IceAgent::new(credentials);
        ice.set_controlling(true);
        if let Ok(candidate) = Candidate::host(local, protocol) {
            ice.add_local_candidate(candidate);
        }
        let mut dtls = Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        dtls.set_active(true);
        let viewer = Viewer {
            local,
            protocol,
            ice,
            dtls,
            dtls_timeout: None,
            started: false,
            fingerprint: Vec::new(),
            remote: None,
            keys: None,
            next_report: None,
            outgoing: Vec::new(),
            failed: false,
            meter: Meter::default(),
        };
        (viewer, offer)
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

    /// The network has changed: begins an ICE restart from another socket. The PATCH body for it; its answer goes to
    /// [`Viewer::accept_restart`]. DTLS and SRTP go on.
    pub fn restart(&mut self, local: SocketAddr) -> String {
        let credentials = IceCreds::new();
        let fragment = description::fragment(&credentials.ufrag, &credentials.pass);
        self.ice.ice_restart(credentials, false);
        self.local = local;
        if let Ok(candidate) = Candidate::host(local, self.protocol) {
            self.ice.add_local_candidate(candidate);
        }
        self.started = false;
        fragment
    }

    /// The server's answer to a restart: checks begin anew.
    pub fn accept_restart(&mut self, now: Instant, fragment: &str) {
        let fingerprint = std::mem::take(&mut self.fingerprint);
        // A fragment is as much of an answer as changes; the certificate does not.
        if let Some(remote) = Remote::parse(&format!("a=fingerprint:sha-256 00\r\n{fragment}")) {
            self.accept(now, Remote { fingerprint, ..remote });
        }
    }

    /// Whether media can be opened.
    pub fn connected(&self) -> bool {
        self.keys.is_some()
    }

    /// A datagram from the network; decrypted in place. `now_ns` is the same time on the monotonic clock.
    pub fn handle_datagram(&mut self, now: Instant, now_ns: u64, from: SocketAddr, datagram: &mut [u8]) {
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
                self.drain_dtls(now);
            }
            Some(128..=191) => self.handle_media(now_ns, datagram),
            _ => {}
        }
    }

    fn handle_media(&mut self, now_ns: u64, datagram: &mut [u8]) {
        let Some((_, opener)) = &mut self.keys else { return };
        let is_rtcp = datagram.get(1).is_some_and(|kind| (192..=223).contains(kind));
        if !is_rtcp && let Ok(opened) = opener.open_rtp(datagram) {
            self.meter.push(now_ns, opened.sequence, &datagram[..opened.len]);
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
            self.drain_dtls(now);
        }
        if self.next_report.is_some_and(|due| due <= now) {
            self.report(now);
        }
    }

    /// When [`Viewer::handle_timeout`] is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if !self.started || self.failed {
            return None;
        }
        [self.ice.poll_timeout(), self.dtls_timeout, self.next_report].into_iter().flatten().min()
    }

    /// A datagram to send.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.outgoing.pop()
    }

    fn drain_ice(&mut self, now: Instant) {
        while let Some(transmit) = self.ice.poll_transmit() {
            self.outgoing.push((transmit.destination, transmit.contents.to_vec()));
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
            self.drain_dtls(now);
        }
    }

    fn drain_dtls(&mut self, now: Instant) {
        let Some(remote) = self.remote else { return };
        let mut buffer = [0; 2048];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outgoing.insert(0, (remote, packet.to_vec())),
                Output::PeerCert(certificate) => self.failed |= fingerprint(certificate) != self.fingerprint,
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
                        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
                        _ => Profile::Aes128CmHmacSha1_80,
                    };
                    self.keys = srtp::sessions(profile, &material, false).ok();
                    self.next_report = Some(now + REPORT_INTERVAL);
                }
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

    /// A receiver report, so that the server has feedback to read as from any viewer.
    fn report(&mut self, now: Instant) {
        self.next_report = Some(now + REPORT_INTERVAL);
        let (Some(remote), Some((sealer, _))) = (self.remote, &mut self.keys) else { return };
        let blocks: Vec<ReportBlock> = self
            .meter
            .reports()
            .map(|(ssrc, highest, missing)| ReportBlock {
                ssrc,
                packets_lost: i32::try_from(missing).unwrap_or(i32::MAX),
                highest_sequence: highest as u32,
                ..ReportBlock::default()
            })
            .collect();
        let mut packet = Vec::with_capacity(128);
        rtcp::write_receiver_report(REPORT_SSRC, &blocks, &mut packet);
        if sealer.seal_rtcp(&mut packet, 0) {
            self.outgoing.insert(0, (remote, packet));
        }
    }
}
