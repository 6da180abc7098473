//! The process's DTLS certificate and handshake configuration, shared by all transports.
use std::sync::Arc;

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
        todo!()
    }

    /// For `a=fingerprint`: `sha-256 AB:CD:...`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
