//! The process's DTLS certificate and handshake configuration, shared by all transports.
use std::sync::Arc;

use crate::error::SfuError;
use crate::handshake;

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
        let config = handshake::settings().build().map_err(|cause| fault("cannot set up DTLS", cause.to_string()))?;
        let fingerprint = format!("sha-256 {}", certificate.fingerprint_str());
        Ok(Identity { certificate, config: Arc::new(config), fingerprint })
    }

    /// For `a=fingerprint`: `sha-256 AB:CD:...`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
