//! Counters: one set a thread, so that counting never makes two cores share a cache line; read by summing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::StatusCode;

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one thread has counted.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) connections: Counter,
    pub(crate) refused_connections: Counter,
    pub(crate) index: Counter,
    pub(crate) playlists: Counter,
    pub(crate) blocked: Counter,
    pub(crate) media: Counter,
    not_found: Counter,
    bad_requests: Counter,
    denied: Counter,
    unavailable: Counter,
    bytes: Counter,
}

impl Counters {
    pub(crate) fn replied(&self, status: StatusCode, bytes: u64) {
        self.bytes.add(bytes);
        match status.as_u16() {
            404 => self.not_found.add(1),
            401 | 403 => self.denied.add(1),
            400 | 405 | 416 => self.bad_requests.add(1),
            503 => self.unavailable.add(1),
            _ => {}
        }
    }
}

/// One snapshot over all threads. Counts since the start, except `connections` and `waiters`, which are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub connections: u64,
    pub refused_connections: u64,
    pub waiters: u64,
    pub index: u64,
    pub playlists: u64,
    /// Playlist reloads and hinted parts that had to wait.
    pub blocked: u64,
    pub media: u64,
    pub not_found: u64,
    pub bad_requests: u64,
    /// Requests for private broadcasts without a good path token.
    pub denied: u64,
    pub unavailable: u64,
    /// Body bytes of the replies.
    pub bytes: u64,
}

impl Stats {
    pub(crate) fn add(&mut self, one: &Counters) {
        self.connections += one.connections.now();
        self.refused_connections += one.refused_connections.now();
        self.index += one.index.now();
        self.playlists += one.playlists.now();
        self.blocked += one.blocked.now();
        self.media += one.media.now();
        self.not_found += one.not_found.now();
        self.bad_requests += one.bad_requests.now();
        self.denied += one.denied.now();
        self.unavailable += one.unavailable.now();
        self.bytes += one.bytes.now();
    }
}
