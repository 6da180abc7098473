//! How patient our DTLS handshakes are, for both kinds of session: the lean one of subscribers and str0m's of publishers and pulls.
use std::time::{Duration, Instant};

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

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
        let settings = mtu.into_iter().fold(settings(), dimpl::ConfigBuilder::mtu);
        let config = settings.build().map_err(|cause| CryptoError::Other(format!("cannot set up DTLS: {cause}")))?;
        Ok(Box::new(Handshake(dimpl::Dtls::new_12(config.into(), certificate.clone(), now))))
    }
}

/// [`dimpl::Dtls`] by the names that str0m calls it.
struct Handshake(dimpl::Dtls);

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
        self.0.poll_output(buffer)
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
