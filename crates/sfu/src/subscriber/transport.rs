//! ICE, DTLS and SRTP to one viewer: from its first STUN check to sealed packets.
//!
//! We are a full, controlled ICE agent (players of the pion family wait 200 ms for a lite one) and the passive side of DTLS.
//! Nothing is sent to an address before a STUN check with our credentials has come from it; DTLS and SRTCP count only from such
//! addresses. The candidates that a viewer names are not taken: we are reachable, so its checks come to us, and an offer cannot have
//! us knock at the doors of others.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds};
use wire::sdp::IceCredentials;
use wire::srtp::{self, Opener, Profile, Sealer};

use super::{CloseReason, Remote};
use crate::candidates::local_candidates;
use crate::entropy::Credentials;
use crate::identity::Identity;
use crate::outbox::{DatagramKind, Outbox, Peer, Protocol};

/// Most pairs that are checked.
const MOST_PAIRS: usize = 20;
/// Most addresses that a peer may send from.
const MOST_PEERS: usize = 8;
/// Longest datagram that DTLS writes.
const DTLS_BYTES: usize = 2048;

/// HMAC-SHA1 for STUN by the library that does the rest of the cryptography.
#[derive(Debug)]
struct StunHmac;

impl str0m::crypto::Sha1HmacProvider for StunHmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
        payloads.iter().for_each(|payload| context.update(payload));
        let mut tag = [0; 20];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

/// How far a transport has come.
enum State {
    /// Waits for ICE and DTLS until the deadline.
    Connecting {
        deadline: Instant,
    },
    /// Keys are there; `sealer` and `opener` are in use.
    Connected(Box<Keys>),
    Closed,
}

struct Keys {
    sealer: Sealer,
    opener: Opener,
}

/// In the DTLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The peer begins.
    Server,
    /// We begin, once a check has shown where the peer is.
    Client { begun: bool },
}

/// What a transport tells its subscriber.
pub(super) enum TransportEvent {
    Connected,
    Remote(Peer),
    Closed(CloseReason),
}

pub(super) struct Transport {
    ice: IceAgent,
    dtls: dimpl::Dtls,
    role: Role,
    state: State,
    /// Fingerprints of the offer: hash name and bytes.
    fingerprints: Vec<(String, Vec<u8>)>,
    certificate_fits: bool,
    addresses: Vec<SocketAddr>,
    /// Addresses whose STUN checks were genuine.
    peers: Vec<Peer>,
    /// Where we send to: the nominated address, until then that of the first genuine check.
    path: Option<Peer>,
    last_heard: Instant,
    consent_timeout: Duration,
    dtls_timeout: Option<Instant>,
    ice_timeout: Option<Instant>,
    pub(super) events: Vec<TransportEvent>,
    pub(super) rejected: u64,
    /// Data channels were negotiated: what comes inside DTLS is theirs. Otherwise it is dropped.
    pub(super) takes_data: bool,
    /// SCTP packets that came; taken after each datagram.
    pub(super) arrived: Vec<Bytes>,
}

impl Transport {
    pub(super) fn new(
        now: Instant,
        identity: &Identity,
        local: &Credentials,
        remote: Option<Remote>,
        addresses: Vec<SocketAddr>,
        (connect_timeout, consent_timeout): (Duration, Duration),
    ) -> Transport {
        let mut ice = IceAgent::with_hmac(ice_creds(local), &StunHmac);
        // who offers controls (RFC 8445 6.1.1)
        ice.set_controlling(remote.is_none());
        ice.set_max_candidate_pairs(MOST_PAIRS);
        for candidate in local_candidates(&addresses) {
            ice.add_local_candidate(candidate);
        }
        let mut dtls = dimpl::Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        if let Some(Remote { credentials, .. }) = &remote {
            ice.set_remote_credentials(remote_creds(credentials));
            ice.handle_timeout(now);
            // draws the server's random; cannot fail before the first packet, and if it did the handshake would
            let _ = dtls.handle_timeout(now);
        }
        Transport {
            ice,
            dtls,
            role: Role::Server,
            state: State::Connecting { deadline: now + connect_timeout },
            ice_timeout: remote.is_some().then_some(now),
            fingerprints: remote.map_or(Vec::new(), |remote| remote.fingerprints),
            certificate_fits: false,
            addresses,
            peers: Vec::new(),
            path: None,
            last_heard: now,
            consent_timeout,
            dtls_timeout: None,
            events: Vec::new(),
            rejected: 0,
            takes_data: false,
            arrived: Vec::new(),
        }
    }

