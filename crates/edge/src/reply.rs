//! From a request to its reply. All that can be slow is waiting for the packager: a blocked reload, a hinted part, the
//! first playlist of a stream; each has a limit, and goes when its client goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tokio::time::Instant;

use crate::body::Payload;
use crate::document::{ANY, Document, EXPOSED, Encoded};
use crate::gate::{Denied, Gate};
use crate::library::{Library, Position, Rendition, Stream, View};
use crate::request::{self, Directives, Range, Target};
use crate::stats::Counters;
use crate::waiting::Board;

/// hls.js gives a playlist up after 10 s without a first byte; a held request must end before.
const LONGEST_HOLD: Duration = Duration::from_secs(8);
const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=86400, immutable");
/// Errors, and a playlist for `_HLS_msn` alone: it shows part 0 of the segment, and a strict client must not be fed that
/// early list for long.
const ONE_SECOND: HeaderValue = HeaderValue::from_static("max-age=1");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// One thread: its number among those that serve, and what it has counted.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) thread: usize,
    pub(crate) counters: Arc<Counters>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) library: Library,
    pub(crate) gate: Gate,
    pub(crate) waiters: AtomicUsize,
    pub(crate) max_waiters: usize,
}

/// One who waits; counted while it lives, so a client that goes frees its place.
struct Waiter<'a>(&'a Desk);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A refusal: status, stable code, and what to do.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    NotFound(&'static str),
    Bad(&'static str, &'static str),
    Denied(Denied),
    Method,
    TooLate,
    Full,
}

impl From<Denied> for Refusal {
    fn from(why: Denied) -> Self {
        Self::Denied(why)
    }
}

impl Refusal {
    fn reply(self) -> Response<Payload> {
        let (status, code, detail) = match self {
            Self::NotFound(detail) => (StatusCode::NOT_FOUND, "hls_not_found", detail),
            Self::Bad(code, detail) => (StatusCode::BAD_REQUEST, code, detail),
            Self::Denied(Denied::Missing) => (
                StatusCode::UNAUTHORIZED,
                "hls_token_needed",
                "the broadcast is private: take the address that /play gives",
            ),
            Self::Denied(Denied::Expired) => {
                (StatusCode::UNAUTHORIZED, "token_expired", "the address has expired: ask /play for a new one")
            }
            Self::Denied(Denied::Wrong) => {
                (StatusCode::FORBIDDEN, "wrong_token", "the address was not made for this broadcast")
            }
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "only GET, HEAD and OPTIONS"),
            Self::TooLate => {
                (StatusCode::SERVICE_UNAVAILABLE, "hls_not_yet", "the media did not come in time; ask again")
            }
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "hls_full", "too many requests are held; ask again"),
        };
        let text = format!(
            r#"{{"type":"about:blank","title":"{}","status":{},"code":"{code}","detail":"{detail}"}}"#,
            status.canonical_reason().unwrap_or("Error"),
            status.as_u16(),
        );
        let mut reply = Response::new(Payload::One(Bytes::from(text)));
        *reply.status_mut() = status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, ONE_SECOND);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        match self {
            Self::Method => {
                headers.insert(ALLOW, METHODS);
            }
            Self::TooLate | Self::Full => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Denied(Denied::Missing | Denied::Expired) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::NotFound(_) | Self::Bad(..) | Self::Denied(Denied::Wrong) => {}
        }
        reply
    }
}

fn preflight() -> Response<Payload> {
    let mut reply = Response::new(Payload::Empty);
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let headers = reply.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    reply
}

/// What a cache asks before it shows what it has: is this token good for this broadcast? It may believe the answer for a minute.
const ALLOWED: &str = "allowed";
const BELIEVED_S: u64 = 60;

fn allowed(left_s: u64) -> Response<Payload> {
    let mut reply = Response::new(Payload::Empty);
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let lifetime = format!("max-age={}", left_s.min(BELIEVED_S));
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::try_from(lifetime).expect("digits are a header value"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    reply
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(',').any(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, ""));
            name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    })
}

fn has_tag(headers: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    match (headers.get(IF_NONE_MATCH), tag) {
        (Some(wanted), Some(tag)) => {
            wanted.as_bytes() == b"*"
                || wanted.as_bytes().split(|b| *b == b',').any(|one| {
                    let one = one.trim_ascii();
                    one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes()
                })
        }
        _ => false,
    }
}

fn found(headers: HeaderMap, lifetime: HeaderValue, body: Payload) -> Response<Payload> {
    let mut reply = Response::new(body);
    *reply.headers_mut() = headers;
    reply.headers_mut().insert(CACHE_CONTROL, lifetime);
    reply
}

fn not_modified(headers: &HeaderMap, lifetime: HeaderValue) -> Response<Payload> {
    let mut reply = found(headers.clone(), lifetime, Payload::Empty);
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    reply.headers_mut().remove(CONTENT_TYPE);
    reply
}

