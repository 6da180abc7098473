//! HTTP server of the HLS objects: everything below `/hls/`, over HTTP/1.1 and HTTP/2, with TLS when it has a certificate.
//!
//! The packager puts one immutable snapshot per part and rendition; from then on a request is a look-up and a clone of
//! ready headers and bytes. Blocked reloads and hinted parts are held here and released by the put.

mod body;
mod document;
mod gate;
mod library;
mod reply;
pub mod request;
mod serve;
mod stats;
mod timed;
mod waiting;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::watch;

use crate::gate::Gate;
use crate::library::Library;
use crate::reply::{Desk, Post};
use crate::stats::Counters;
pub use crate::stats::Stats;
use crate::waiting::Crier;

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct Config {
    pub host: IpAddr,
    /// 0 takes a free port; [`Edge::port`] tells which.
    pub port: u16,
    /// Threads, each with its own event loop; 0 is one a core, at most four.
    pub threads: usize,
    /// Certificate chain and private key, both PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Signs the path tokens of private broadcasts; without it nobody may see those.
    pub path_key: Option<Vec<u8>>,
    /// Connections above this are closed at once.
    pub max_connections: usize,
    /// Requests held at once; above it the reply is 503.
    pub max_waiters: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            threads: 0,
            tls: None,
            path_key: None,
            max_connections: 50_000,
            max_waiters: 50_000,
        }
    }
}

/// The frozen numbers of a stream that the server needs: limits and lifetimes follow from them.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    pub part_target_ms: u32,
    pub target_duration_s: u32,
}

impl Grid {
    /// "The Advance Part Limit is three divided by the Part Target Duration if that is less than a second, rounded up,
    /// and three otherwise" (RFC 8216bis 6.2.5.2).
    #[must_use]
    pub fn advance_part_limit(self) -> u32 {
        if self.part_target_ms < 1000 { 3000_u32.div_ceil(self.part_target_ms.max(1)) } else { 3 }
    }
}

/// The next state of one rendition: its playlists, the media that is new in it, the names that are no longer served.
#[derive(Debug, Clone, Default)]
pub struct Put {
    pub rendition: String,
    /// Place of the newest part: releases the reloads that wait for it.
    pub msn: u64,
    pub part: u32,
    pub live: Bytes,
    pub delta: Option<Bytes>,
    /// The playlist without parts; the former one stays when `None`.
    pub plain: Option<Bytes>,
    pub media: Vec<(String, Bytes)>,
    /// Segments, each the row of the named parts (shared, not copied).
    pub joined: Vec<(String, Vec<String>)>,
    pub dropped: Vec<String>,
    /// Name of the part that the playlist hints at.
    pub hint: Option<String>,
    /// The playlist has EXT-X-ENDLIST.
    pub ended: bool,
}

#[derive(Debug, Error)]
pub enum EdgeError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot use the certificate or key: {0}")]
    Certificate(String),
    #[error("no stream {0:?} is open")]
    StreamUnknown(String),
    #[error("segment {0:?} names a part that was not put")]
    PartMissing(String),
}