    /// The peer has answered our offer: checks count from now on. `begin`: it leaves the beginning of the handshake to us.
    pub(super) fn accept(&mut self, now: Instant, remote: Remote, begin: bool, connect_timeout: Duration) {
        self.ice.set_remote_credentials(remote_creds(&remote.credentials));
        self.fingerprints = remote.fingerprints;
        self.ice_timeout = Some(now);
        if begin {
            self.dtls.set_active(true);
            self.role = Role::Client { begun: false };
        } else {
            let _ = self.dtls.handle_timeout(now); // as in `new`
        }
        if let State::Connecting { deadline } = &mut self.state {
            *deadline = now + connect_timeout;
        }
    }

    /// Ends the checks under the old credentials and begins new ones; DTLS and SRTP go on (RFC 8839 4.4.1.1.1).
    pub(super) fn restart(&mut self, now: Instant, local: &Credentials, remote: IceCredentials) {
        // Where it was heard before, but for the way that is in use until there is another, is over.
        self.peers.retain(|peer| Some(*peer) == self.path);
        self.ice.ice_restart(ice_creds(local), true);
        self.ice.set_remote_credentials(remote_creds(&remote));
        self.ice_timeout = Some(now);
    }

    pub(super) fn remote_ufrag(&self) -> Option<&str> {
        self.ice.remote_credentials().map(|credentials| credentials.ufrag.as_str())
    }