fn text(asked: &HeaderMap, document: &Document, lifetime: &HeaderValue) -> Response<Payload> {
    let Encoded { headers, body } = document.encoded(takes_gzip(asked));
    if has_tag(asked, headers.get(ETAG)) {
        return not_modified(headers, lifetime.clone());
    }
    found(headers.clone(), lifetime.clone(), Payload::One(body.clone()))
}

impl Desk {
    fn wait(&self) -> Result<Waiter<'_>, Refusal> {
        if self.waiters.fetch_add(1, Ordering::Relaxed) >= self.max_waiters {
            self.waiters.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::Full);
        }
        Ok(Waiter(self))
    }

    /// Waits until `ready` says so, at most `hold`. `None`: the stream was closed meanwhile.
    async fn hold<T>(
        &self,
        board: &Board<T>,
        post: &Post,
        hold: Duration,
        ready: impl Fn(&T) -> bool,
    ) -> Result<Option<Arc<T>>, Refusal> {
        let _waiter = self.wait()?;
        let shown = board.wait(post.thread, Instant::now() + hold, ready).await.ok_or(Refusal::TooLate)?;
        Ok(shown.now().cloned())
    }

    /// The reply to one request, counted.
    pub(crate) async fn answer<B>(&self, request: &Request<B>, post: &Post) -> Response<Payload> {
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            Method::OPTIONS => return preflight(),
            _ => return Refusal::Method.reply(),
        };
        let mut reply = self.look_up(request, post).await.unwrap_or_else(Refusal::reply);
        post.counters.replied(reply.status(), if head { 0 } else { reply.body().length() });
        if head {
            let length = reply.body().length();
            reply.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
            *reply.body_mut() = Payload::Empty;
        }
        reply
    }

    async fn look_up<B>(&self, request: &Request<B>, post: &Post) -> Result<Response<Payload>, Refusal> {
        let uri = request.uri();
        let asked = request.headers();
        let (token, target) = request::asked(uri.path()).ok_or(Refusal::NotFound("no object can have this path"))?;
        let (Target::Index { stream: name, .. }
        | Target::Live { stream: name, .. }
        | Target::Plain { stream: name, .. }
        | Target::Media { stream: name, .. }) = target;
        if matches!(target, Target::Index { name: ALLOWED, .. }) {
            return Ok(allowed(self.gate.check(name, token, asked)?));
        }
        self.gate.admit(name, token, asked)?;
        let stream = self.library.stream(name).ok_or(Refusal::NotFound("no such broadcast is on air"))?;
        match target {
            Target::Index { name, .. } => {
                post.counters.index.add(1);
                self.index(&stream, name, asked, post).await
            }
            Target::Live { rendition, .. } => {
                let directives = request::directives(uri.query().unwrap_or("")).map_err(|bad| match bad {
                    request::BadQuery::Msn => Refusal::Bad(bad.code(), "_HLS_msn is not a decimal number"),
                    request::BadQuery::Part => Refusal::Bad(bad.code(), "_HLS_part is not a decimal number"),
                    request::BadQuery::PartWithoutMsn => Refusal::Bad(bad.code(), "_HLS_part needs _HLS_msn"),
                    request::BadQuery::Skip => Refusal::Bad(bad.code(), "_HLS_skip is neither YES nor v2"),
                    request::BadQuery::Twice => Refusal::Bad(bad.code(), "a delivery directive is given twice"),
                })?;
                post.counters.playlists.add(1);
                let rendition = stream.rendition(rendition).ok_or(Refusal::NotFound("no such rendition"))?;
                self.playlist(&stream, &rendition, directives, asked, post).await
            }
            Target::Plain { rendition, .. } => {
                post.counters.playlists.add(1);
                let rendition = stream.rendition(rendition).ok_or(Refusal::NotFound("no such rendition"))?;
                let shown = rendition.view.now();
                let plain = match shown.as_ref().and_then(|view| view.plain.clone()) {
                    Some(plain) => plain,
                    // Before the first segment is complete.
                    None => self
                        .hold(&rendition.view, post, LONGEST_HOLD, |view: &View| view.plain.is_some())
                        .await?
                        .and_then(|view| view.plain.clone())
                        .ok_or(Refusal::NotFound("the broadcast has ended"))?,
                };
                Ok(text(asked, &plain, &stream.lifetimes.plain))
            }
            Target::Media { rendition, name, .. } => {
                post.counters.media.add(1);
                let rendition = stream.rendition(rendition).ok_or(Refusal::NotFound("no such rendition"))?;
                self.media(&stream, &rendition, name, asked, post).await
            }
        }
    }

    async fn index(
        &self,
        stream: &Stream,
        name: &str,
        asked: &HeaderMap,
        post: &Post,
    ) -> Result<Response<Payload>, Refusal> {
        let now = stream.indexes.now();
        let documents = match now {
            Some(documents) => documents,
            // The stream is open and its first key frame is on its way.
            None => self
                .hold(&stream.indexes, post, LONGEST_HOLD, |_| true)
                .await?
                .ok_or(Refusal::NotFound("the broadcast has ended"))?,
        };
        let document = documents.get(name).ok_or(Refusal::NotFound("no such document"))?;
        Ok(text(asked, document, &stream.lifetimes.plain))
    }

    async fn playlist(
        &self,
        stream: &Stream,
        rendition: &Rendition,
        directives: Directives,
        asked: &HeaderMap,
        post: &Post,
    ) -> Result<Response<Payload>, Refusal> {
        let gone = Refusal::NotFound("the broadcast has ended");
        let mut view = rendition.view.now().ok_or(gone)?;
        let mut lifetime = stream.lifetimes.plain.clone();
        // "A server MUST ignore the directives when the playlist has EXT-X-ENDLIST."
        if let Some(msn) = directives.msn.filter(|_| !view.ended) {
            // Safari expects `_HLS_msn` alone to be answered with the first part of the segment.
            let wanted = Position { msn, part: directives.part.unwrap_or(0) };
            lifetime = if directives.part.is_some() { stream.lifetimes.blocking.clone() } else { ONE_SECOND };
            if view.newest < wanted {
                self.check_advance(stream, view.newest, wanted)?;
                post.counters.blocked.add(1);
                let hold = LONGEST_HOLD.min(Duration::from_secs(3 * u64::from(stream.grid.target_duration_s)));
                view = self
                    .hold(&rendition.view, post, hold, |view: &View| view.ended || view.newest >= wanted)
                    .await?
                    .ok_or(gone)?;
            }
        }
        let document = match &view.delta {
            Some(delta) if directives.skip => delta,
            _ => &view.live,
        };
        Ok(text(asked, document, &lifetime))
    }

    /// "If the client requests a Media Sequence Number greater than that of the last segment plus two, or a part beyond
    /// the Advance Part Limit, the server SHOULD return 400" (6.2.5.2).
    fn check_advance(&self, stream: &Stream, newest: Position, wanted: Position) -> Result<(), Refusal> {
        let from = if wanted.msn == newest.msn { newest.part } else { 0 };
        if wanted.msn > newest.msn + 2 {
            return Err(Refusal::Bad("hls_msn_ahead", "_HLS_msn is more than two segments ahead"));
        }
        if wanted.part > from.saturating_add(stream.grid.advance_part_limit()) {
            return Err(Refusal::Bad("hls_part_ahead", "_HLS_part is too far ahead"));
        }
        Ok(())
    }

    async fn media(
        &self,
        stream: &Stream,
        rendition: &Rendition,
        name: &str,
        asked: &HeaderMap,
        post: &Post,
    ) -> Result<Response<Payload>, Refusal> {
        let unknown = Refusal::NotFound("no such media: not yet, or no longer");
        let media = match rendition.media(name) {
            Some(media) => media,
            None => {
                let hinted = |view: &View| !view.ended && view.hint.as_deref() == Some(name);
                if !rendition.view.now().is_some_and(|view| hinted(&view)) {
                    // A part may have come between the two looks.
                    return rendition.media(name).map(|media| whole(media, asked)).ok_or(unknown)?;
                }
                post.counters.blocked.add(1);
                let hold = LONGEST_HOLD.min(Duration::from_secs(3 * u64::from(stream.grid.target_duration_s)));
                self.hold(&rendition.view, post, hold, |view: &View| !hinted(view)).await?;
                rendition.media(name).ok_or(unknown)?
            }
        };
        whole(media, asked)
    }
}

