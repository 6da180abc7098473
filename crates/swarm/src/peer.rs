//! A peer that makes any browser's offer and connects by the book; what it sends then, inside DTLS or under the session's keys, is its
//! owner's, who tests what a server makes of it.
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Instant;

use is::Protocol;

use crate::description::Remote;
use crate::transport::{Identity, Transport};

/// One certificate serves every session.
fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::generate().expect("a certificate can be made"))
}

/// See the module.
pub struct Peer {
    remote: SocketAddr,
    /// Its keys seal and open media; what comes inside DTLS is there too.
    pub transport: Transport,
}

impl Peer {
    /// A peer at `local` that talks to `remote`, and its offer: `template`, a browser's, with the peer's credentials and certificate,
    /// and with a section for data channels.
    pub fn new(now: Instant, template: &str, local: SocketAddr, remote: SocketAddr) -> (Peer, String) {
        let (transport, credentials) = Transport::new(now, identity(), local, Protocol::Udp);
        let own = |line: &str| match line.split_once(':').map(|(name, _)| name) {
            Some("a=ice-ufrag") => format!("a=ice-ufrag:{}\r\n", credentials.ufrag),
            Some("a=ice-pwd") => format!("a=ice-pwd:{}\r\n", credentials.pass),
            Some("a=fingerprint") => format!("a=fingerprint:sha-256 {}\r\n", identity().fingerprint_text()),
            Some("a=group") => format!("{line} data\r\n"),
            Some("a=candidate") => String::new(),
            _ => format!("{line}\r\n"),
        };
        let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=ice-ufrag:\na=ice-pwd:\na=fingerprint:\n\
                    a=setup:actpass\na=mid:data\na=sctp-port:5000\na=max-message-size:262144";
        let offer = template.lines().chain(data.lines()).map(own).collect();
        (Peer { remote, transport }, offer)
    }

    /// The other side's answer.
    pub fn accept(&mut self, now: Instant, answer: &str) {
        self.transport.accept(now, Remote::parse(answer).expect("the answer has all that a peer needs"));
    }

    /// A datagram from the other side.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        self.transport.handle_datagram(now, self.remote, datagram);
    }

    /// What the peer wants to send.
    pub fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.transport.handle_timeout(now);
        assert!(!self.transport.failed(), "the other side's handshake is by the book");
        std::iter::from_fn(|| self.transport.poll_transmit()).map(|(_, datagram)| datagram).collect()
    }
}
