//! How patient our DTLS handshakes are, for both kinds of session: the lean one of subscribers and str0m's of publishers and pulls;
//! and of the latter, what comes through DTLS for their data channels.
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

use crate::data::{DataLimits, Meter, crumbs};

/// Settings of a handshake: a lost flight is repeated 250 ms later, then after twice that time, for 20 s in all.
///
/// Browsers repeat theirs after 50 ms, the library after 1 s, four times, unless told otherwise. A peer's repeats count as
/// retries too: of them a path of 600 ms sees several before the first answer, so what bounds a handshake is its time.
pub(crate) fn settings() -> dimpl::ConfigBuilder {
    // Who sends a ClientHello has passed a STUN integrity check before, so a cookie round trip would prove nothing new.
    dimpl::Config::builder()
        .use_server_cookie(false)
        .flight_start_rto(Duration::from_millis(250))
        .flight_retries(12)
        .handshake_timeout(Duration::from_secs(20))
}

/// The cryptography of a str0m session, with handshakes as patient as ours: with the library's own four retries one in 400
/// over a path of 300 ms that loses 15 % gives up.
pub fn patient_crypto() -> CryptoProvider {
    CryptoProvider { dtls_provider: &Patient, ..str0m::crypto::from_feature_flags() }
}

#[derive(Debug)]
struct Patient;

impl DtlsProvider for Patient {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        dimpl::certificate::generate_self_signed_certificate().ok()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        _: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inlet = Arc::new(Inlet::new(now));
        INLET.set(Some(Arc::clone(&inlet)));
        Ok(Box::new(Handshake(dimpl::Dtls::new_12(shared_config(mtu)?, certificate.clone(), now), inlet)))
    }
}

/// The settings as a configuration, made once for all sessions: making one tries all of its cryptography (0.1 ms).
fn shared_config(mtu: Option<usize>) -> Result<Arc<dimpl::Config>, CryptoError> {
    static MADE: Mutex<Vec<(Option<usize>, Arc<dimpl::Config>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = made.iter().find(|(of, _)| *of == mtu) {
        return Ok(Arc::clone(config));
    }
    let settings = mtu.into_iter().fold(settings(), dimpl::ConfigBuilder::mtu);
    let config = settings.build().map_err(|cause| CryptoError::Other(format!("cannot set up DTLS: {cause}")))?;
    let config = Arc::new(config);
    made.push((mtu, Arc::clone(&config)));
    Ok(config)
}

thread_local! {
    /// Of the session that this thread has made last: the library gives no way to its own DTLS.
    static INLET: RefCell<Option<Arc<Inlet>>> = const { RefCell::new(None) };
}

/// What a session's peer may send through DTLS, which is SCTP: so many packets, and so many small pieces of messages that wait for
/// others. The library bounds the bytes that wait to 1 MB, but each piece costs it some 80 bytes besides, so that a byte at a time
/// would be eighty times that.
pub(crate) struct Inlet(Mutex<Flow>);

struct Flow {
    now: Instant,
    packets: Meter,
    crumbs: Meter,
    dropped: u64,
    /// A session has taken it, and says what it has read.
    taken: bool,
}

impl Inlet {
    fn new(now: Instant) -> Inlet {
        let limits = DataLimits::default();
        Inlet(Mutex::new(Flow {
            now,
            packets: Meter::new(now, limits.datagrams_per_s, limits.datagrams_per_s),
            crumbs: Meter::new(now, limits.crumbs_per_s, limits.crumbs),
            dropped: 0,
            taken: false,
        }))
    }

    /// That of the session that this thread has made last, once. Until it is taken everything passes.
    pub(crate) fn take() -> Option<Arc<Inlet>> {
        let inlet = INLET.take()?;
        inlet.flow().taken = true;
        Some(inlet)
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is `now`: DTLS itself is told only when its own timers are due.
    pub(crate) fn set_now(&self, now: Instant) {
        self.flow().now = now;
    }

    /// A message has been read: its last piece waits no more.
    pub(crate) fn forgive(&self) {
        self.flow().crumbs.forgive();
    }

    /// Packets that were not let in.
    pub(crate) fn dropped(&self) -> u64 {
        self.flow().dropped
    }

    fn admits(&self, packet: &[u8]) -> bool {
        let mut flow = self.flow();
        let now = flow.now;
        let admitted = !flow.taken || flow.packets.pass(now) && flow.crumbs.pass_all(now, crumbs::count(packet));
        flow.dropped += u64::from(!admitted);
        admitted
    }
}

/// [`dimpl::Dtls`] by the names that str0m calls it.
struct Handshake(dimpl::Dtls, Arc<Inlet>);

impl std::fmt::Debug for Handshake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Handshake")
    }
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.0.poll_output(buffer) {
            // as lost on the way; SCTP takes no notice of an empty packet
            DtlsOutput::ApplicationData(packet) if !self.1.admits(packet) => DtlsOutput::ApplicationData(&[]),
            output => output,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
