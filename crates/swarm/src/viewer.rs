//! One viewer without its socket: its [`Transport`], its reports, and the meter.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::Protocol;
use wire::rtcp::{self, ReportBlock};

use crate::description::{self, Remote};
use crate::meter::Meter;
use crate::transport::{Identity, Transport};

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// SSRC under which viewers send their reports.
const REPORT_SSRC: u32 = 1;

/// A viewer. Drive it: [`Viewer::handle_datagram`] and [`Viewer::handle_timeout`], then [`Viewer::poll_transmit`] until
/// `None`, then [`Viewer::poll_timeout`].
pub struct Viewer {
    transport: Transport,
    next_report: Option<Instant>,
    /// Its books of what came.
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
        let (transport, credentials) = Transport::new(now, identity, local, protocol);
        let offer = description::offer(session, &credentials.ufrag, &credentials.pass, &identity.fingerprint_text());
        (Viewer { transport, next_report: None, meter: Meter::default() }, offer)
    }

    /// The server's answer: checks begin.
    pub fn accept(&mut self, now: Instant, remote: Remote) {
        self.transport.accept(now, remote);
    }

    /// The network has changed: begins an ICE restart from another socket. The PATCH body for it; its answer goes to
    /// [`Viewer::accept_restart`]. DTLS and SRTP go on.
    pub fn restart(&mut self, local: SocketAddr) -> String {
        let credentials = self.transport.restart(local);
        description::fragment(&credentials.ufrag, &credentials.pass)
    }

    /// The server's answer to a restart: checks begin anew.
    pub fn accept_restart(&mut self, now: Instant, fragment: &str) {
        self.transport.accept_restart(now, fragment);
    }

    /// Whether media can be opened.
    pub fn connected(&self) -> bool {
        self.transport.connected()
    }

    /// The handshake failed, or the peer is not whom the answer named.
    pub fn failed(&self) -> bool {
        self.transport.failed()
    }

    /// A datagram from the network; decrypted in place. `now_ns` is the same time on the monotonic clock.
    pub fn handle_datagram(&mut self, now: Instant, now_ns: u64, from: SocketAddr, datagram: &mut [u8]) {
        if matches!(datagram.first(), Some(128..=191)) {
            return self.handle_media(now_ns, datagram);
        }
        self.transport.handle_datagram(now, from, datagram);
        self.begin_reports(now);
    }

    fn handle_media(&mut self, now_ns: u64, datagram: &mut [u8]) {
        let Some((_, opener)) = self.transport.keys() else { return };
        let is_rtcp = datagram.get(1).is_some_and(|kind| (192..=223).contains(kind));
        if !is_rtcp && let Ok(opened) = opener.open_rtp(datagram) {
            self.meter.push(now_ns, opened.sequence, &datagram[..opened.len]);
        }
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
        self.begin_reports(now);
        if self.next_report.is_some_and(|due| due <= now) {
            self.report(now);
        }
    }

    /// When [`Viewer::handle_timeout`] is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let transport = self.transport.poll_timeout()?;
        Some(self.next_report.map_or(transport, |due| due.min(transport)))
    }

    /// A datagram to send.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transport.poll_transmit()
    }

    fn begin_reports(&mut self, now: Instant) {
        if self.transport.connected() {
            self.next_report.get_or_insert(now + REPORT_INTERVAL);
        }
    }

    /// A receiver report, so that the server has feedback to read as from any viewer.
    fn report(&mut self, now: Instant) {
        self.next_report = Some(now + REPORT_INTERVAL);
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
        let sealed = self.transport.keys().is_some_and(|(sealer, _)| sealer.seal_rtcp(&mut packet, 0));
        if sealed {
            self.transport.send(packet);
        }
    }
}
