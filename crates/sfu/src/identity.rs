//! The process's DTLS certificate and handshake configuration, shared by all transports.
use std::sync::Arc;
use std::time::Duration;

use crate::error::SfuError;

/// One self-signed ECDSA P-256 certificate and one DTLS configuration a process. Cheap to clone, any thread.
#[derive(Clone)]
pub struct Identity {
    pub(crate) certificate: dimpl::DtlsCertificate,
    pub(crate) config: Arc<dimpl::Config>,
    fingerprint: String,
}

impl Identity {
    /// Makes a fresh certificate (1 ms).
    pub fn generate() -> Result<Identity, SfuError> {
        let fault = |what: &str, cause: String| SfuError::Internal(format!("{what}: {cause}"));
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|cause| fault("cannot make a certificate", cause.to_string()))?;
        // Who sends a ClientHello has passed a STUN integrity check before, so a cookie round trip would prove nothing new.
        let config = dimpl::Config::builder()
            .use_server_cookie(false)
            // Browsers repeat a lost flight after 50 ms, the library after 1 s unless told otherwise. Their repeats count as retries,
            // of which a path of 600 ms sees several before the first answer; what bounds a handshake is its time.
            .flight_start_rto(Duration::from_millis(250))
            .flight_retries(12)
            .handshake_timeout(Duration::from_secs(20))
            .build()
            .map_err(|cause| fault("cannot set up DTLS", cause.to_string()))?;
        let fingerprint = format!("sha-256 {}", certificate.fingerprint_str());
        Ok(Identity { certificate, config: Arc::new(config), fingerprint })
    }

    /// For `a=fingerprint`: `sha-256 AB:CD:...`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
