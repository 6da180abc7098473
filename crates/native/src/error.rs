//! Errors of the media core as Python exceptions: each has a stable `code` and the HTTP `status` that fits.
use node::NodeError;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    common._native,
    SfuError,
    PyException,
    "A call that the media core refused; see `code` and `status`."
);
create_exception!(common._native, StreamUnknown, SfuError, "No such stream is live on this node (404).");
create_exception!(common._native, SessionUnknown, SfuError, "No such session is open on this node (404).");
create_exception!(common._native, BadSdp, SfuError, "The SDP cannot be used; the message says why (400 or 422).");
create_exception!(common._native, Full, SfuError, "The node takes no more subscribers now (503).");

/// Seconds after which a full node may be asked again.
const RETRY_AFTER_S: f64 = 2.0;

/// The exception for an error of the node.
pub(crate) fn python_error(py: Python<'_>, error: &NodeError) -> PyErr {
    let message = error.to_string();
    let made = match error {
        NodeError::StreamUnknown(_) => StreamUnknown::new_err(message),
        NodeError::SessionUnknown(_) => SessionUnknown::new_err(message),
        NodeError::Full(_) => Full::new_err(message),
        NodeError::Core(sfu::SfuError::BadSdp(_) | sfu::SfuError::NoCommonCodec(_)) => BadSdp::new_err(message),
        _ => SfuError::new_err(message),
    };
    let retry_after = (error.status() == 503).then_some(RETRY_AFTER_S);
    let value = made.value(py);
    let attributes = value
        .setattr("code", error.code())
        .and_then(|()| value.setattr("status", error.status()))
        .and_then(|()| value.setattr("retry_after_s", retry_after));
    match attributes {
        Ok(()) => made,
        Err(error) => error,
    }
}