/// The running server. Dropping it closes every connection.
#[derive(Debug)]
pub struct Edge {
    desk: Arc<Desk>,
    counters: Vec<Arc<Counters>>,
    port: u16,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Edge {
    /// Binds the port and starts the threads.
    ///
    /// # Errors
    /// [`EdgeError::Listen`] when the port is taken, [`EdgeError::Certificate`] when a PEM file cannot be used.
    pub fn start(config: &Config) -> Result<Self, EdgeError> {
        let address = SocketAddr::new(config.host, config.port);
        let tls = config.tls.as_ref().map(|(chain, key)| serve::acceptor(chain, key)).transpose()?;
        let listen = |source| EdgeError::Listen { address, source };
        let listener = serve::listener(address).map_err(listen)?;
        let port = listener.local_addr().map_err(listen)?.port();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if config.threads == 0 { cores.min(4) } else { config.threads };
        let criers: Vec<Arc<Crier>> = (0..threads).map(|_| Arc::default()).collect();
        let desk = Arc::new(Desk {
            library: Library::new(criers.clone()),
            gate: Gate::new(config.path_key.as_deref()),
            waiters: AtomicUsize::new(0),
            max_waiters: config.max_waiters,
        });
        let counters: Vec<_> = (0..threads).map(|_| Arc::new(Counters::default())).collect();
        let (stop, stopped) = watch::channel(false);
        let open = Arc::new(AtomicUsize::new(0));
        let edge = Self { desk, counters, port, stop, threads: Mutex::default() };
        for (index, (counters, crier)) in edge.counters.iter().zip(criers).enumerate() {
            let door = serve::Door {
                listener: TcpListener::try_clone(&listener).map_err(listen)?,
                tls: tls.clone(),
                desk: Arc::clone(&edge.desk),
                post: Arc::new(Post { thread: index, counters: Arc::clone(counters) }),
                crier,
                open: Arc::clone(&open),
                max_open: config.max_connections,
                stopped: stopped.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("edge-{index}")).spawn(move || door.run());
            edge.threads.lock().push(thread.map_err(listen)?);
        }
        Ok(edge)
    }

    /// The bound port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Says whether a stream is private, whether or not it is open: then only requests with a path token for it are answered.
    pub fn guard(&self, stream: &str, private: bool) {
        self.desk.gate.guard(stream, private);
    }

    /// Opens a stream; requests for its index wait from now on. One of the same name is closed first.
    pub fn open(&self, stream: &str, grid: Grid) {
        self.desk.library.open(stream, grid);
    }

    /// Puts documents of the whole stream by name, such as `index.m3u8`, all at once. Others stay as they are.
    ///
    /// # Errors
    /// [`EdgeError::StreamUnknown`].
    pub fn put_index(&self, stream: &str, documents: Vec<(String, Bytes)>) -> Result<(), EdgeError> {
        self.desk.library.put_index(stream, documents)
    }

    /// Puts the next state of a rendition and releases who waits for it.
    ///
    /// # Errors
    /// [`EdgeError::StreamUnknown`], or [`EdgeError::PartMissing`] when a joined segment names an unknown part.
    pub fn put(&self, stream: &str, put: Put) -> Result<(), EdgeError> {
        self.desk.library.put(stream, put)
    }

    /// Removes a stream; who waits is answered 404. False when there is none.
    pub fn close(&self, stream: &str) -> bool {
        self.desk.library.close(stream)
    }

    /// The counters of all threads.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { waiters: self.desk.waiters.load(Ordering::Relaxed) as u64, ..Stats::default() };
        for one in &self.counters {
            stats.add(one);
        }
        stats
    }

    /// Closes every connection and ends the threads.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that panicked has said so; the others end all the same.
            let _ = thread.join();
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advance_part_limit_is_three_seconds_of_parts_or_three() {
        let limit = |part_target_ms| Grid { part_target_ms, target_duration_s: 2 }.advance_part_limit();
        assert_eq!((limit(200), limit(320), limit(999), limit(1000), limit(0)), (15, 10, 4, 3, 3000));
    }

    #[test]
    fn puts_and_closes_are_refused_where_nothing_is_open() {
        let edge = Edge::start(&Config { threads: 1, ..Config::default() }).expect("a free port on loopback");
        assert!(matches!(edge.put("none", Put::default()), Err(EdgeError::StreamUnknown(_))));
        assert!(!edge.close("none"));
        edge.open("live", Grid { part_target_ms: 320, target_duration_s: 2 });
        let joined = vec![("1.m4s".to_owned(), vec!["1.0.m4s".to_owned()])];
        let put = Put { rendition: "v0".into(), joined, ..Put::default() };
        assert!(matches!(edge.put("live", put), Err(EdgeError::PartMissing(_))));
        assert!(edge.close("live"));
        assert_eq!(edge.stats(), Stats::default());
    }
}
