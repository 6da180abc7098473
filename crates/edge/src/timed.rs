//! A byte stream that gives up on peers that do nothing: no request for a minute and a half, or a reply that they do not read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Longer than the longest hold and than players pause between reloads.
const IDLE: Duration = Duration::from_secs(90);
/// A reader that takes nothing for this long keeps bytes that others could use.
const STUCK: Duration = Duration::from_secs(15);

/// What a reader must take in [`STUCK`], or all that there is: 9 kbit/s, less than any sound needs.
const LEAST_BYTES: usize = 16 * 1024;
/// From the first byte of a request to the first of its reply: 30 s for the head, and the longest hold.
const ANSWERED: Duration = Duration::from_secs(38);
/// Short writes go out as one run of bytes, which costs the kernel less than a row and more than this copy.
const SHORT_BYTES: usize = 8 * 1024;

pub(crate) struct Timed<S> {
    inner: S,
    alarm: Pin<Box<Sleep>>,
    heard: Instant,
    /// When the request began that has no reply yet.
    asked: Option<Instant>,
    /// When the peer stopped reading, and how much it has taken since.
    blocked: Option<(Instant, usize)>,
}

impl<S> Timed<S> {
    pub(crate) fn new(inner: S) -> Self {
        let heard = Instant::now();
        Self { inner, alarm: Box::pin(sleep_until(heard + IDLE)), heard, asked: Some(heard), blocked: None }
    }

    fn deadline(&self) -> Instant {
        match (self.blocked, self.asked) {
            (Some((since, _)), _) => since + STUCK,
            (None, Some(since)) => since + ANSWERED,
            (None, None) => self.heard + IDLE,
        }
    }

    /// Called when the peer lets us wait: an error once its time is up, else the alarm is set.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let deadline = self.deadline();
        if self.alarm.deadline() > deadline {
            self.alarm.as_mut().reset(deadline);
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does nothing"));
            }
            // It was set before the peer's last sign of life: set it anew, so that reads and writes need not.
            self.alarm.as_mut().reset(deadline);
        }
        Ok(())
    }

    fn wrote(&mut self, context: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.asked = None;
                if let Some((since, taken)) = &mut self.blocked {
                    *taken += bytes;
                    if *taken >= LEAST_BYTES {
                        self.blocked = None;
                        self.heard = Instant::now();
                    } else if since.elapsed() >= STUCK {
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads too slowly")));
                    }
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.blocked.get_or_insert_with(|| (Instant::now(), 0));
                match self.check(context) {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(result) => {
                let now = Instant::now();
                self.heard = now;
                self.asked.get_or_insert(now);
                Poll::Ready(result)
            }
            Poll::Pending => match self.check(context) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = bytes.iter().map(|run| run.len()).sum();
        let result = if length <= SHORT_BYTES {
            let mut whole = [0; SHORT_BYTES];
            let mut at = 0;
            for run in bytes {
                whole[at..at + run.len()].copy_from_slice(run);
                at += run.len();
            }
            Pin::new(&mut self.inner).poll_write(context, &whole[..length])
        } else {
            Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
        };
        self.wrote(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_ready() && self.blocked.take().is_some() {
            // All of the reply is out.
            self.heard = Instant::now();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_byte_by_byte_is_given_up() {
        let (ours, mut theirs) = duplex(64);
        let began = Instant::now();
        let client = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        let mut seen = Vec::new();
        let error = Timed::new(ours).read_to_end(&mut seen).await.expect_err("it never ends by itself");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), ANSWERED.as_secs());
        client.await.expect("it ends with the connection");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_two_requests_may_rest() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Timed::new(ours);
        for _ in 0..3 {
            theirs.write_all(b"ask").await.expect("room");
            ours.read_exact(&mut [0; 3]).await.expect("what was asked");
            ours.write_all(b"answer").await.expect("room");
            theirs.read_exact(&mut [0; 6]).await.expect("what was answered");
            let rest = tokio::time::timeout(Duration::from_secs(80), ours.read_u8()).await;
            assert!(rest.is_err(), "it still waits: {rest:?}");
        }
        let began = Instant::now();
        assert_eq!(ours.read_u8().await.expect_err("for ever is too long").kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() <= IDLE);
    }

    /// A reader that takes `bytes` each second: whether it gets 200 kB in the end.
    async fn reads_all(bytes: usize) -> bool {
        let (ours, mut theirs) = duplex(1024);
        let client = tokio::spawn(async move {
            let mut taken = vec![0; bytes];
            while theirs.read_exact(&mut taken).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let written = Timed::new(ours).write_all(&[0; 200_000]).await;
        client.await.expect("it ends with the connection");
        written.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_served_and_one_that_takes_next_to_nothing_is_not() {
        assert!(reads_all(2000).await);
        assert!(!reads_all(500).await);
    }

    #[tokio::test(start_paused = true)]
    async fn short_rows_arrive_whole() {
        let (ours, mut theirs) = duplex(64 * 1024);
        let mut ours = Timed::new(ours);
        for length in [1, SHORT_BYTES / 2, SHORT_BYTES, 20_000] {
            let (head, body) = (vec![b'h'; length / 2], vec![b'b'; length]);
            let mut sent = 0;
            let whole = [head.as_slice(), body.as_slice()].concat();
            while sent < whole.len() {
                let rest = [
                    io::IoSlice::new(&head[sent.min(head.len())..]),
                    io::IoSlice::new(&body[sent.saturating_sub(head.len())..]),
                ];
                sent += ours.write_vectored(&rest).await.expect("room");
            }
            let mut came = vec![0; whole.len()];
            theirs.read_exact(&mut came).await.expect("what was sent");
            assert_eq!(came, whole);
        }
    }
}
