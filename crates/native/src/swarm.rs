//! `common._native.Swarm`: viewers for measurements.
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use swarm::{Rung, SwarmError, Tempo};

/// WHEP viewers by the hundred in one thread. The caller does the HTTP.
#[pyclass(frozen, module = "common._native")]
pub(crate) struct Swarm {
    inner: swarm::Swarm,
}

fn python_error(error: SwarmError) -> PyErr {
    match error {
        SwarmError::Io(error) => PyOSError::new_err(error.to_string()),
        other => PyValueError::new_err(other.to_string()),
    }
}

#[pymethods]
impl Swarm {
    #[new]
    fn new() -> PyResult<Swarm> {
        Ok(Swarm { inner: swarm::Swarm::new().map_err(python_error)? })
    }

    /// A new viewer: (number, SDP offer).
    fn offer(&self, py: Python<'_>) -> PyResult<(u64, String)> {
        py.detach(|| self.inner.offer()).map_err(python_error)
    }

    /// The server's answer to a viewer's offer.
    fn accept(&self, py: Python<'_>, viewer: u64, answer: &str) -> PyResult<()> {
        py.detach(|| self.inner.accept(viewer, answer)).map_err(python_error)
    }

    /// Ends a viewer.
    fn remove(&self, py: Python<'_>, viewer: u64) {
        py.detach(|| self.inner.remove(viewer));
    }

    /// Starts all counts anew; connections stay.
    fn restart(&self, py: Python<'_>) {
        py.detach(|| self.inner.restart());
    }

    /// The books of all viewers, a dict each.
    fn reports<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let reports = py.detach(|| self.inner.reports());
        reports
            .into_iter()
            .map(|report| {
                let dict = PyDict::new(py);
                dict.set_item("id", report.id)?;
                dict.set_item("connected", report.connected)?;
                dict.set_item("failed", report.failed)?;
                dict.set_item("packets", report.packets)?;
                dict.set_item("missing", report.missing)?;
                dict.set_item("bytes", report.bytes)?;
                dict.set_item("first_key_frame_ns", report.first_key_frame_ns)?;
                Ok(dict)
            })
            .collect()
    }

    /// Latencies of stamped packets over all viewers: (milliseconds, count), ascending.
    fn latencies_ms(&self, py: Python<'_>) -> Vec<(f64, u64)> {
        py.detach(|| self.inner.latencies_ms())
    }
}

/// Datagrams per CPU-second that the kernel alone allows to `viewers` addresses: one call each, or trains; as fast as they go, or
/// at the tempo of a live stream, whose readers sleep between two pictures.
#[pyfunction]
#[pyo3(signature = (*, gso, viewers, seconds, live = false))]
pub(crate) fn kernel_limit(py: Python<'_>, gso: bool, viewers: usize, seconds: f64, live: bool) -> PyResult<f64> {
    let tempo = if live { Tempo::Live } else { Tempo::Full };
    let rung = if gso { Rung::Gso } else { Rung::Sendto };
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(py.detach(|| swarm::kernel_limit(rung, tempo, viewers, time))?)
}
