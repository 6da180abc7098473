//! Bytes that are ready to be sent: made once when the packager puts them, then only cloned (a count, no copy).

use std::hash::{DefaultHasher, Hasher};
use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
    VARY,
};
use http::{HeaderMap, HeaderValue};

/// `Age` and `Date` let a player behind a CDN estimate how old its playlist is (tune-in).
pub(crate) const EXPOSED: HeaderValue = HeaderValue::from_static("Age, Date, Content-Length, ETag, Retry-After");
pub(crate) const ANY: HeaderValue = HeaderValue::from_static("*");

fn entity_tag(parts: &[Bytes], encoding: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write(part);
    }
    HeaderValue::try_from(format!("\"{:016x}{encoding}\"", hasher.finish())).expect("hex in quotes is a header value")
}

fn headers(content_type: &'static str, tag: HeaderValue) -> HeaderMap {
    // Room for these and the four or five that are added for each reply.
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(ETAG, tag);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers
}

/// The content type by the ending of a name.
pub(crate) fn content_type(name: &str, rendition: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "m3u8" => "application/vnd.apple.mpegurl",
        "m4s" | "mp4" if rendition.starts_with('a') => "audio/mp4",
        "m4s" | "mp4" => "video/mp4",
        "vtt" => "text/vtt; charset=utf-8",
        "jpg" => "image/jpeg",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

/// One encoding of a text document with its headers.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A playlist or another text, as it is and as gzip ("playlists MUST be gzipped" where accepted, authoring A10.1).
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) identity: Encoded,
    pub(crate) gzip: Encoded,
}

impl Document {
    pub(crate) fn new(name: &str, body: Bytes) -> Self {
        let kind = content_type(name, "");
        // Level 1: a media playlist shrinks to a seventh; higher levels take three times as long for 5 % less.
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), Compression::new(1));
        encoder.write_all(&body).expect("a Vec takes every write");
        let packed = Bytes::from(encoder.finish().expect("a Vec takes every write"));
        let encoded = |body: Bytes, suffix: &str| {
            let mut headers = headers(kind, entity_tag(std::slice::from_ref(&body), suffix));
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            Encoded { headers, body }
        };
        let identity = encoded(body, "");
        let mut gzip = encoded(packed, "-gz");
        gzip.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        Self { identity, gzip }
    }

    pub(crate) fn encoded(&self, gzip: bool) -> &Encoded {
        if gzip { &self.gzip } else { &self.identity }
    }
}

/// An init section, a part, or a segment that is the row of its parts (shared with them, not copied).
#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) headers: HeaderMap,
    pub(crate) parts: std::sync::Arc<[Bytes]>,
    pub(crate) length: u64,
}

impl Media {
    pub(crate) fn new(name: &str, rendition: &str, parts: Vec<Bytes>) -> Self {
        let mut headers = headers(content_type(name, rendition), entity_tag(&parts, ""));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let length = parts.iter().map(|part| part.len() as u64).sum();
        Self { headers, parts: parts.into(), length }
    }

    /// The bytes `first..end` as a row of slices.
    pub(crate) fn slice(&self, first: u64, end: u64) -> Vec<Bytes> {
        let mut at = 0;
        let mut slices = Vec::new();
        for part in self.parts.iter() {
            let length = part.len() as u64;
            let (from, to) = (first.clamp(at, at + length), end.clamp(at, at + length));
            if from < to {
                // Both lie inside this part, whose length is a usize.
                slices.push(part.slice((from - at) as usize..(to - at) as usize));
            }
            at += length;
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(slices: &[Bytes]) -> Vec<u8> {
        slices.concat()
    }

    #[test]
    fn a_row_of_parts_is_sliced_like_one_run_of_bytes() {
        let whole: Vec<u8> = (0..100).collect();
        let parts = vec![Bytes::copy_from_slice(&whole[..10]), Bytes::new(), Bytes::copy_from_slice(&whole[10..])];
        let media = Media::new("1.m4s", "v0", parts);
        assert_eq!(media.length, 100);
        for first in 0..100 {
            for end in first..=100 {
                assert_eq!(joined(&media.slice(first, end)), whole[first as usize..end as usize]);
            }
        }
    }

    #[test]
    fn the_same_bytes_have_the_same_tag_however_they_are_cut() {
        let tag = |parts: Vec<Bytes>| Media::new("1.m4s", "v0", parts).headers[ETAG].clone();
        let whole = tag(vec![Bytes::from_static(b"abcdef")]);
        assert_ne!(whole, tag(vec![Bytes::from_static(b"abcdeg")]));
        assert_eq!(tag(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")]), whole);
    }

    #[test]
    fn content_types_follow_names_and_renditions() {
        assert_eq!(content_type("7.0.m4s", "v0"), "video/mp4");
        assert_eq!(content_type("init-ab.mp4", "a128"), "audio/mp4");
        assert_eq!(content_type("index.m3u8", "v0"), "application/vnd.apple.mpegurl");
        assert_eq!(content_type("name", "v0"), "application/octet-stream");
    }
}
