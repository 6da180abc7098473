//! The body of a reply: nothing, one run of bytes, or a row of runs. Its length is always known.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

#[derive(Debug)]
pub(crate) enum Payload {
    Empty,
    One(Bytes),
    Row { parts: Arc<[Bytes]>, next: usize, left: u64 },
}

impl Payload {
    pub(crate) fn row(parts: Arc<[Bytes]>, length: u64) -> Self {
        if let [one] = parts.as_ref() { Self::One(one.clone()) } else { Self::Row { parts, next: 0, left: length } }
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len() as u64,
            Self::Row { left, .. } => *left,
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let bytes = match this {
            Self::Empty => None,
            Self::One(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                (!bytes.is_empty()).then_some(bytes)
            }
            Self::Row { parts, next, left } => {
                let bytes = parts.get(*next).cloned();
                *next += 1;
                *left -= bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                bytes
            }
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}
