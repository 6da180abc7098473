//! What the packager has put: streams, their renditions, and the snapshot that each rendition shows now. Readers take an
//! `Arc` and never wait for a writer; a writer is the packager, once per part and rendition.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use parking_lot::RwLock;

use crate::document::{Document, Media};
use crate::waiting::{Board, Crier, Shown};
use crate::{EdgeError, Grid, Put};

/// Place of a part in a media playlist. Ordered: a reload for `(msn, part)` may be answered once the newest part is not less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) msn: u64,
    pub(crate) part: u32,
}

/// One immutable state of a rendition.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) newest: Position,
    pub(crate) live: Document,
    pub(crate) delta: Option<Document>,
    pub(crate) plain: Option<Arc<Document>>,
    /// The part that is announced by a preload hint: a request for it waits.
    pub(crate) hint: Option<Box<str>>,
    pub(crate) ended: bool,
}

type Documents = HashMap<Box<str>, Arc<Document>>;

#[derive(Debug)]
pub(crate) struct Rendition {
    pub(crate) view: Board<View>,
    media: RwLock<HashMap<Box<str>, Media>>,
}

impl Rendition {
    fn new(criers: &[Arc<Crier>]) -> Self {
        Self { view: Board::new(criers), media: RwLock::default() }
    }

    pub(crate) fn media(&self, name: &str) -> Option<Media> {
        self.media.read().get(name).cloned()
    }
}

/// `Cache-Control` values of a stream (RFC 8216bis appendix B.1, with TD = target duration).
#[derive(Debug, Clone)]
pub(crate) struct Lifetimes {
    /// A playlist that a blocking reload got: 6 TD.
    pub(crate) blocking: HeaderValue,
    /// A playlist as it is now: 0.5 TD.
    pub(crate) plain: HeaderValue,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) grid: Grid,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) indexes: Board<Documents>,
    renditions: RwLock<HashMap<Box<str>, Arc<Rendition>>>,
}

impl Stream {
    fn new(grid: Grid, criers: &[Arc<Crier>]) -> Self {
        let seconds = |s: u32| HeaderValue::try_from(format!("max-age={s}")).expect("digits are a header value");
        Self {
            grid,
            lifetimes: Lifetimes {
                blocking: seconds(6 * grid.target_duration_s),
                plain: seconds(grid.target_duration_s.div_ceil(2).max(1)),
            },
            indexes: Board::new(criers),
            renditions: RwLock::default(),
        }
    }

    pub(crate) fn rendition(&self, name: &str) -> Option<Arc<Rendition>> {
        self.renditions.read().get(name).cloned()
    }
}

#[derive(Debug)]
pub(crate) struct Library {
    streams: ArcSwap<HashMap<Box<str>, Arc<Stream>>>,
    criers: Vec<Arc<Crier>>,
}

impl Library {
    /// An empty library, read by as many threads as there are criers.
    pub(crate) fn new(criers: Vec<Arc<Crier>>) -> Self {
        Self { streams: ArcSwap::default(), criers }
    }

    pub(crate) fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.streams.load().get(name).cloned()
    }

    fn change(&self, edit: impl Fn(&mut HashMap<Box<str>, Arc<Stream>>)) {
        self.streams.rcu(|now| {
            let mut next = HashMap::clone(now);
            edit(&mut next);
            next
        });
    }

    /// Opens `name`, in place of a stream of that name.
    pub(crate) fn open(&self, name: &str, grid: Grid) {
        self.close(name);
        let stream = Arc::new(Stream::new(grid, &self.criers));
        self.change(|streams| {
            streams.insert(name.into(), Arc::clone(&stream));
        });
    }

    /// Removes `name` and frees all who wait for it. False when there is no such stream.
    pub(crate) fn close(&self, name: &str) -> bool {
        let Some(stream) = self.stream(name) else {
            return false;
        };
        self.change(|streams| {
            streams.remove(name);
        });
        stream.indexes.change(|shown| *shown = Shown::Closed);
        for rendition in stream.renditions.read().values() {
            rendition.view.change(|shown| *shown = Shown::Closed);
        }
        true
    }

    fn open_stream(&self, name: &str) -> Result<Arc<Stream>, EdgeError> {
        self.stream(name).ok_or_else(|| EdgeError::StreamUnknown(name.to_owned()))
    }

    /// Puts documents of the whole stream, all at once: who waits for one of them must not see the others alone.
    pub(crate) fn put_index(&self, stream: &str, documents: Vec<(String, Bytes)>) -> Result<(), EdgeError> {
        let made: Vec<(Box<str>, _)> = documents
            .into_iter()
            .map(|(name, body)| {
                let document = Arc::new(Document::new(&name, body));
                (name.into(), document)
            })
            .collect();
        self.open_stream(stream)?.indexes.change(|shown| {
            let mut documents = shown.now().map_or_else(Documents::new, |now| Documents::clone(now));
            documents.extend(made);
            *shown = Shown::Now(Arc::new(documents));
        });
        Ok(())
    }

    /// Puts the next snapshot of a rendition. Media is there before the playlist that names it.
    pub(crate) fn put(&self, stream: &str, put: Put) -> Result<(), EdgeError> {
        let stream = self.open_stream(stream)?;
        let rendition = Arc::clone(
            stream
                .renditions
                .write()
                .entry(put.rendition.as_str().into())
                .or_insert_with(|| Arc::new(Rendition::new(&self.criers))),
        );
        {
            let mut media = rendition.media.write();
            for (name, bytes) in put.media {
                let made = Media::new(&name, &put.rendition, vec![bytes]);
                media.insert(name.into(), made);
            }
            for (name, parts) in put.joined {
                let row = parts
                    .iter()
                    .map(|part| media.get(part.as_str()).map(|part| part.parts.iter().cloned()))
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| EdgeError::PartMissing(name.clone()))?;
                let made = Media::new(&name, &put.rendition, row.into_iter().flatten().collect());
                media.insert(name.into(), made);
            }
            for name in put.dropped {
                media.remove(name.as_str());
            }
        }
        let live = Document::new("index.m3u8", put.live);
        let delta = put.delta.map(|body| Document::new("index.m3u8", body));
        let plain = put.plain.map(|body| Arc::new(Document::new("plain.m3u8", body)));
        rendition.view.change(|shown| {
            let plain = plain.or_else(|| shown.now().and_then(|view| view.plain.clone()));
            *shown = Shown::Now(Arc::new(View {
                newest: Position { msn: put.msn, part: put.part },
                live,
                delta,
                plain,
                hint: put.hint.map(Into::into),
                ended: put.ended,
            }));
        });
        Ok(())
    }
}
