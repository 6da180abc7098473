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

pub(crate) struct Timed<S> {
    inner: S,
    alarm: Pin<Box<Sleep>>,
    heard: Instant,
    /// When the peer stopped reading.
    blocked: Option<Instant>,
}

impl<S> Timed<S> {
    pub(crate) fn new(inner: S) -> Self {
        let heard = Instant::now();
        Self { inner, alarm: Box::pin(sleep_until(heard + IDLE)), heard, blocked: None }
    }

    fn deadline(&self) -> Instant {
        self.blocked.map_or(self.heard + IDLE, |since| since + STUCK)
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
            Poll::Ready(result) => {
                if self.blocked.take().is_some() {
                    self.heard = Instant::now();
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.blocked.get_or_insert_with(Instant::now);
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
                self.heard = Instant::now();
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
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.wrote(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
