//! `common._native.Edge`: the HTTP server of the HLS objects. One call per part and rendition; no Python per request.
use std::net::IpAddr;
use std::path::PathBuf;

use ::edge::{Config, EdgeError, Grid, Put, Stats};
use bytes::Bytes;
use pyo3::exceptions::{PyKeyError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

fn python_error(error: EdgeError) -> PyErr {
    match error {
        EdgeError::Listen { .. } => PyOSError::new_err(error.to_string()),
        EdgeError::Certificate(_) => PyValueError::new_err(error.to_string()),
        EdgeError::StreamUnknown(_) | EdgeError::PartMissing(_) => PyKeyError::new_err(error.to_string()),
    }
}

/// Serves everything below `/hls/`.
#[pyclass(frozen, module = "common._native")]
pub(crate) struct Edge {
    inner: ::edge::Edge,
}

#[pymethods]
impl Edge {
    #[new]
    #[pyo3(signature = (*, host = "127.0.0.1", port = 0, threads = 0, certificate = None, private_key = None, path_key = None, max_connections = 50_000, max_waiters = 50_000))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        host: &str,
        port: u16,
        threads: usize,
        certificate: Option<PathBuf>,
        private_key: Option<PathBuf>,
        path_key: Option<Vec<u8>>,
        max_connections: usize,
        max_waiters: usize,
    ) -> PyResult<Edge> {
        let host: IpAddr =
            host.parse().map_err(|_| PyValueError::new_err(format!("{host:?} is not an IP address to listen on")))?;
        let tls = match (certificate, private_key) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            _ => return Err(PyValueError::new_err("TLS needs both a certificate and its private key")),
        };
        let config = Config { host, port, threads, tls, path_key, max_connections, max_waiters };
        Ok(Edge { inner: ::edge::Edge::start(&config).map_err(python_error)? })
    }

    /// The bound port.
    #[getter]
    fn port(&self) -> u16 {
        self.inner.port()
    }

    /// Says whether a stream is private: then only requests with a path token for it are answered.
    fn guard(&self, stream: &str, private: bool) {
        self.inner.guard(stream, private);
    }

    /// Opens a stream: requests for its index wait from now on.
    #[pyo3(signature = (stream, *, part_target_ms, target_duration_s))]
    fn open(&self, stream: &str, part_target_ms: u32, target_duration_s: u32) {
        self.inner.open(stream, Grid { part_target_ms, target_duration_s });
    }

    /// Puts documents of the whole stream, all at once.
    fn put_index(&self, py: Python<'_>, stream: &str, documents: Vec<(String, Vec<u8>)>) -> PyResult<()> {
        let documents = documents.into_iter().map(|(name, body)| (name, body.into())).collect();
        py.detach(|| self.inner.put_index(stream, documents)).map_err(python_error)
    }

    /// Puts the next snapshot of a rendition and releases who waits for it.
    #[pyo3(signature = (stream, rendition, *, msn, part, live, delta = None, plain = None, media = Vec::new(), joined = Vec::new(), dropped = Vec::new(), hint = None, ended = false))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn put(
        &self,
        py: Python<'_>,
        stream: &str,
        rendition: String,
        msn: u64,
        part: u32,
        live: Vec<u8>,
        delta: Option<Vec<u8>>,
        plain: Option<Vec<u8>>,
        media: Vec<(String, Vec<u8>)>,
        joined: Vec<(String, Vec<String>)>,
        dropped: Vec<String>,
        hint: Option<String>,
        ended: bool,
    ) -> PyResult<()> {
        let put = Put {
            rendition,
            msn,
            part,
            live: live.into(),
            delta: delta.map(Bytes::from),
            plain: plain.map(Bytes::from),
            media: media.into_iter().map(|(name, bytes)| (name, bytes.into())).collect(),
            joined,
            dropped,
            hint,
            ended,
        };
        py.detach(|| self.inner.put(stream, put)).map_err(python_error)
    }

    /// Removes a stream; who waits is answered 404. False when there is none.
    fn close(&self, stream: &str) -> bool {
        self.inner.close(stream)
    }

    /// Counters since the start; `connections` and `waiters` are now.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Stats {
            connections,
            refused_connections,
            waiters,
            index,
            playlists,
            blocked,
            media,
            not_found,
            bad_requests,
            denied,
            unavailable,
            bytes,
        } = self.inner.stats();
        let dict = PyDict::new(py);
        for (name, value) in [
            ("connections", connections),
            ("refused_connections", refused_connections),
            ("waiters", waiters),
            ("index", index),
            ("playlists", playlists),
            ("blocked", blocked),
            ("media", media),
            ("not_found", not_found),
            ("bad_requests", bad_requests),
            ("denied", denied),
            ("unavailable", unavailable),
            ("bytes", bytes),
        ] {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    /// Closes every connection and ends the threads.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.inner.stop());
    }
}
