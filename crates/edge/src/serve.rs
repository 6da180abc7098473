//! The sockets: one thread is one event loop that accepts, serves HTTP/1.1 and HTTP/2, and ends when told.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::EdgeError;
use crate::reply::{Desk, Post};
use crate::timed::Timed;
use crate::waiting::Crier;

const HANDSHAKE: Duration = Duration::from_secs(10);
/// Request heads of players are below 2 kB. The same size bounds what is queued for a reader before it is written.
const BUFFER_BYTES: usize = 64 * 1024;
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
const MAX_H2_STREAMS: u32 = 128;

/// A listening socket for [`Door`].
pub(crate) fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// TLS with ALPN for HTTP/2 and HTTP/1.1 from PEM files.
pub(crate) fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, EdgeError> {
    let bad =
        |path: &Path, error: &dyn std::fmt::Display| EdgeError::Certificate(format!("{}: {error}", path.display()));
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(chain, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private))
        .map_err(|error| bad(chain, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Where one thread lets connections in.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) post: Arc<Post>,
    pub(crate) crier: Arc<Crier>,
    /// Connections of all threads.
    pub(crate) open: Arc<AtomicUsize>,
    pub(crate) max_open: usize,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// A connection's place; given back when it ends, however it ends.
struct Place {
    open: Arc<AtomicUsize>,
    post: Arc<Post>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.post.counters.connections.sub(1);
    }
}

impl Door {
    /// Serves until told to stop; then every connection of this thread is dropped.
    pub(crate) fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .expect("an event loop needs an epoll and an eventfd, which a process that just bound a socket has");
        runtime.block_on(self.accept());
        runtime.shutdown_background();
    }

    async fn accept(mut self) {
        let listener = self.listener.try_clone().and_then(tokio::net::TcpListener::from_std);
        let Ok(listener) = listener else { return };
        let crier = Arc::clone(&self.crier);
        tokio::spawn(async move { crier.run().await });
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
            };
            match accepted {
                Ok((stream, _)) => self.enter(stream),
                // Out of descriptors, or a peer that went at once: go on after a breath.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn enter(&self, stream: TcpStream) {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max_open {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.post.counters.refused_connections.add(1);
            return;
        }
        self.post.counters.connections.add(1);
        let place = Place { open: Arc::clone(&self.open), post: Arc::clone(&self.post) };
        // A playlist must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let desk = Arc::clone(&self.desk);
        match self.tls.clone() {
            None => {
                tokio::spawn(converse(stream, desk, place));
            }
            Some(tls) => {
                tokio::spawn(async move {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        converse(stream, desk, place).await;
                    }
                });
            }
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, desk: Arc<Desk>, place: Place) {
    let post = Arc::clone(&place.post);
    let service = service_fn(|request| {
        let (desk, post) = (Arc::clone(&desk), Arc::clone(&post));
        async move { Ok::<_, Infallible>(desk.answer(&request, &post).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // No timer of hyper's for the head: `Timed` bounds it without one a request.
    builder.http1().header_read_timeout(None).max_buf_size(BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_H2_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(Duration::from_secs(20));
    // An error here is the peer's: bad HTTP, a cut, our time limits. It ends this connection and nothing else.
    let _ = builder.serve_connection(TokioIo::new(Timed::new(stream)), service).await;
    drop(place);
}