    pub(super) fn path(&self) -> Option<Peer> {
        self.path
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_)) && self.path.is_some()
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Sealer and destination, when connected.
    pub(super) fn outgoing(&mut self) -> Option<(&mut Sealer, Peer)> {
        match (&mut self.state, self.path) {
            (State::Connected(keys), Some(path)) => Some((&mut keys.sealer, path)),
            _ => None,
        }
    }

    /// A datagram from the network. The plain RTCP compound, if it was a genuine SRTCP packet.
    pub(super) fn handle_datagram<'a>(
        &mut self,
        now: Instant,
        from: Peer,
        datagram: &'a mut [u8],
        out: &mut Outbox,
    ) -> Option<&'a [u8]> {
        if self.is_closed() {
            return None;
        }
        match DatagramKind::of(datagram) {
            DatagramKind::Stun => self.handle_stun(now, from, datagram, out),
            DatagramKind::Dtls if self.peers.contains(&from) => {
                if self.dtls.handle_packet(datagram).is_err() {
                    self.fail_handshake();
                } else {
                    self.drain_dtls(now, out);
                }
            }
            DatagramKind::Srtp if self.peers.contains(&from) => {
                let is_rtcp = datagram.get(1).is_some_and(|kind| (192..=223).contains(kind)); // RFC 5761
                if let (State::Connected(keys), true) = (&mut self.state, is_rtcp) {
                    match keys.opener.open_rtcp(datagram) {
                        Ok(len) => {
                            self.last_heard = now;
                            return Some(&datagram[..len]);
                        }
                        Err(_) => self.rejected += 1,
                    }
                }
            }
            _ => self.rejected += 1,
        }
        None
    }

    fn handle_stun(&mut self, now: Instant, from: Peer, datagram: &[u8], out: &mut Outbox) {
        let family = |address: &&SocketAddr| address.is_ipv4() == from.address.is_ipv4();
        let destination = self.addresses.iter().find(family).copied();
        let (Ok(message), Some(destination)) = (StunMessage::parse(datagram), destination) else {
            self.rejected += 1;
            return;
        };
        let proto = match from.protocol {
            Protocol::Udp => str0m::net::Protocol::Udp,
            Protocol::Tcp => str0m::net::Protocol::Tcp,
        };
        if self.peers.len() >= MOST_PEERS && !self.peers.contains(&from) {
            self.rejected += 1;
            return;
        }
        if self.fingerprints.is_empty() {
            self.rejected += 1; // our offer has not been answered
            return;
        }
        let is_request = message.is_binding_request();
        if !self.ice.handle_packet(now, StunPacket { proto, source: from.address, destination, message }) {
            self.rejected += 1;
            return;
        }
        self.last_heard = now;
        if is_request && !self.peers.contains(&from) {
            self.peers.push(from);
            self.events.push(TransportEvent::Remote(from));
        }
        if is_request && self.path.is_none() {
            self.path = Some(from);
        }
        // Nominates at once; its own timeout would come only later.
        self.ice.handle_timeout(now);
        self.drain_ice(now, out);
        if self.role == (Role::Client { begun: false }) && self.path.is_some() {
            self.role = Role::Client { begun: true };
            if self.dtls.handle_timeout(now).is_err() {
                return self.fail_handshake();
            }
            self.drain_dtls(now, out);
        }
    }

    /// The connection to `peer` is gone: its pairs too, and the way out, if it was that.
    pub(super) fn lose(&mut self, now: Instant, peer: Peer, out: &mut Outbox) {
        self.peers.retain(|other| *other != peer);
        if self.path == Some(peer) {
            self.path = None;
        }
        let gone =
            |candidate: &Candidate| candidate.addr() == peer.address && candidate.proto() == str0m::net::Protocol::Tcp;
        let candidate = self.ice.remote_candidates().find(gone);
        if let Some(candidate) = candidate {
            self.ice.invalidate_candidate(&candidate);
            self.ice.handle_timeout(now);
            self.drain_ice(now, out);
        }
    }

    fn drain_ice(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(event) = self.ice.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, proto, .. } = event {
                let protocol = if proto == str0m::net::Protocol::Udp { Protocol::Udp } else { Protocol::Tcp };
                let peer = Peer { protocol, address: destination };
                if !self.peers.contains(&peer) {
                    self.peers.push(peer);
                    self.events.push(TransportEvent::Remote(peer));
                }
                self.path = Some(peer);
            }
        }
        while let Some(transmit) = self.ice.poll_transmit() {
            let protocol = if transmit.proto == str0m::net::Protocol::Udp { Protocol::Udp } else { Protocol::Tcp };
            out.push(Peer { protocol, address: transmit.destination }, &transmit.contents);
        }
        self.ice_timeout = self.ice.poll_timeout().map(|due| due.max(now + Duration::from_millis(1)));
    }

    fn drain_dtls(&mut self, now: Instant, out: &mut Outbox) {
        let mut buffer = [0; DTLS_BYTES];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => {
                    if let Some(path) = self.path {
                        out.push(path, packet);
                    }
                }
                dimpl::Output::PeerCert(certificate) => {
                    self.certificate_fits = fits(&self.fingerprints, certificate);
                    if !self.certificate_fits {
                        return self.fail_handshake();
                    }
                }
                dimpl::Output::KeyingMaterial(material, profile) => self.take_keys(&material, profile),
                dimpl::Output::CloseNotify => self.finish(CloseReason::PeerClosed),
                dimpl::Output::Timeout(due) => {
                    self.dtls_timeout = Some(due).filter(|due| *due > now).or(Some(now + Duration::from_millis(1)));
                    return;
                }
                dimpl::Output::BufferTooSmall { .. } => return self.fail_handshake(), // beyond any MTU
                dimpl::Output::ApplicationData(packet) if self.takes_data => {
                    self.arrived.push(Bytes::copy_from_slice(packet));
                }
                _ => {} // connected: the keys say so
            }
        }
    }

    fn take_keys(&mut self, material: &[u8], profile: dimpl::SrtpProfile) {
        let Some(profile) = Profile::named(&profile.to_string()) else { return self.fail_handshake() };
        // RFC 8842 5: media counts only if the certificate is the one that the offer named.
        match srtp::sessions(profile, material, self.role == Role::Server) {
            Ok((sealer, opener)) if self.certificate_fits && matches!(self.state, State::Connecting { .. }) => {
                self.state = State::Connected(Box::new(Keys { sealer, opener }));
                self.events.push(TransportEvent::Connected);
            }
            _ => self.fail_handshake(),
        }
    }

    fn fail_handshake(&mut self) {
        self.finish(CloseReason::Handshake);
    }

    pub(super) fn finish(&mut self, reason: CloseReason) {
        if !self.is_closed() {
            self.state = State::Closed;
            self.events.push(TransportEvent::Closed(reason));
        }
    }

    /// Says close_notify, if there is anyone to say it to, and ends.
    pub(super) fn close(&mut self, now: Instant, out: &mut Outbox) {
        if matches!(self.state, State::Connected(_)) && self.dtls.close().is_ok() {
            self.drain_dtls(now, out);
        }
        self.finish(CloseReason::Local);
    }

    /// Sends an SCTP packet inside DTLS. One that the library refuses is lost, as by the network.
    pub(super) fn send_data(&mut self, now: Instant, packet: &[u8], out: &mut Outbox) {
        if matches!(self.state, State::Connected(_)) && self.dtls.send_application_data(packet).is_ok() {
            self.drain_dtls(now, out);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        match self.state {
            State::Closed => return,
            State::Connecting { deadline } if now >= deadline => return self.finish(CloseReason::NeverConnected),
            State::Connected(_) if now.saturating_duration_since(self.last_heard) >= self.consent_timeout => {
                return self.finish(CloseReason::ConsentExpired);
            }
            _ => {}
        }
        if self.ice_timeout.is_some_and(|due| now >= due) {
            self.ice.handle_timeout(now);
            self.drain_ice(now, out);
        }
        if self.dtls_timeout.is_some_and(|due| now >= due) {
            if self.dtls.handle_timeout(now).is_err() {
                self.fail_handshake();
            } else {
                self.drain_dtls(now, out);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match self.state {
            State::Closed => return None,
            State::Connecting { deadline } => deadline,
            State::Connected(_) => self.last_heard + self.consent_timeout,
        };
        Some([self.ice_timeout, self.dtls_timeout].into_iter().flatten().fold(deadline, Instant::min))
    }
}

fn remote_creds(credentials: &IceCredentials) -> IceCreds {
    IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.password.clone() }
}

fn ice_creds(credentials: &Credentials) -> IceCreds {
    IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.password.clone() }
}

/// Whether one of the offer's fingerprints (the strongest hash that it names decides) is that of the certificate.
fn fits(fingerprints: &[(String, Vec<u8>)], certificate: &[u8]) -> bool {
    let known = [("sha-512", &digest::SHA512), ("sha-384", &digest::SHA384), ("sha-256", &digest::SHA256)];
    let decisive = known.iter().find(|(name, _)| fingerprints.iter().any(|(hash, _)| hash == name));
    decisive.is_some_and(|(name, algorithm)| {
        let actual = digest::digest(algorithm, certificate);
        fingerprints.iter().any(|(hash, bytes)| hash == name && bytes == actual.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_of_a_handshake_is_known() {
        for profile in dimpl::SrtpProfile::ALL {
            let ours = Profile::named(&profile.to_string()).expect("it has its registered name");
            assert_eq!(2 * (ours.key_bytes() + ours.salt_bytes()), profile.keying_material_len());
        }
        assert_eq!(Profile::named("SRTP_NULL_HMAC_SHA1_80"), None);
    }
}