/// A media object, or the range of it that is asked for.
fn whole(media: crate::document::Media, asked: &HeaderMap) -> Result<Response<Payload>, Refusal> {
    if has_tag(asked, media.headers.get(ETAG)) {
        return Ok(not_modified(&media.headers, IMMUTABLE));
    }
    // A range of another version (If-Range) means: send all.
    let same = asked.get(IF_RANGE).is_none_or(|tag| Some(tag) == media.headers.get(ETAG));
    let wanted = asked.get(RANGE).filter(|_| same).and_then(|value| value.to_str().ok());
    match request::range(wanted, media.length) {
        Range::Whole => Ok(found(media.headers, IMMUTABLE, Payload::row(media.parts, media.length))),
        Range::Bytes { first, end } => {
            let slices = media.slice(first, end);
            let mut reply = found(media.headers, IMMUTABLE, Payload::row(slices.into(), end - first));
            *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
            let value = format!("bytes {first}-{}/{}", end - 1, media.length);
            reply.headers_mut().insert(CONTENT_RANGE, HeaderValue::try_from(value).expect("digits are a header value"));
            Ok(reply)
        }
        Range::Unsatisfiable => {
            let mut reply = Refusal::Bad("hls_bad_range", "nothing of the object lies in this range").reply();
            *reply.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            let value = format!("bytes */{}", media.length);
            reply.headers_mut().insert(CONTENT_RANGE, HeaderValue::try_from(value).expect("digits are a header value"));
            Ok(reply)
        }
    }
}
