//! What a request asks for: a pure reading of path and query, without a look at what there is.

use thiserror::Error;

/// The object that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/hls/{stream}/{name}`: a document of the whole stream, such as the multivariant playlist.
    Index { stream: &'a str, name: &'a str },
    /// `/hls/{stream}/{rendition}/index.m3u8`: the low-latency media playlist.
    Live { stream: &'a str, rendition: &'a str },
    /// `/hls/{stream}/{rendition}/plain.m3u8`: the media playlist without parts.
    Plain { stream: &'a str, rendition: &'a str },
    /// `/hls/{stream}/{rendition}/{name}`: an init section, a part, a segment.
    Media { stream: &'a str, rendition: &'a str, name: &'a str },
}

/// Delivery directives of a media playlist request (RFC 8216bis section 6.2.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    pub msn: Option<u64>,
    pub part: Option<u32>,
    /// A delta update is wanted (`_HLS_skip=YES` or `v2`).
    pub skip: bool,
}

/// Why a query is answered 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadQuery {
    #[error("_HLS_msn is not a decimal number")]
    Msn,
    #[error("_HLS_part is not a decimal number")]
    Part,
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutMsn,
    #[error("_HLS_skip is neither YES nor v2")]
    Skip,
    #[error("a delivery directive is given twice")]
    Twice,
}

impl BadQuery {
    /// A stable code for the problem document.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Msn => "hls_bad_msn",
            Self::Part => "hls_bad_part",
            Self::PartWithoutMsn => "hls_part_without_msn",
            Self::Skip => "hls_bad_skip",
            Self::Twice => "hls_directive_twice",
        }
    }
}

/// Names are what the packager makes: letters, digits, `-`, `_` and single inner dots. All else, percent signs and
/// `..` among it, names nothing here.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with('.')
        && !name.contains("..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The token in a path and its target. `/hls/t/{token}/` stands before two or three names, so a stream may be called `t` all the same.
#[must_use]
pub fn asked(path: &str) -> Option<(Option<&str>, Target<'_>)> {
    let names = path.strip_prefix("/hls/")?;
    if let Some((token, rest)) = names.strip_prefix("t/").and_then(|names| names.split_once('/'))
        && rest.contains('/')
    {
        return is_name(token).then(|| target_of(rest)).flatten().map(|target| (Some(token), target));
    }
    target_of(names).map(|target| (None, target))
}

/// The target of a path below `/hls/`, or `None` when no object can have that path.
#[must_use]
pub fn target(path: &str) -> Option<Target<'_>> {
    asked(path).map(|(_, target)| target)
}

fn target_of(names: &str) -> Option<Target<'_>> {
    let mut names = names.split('/');
    let (stream, second, third) = (names.next()?, names.next()?, names.next());
    if names.next().is_some() || !is_name(stream) || !is_name(second) {
        return None;
    }
    match third {
        None => Some(Target::Index { stream, name: second }),
        Some("index.m3u8") => Some(Target::Live { stream, rendition: second }),
        Some("plain.m3u8") => Some(Target::Plain { stream, rendition: second }),
        Some(name) if is_name(name) => Some(Target::Media { stream, rendition: second, name }),
        Some(_) => None,
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    // `parse` takes a leading '+', which no playlist writes.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), BadQuery> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadQuery::Twice),
    }
}

/// The delivery directives of a query; other parameters are ignored (they are not in a cache's key).
///
/// # Errors
/// [`BadQuery`] when a directive cannot be read, or `_HLS_part` stands alone: "the Server MUST return 400" (6.2.5.2).
pub fn directives(query: &str) -> Result<Directives, BadQuery> {
    let (mut msn, mut part, mut skip) = (None, None, None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "_HLS_msn" => once(&mut msn, number(value).ok_or(BadQuery::Msn)?)?,
            "_HLS_part" => once(&mut part, number(value).ok_or(BadQuery::Part)?)?,
            "_HLS_skip" if matches!(value, "YES" | "v2") => once(&mut skip, ())?,
            "_HLS_skip" => return Err(BadQuery::Skip),
            _ => {}
        }
    }
    if part.is_some() && msn.is_none() {
        return Err(BadQuery::PartWithoutMsn);
    }
    Ok(Directives { msn, part, skip: skip.is_some() })
}

/// The byte range of a `Range` header over an object of `length` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// No range, or one that we may ignore (several ranges, another unit): the whole object.
    Whole,
    /// `first..end`, in bytes.
    Bytes { first: u64, end: u64 },
    /// Nothing of the object lies in the range: 416.
    Unsatisfiable,
}

/// Reads `Range: bytes=a-b`, `a-` or `-n`.
#[must_use]
pub fn range(header: Option<&str>, length: u64) -> Range {
    let Some((first, last)) = header.and_then(|h| h.strip_prefix("bytes=")).and_then(|h| h.split_once('-')) else {
        return Range::Whole;
    };
    let (first, end) = match (first.is_empty(), number::<u64>(first), last.is_empty(), number::<u64>(last)) {
        (true, _, false, Some(suffix)) => (length.saturating_sub(suffix), length),
        (false, Some(first), true, _) => (first, length),
        (false, Some(first), false, Some(last)) if last >= first => (first, last.saturating_add(1).min(length)),
        _ => return Range::Whole,
    };
    if first >= end { Range::Unsatisfiable } else { Range::Bytes { first, end } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_name_objects() {
        assert_eq!(target("/hls/demo/index.m3u8"), Some(Target::Index { stream: "demo", name: "index.m3u8" }));
        assert_eq!(target("/hls/demo/v0/index.m3u8"), Some(Target::Live { stream: "demo", rendition: "v0" }));
        assert_eq!(target("/hls/demo/v0/plain.m3u8"), Some(Target::Plain { stream: "demo", rendition: "v0" }));
        assert_eq!(
            target("/hls/demo/v0/7.0.m4s"),
            Some(Target::Media { stream: "demo", rendition: "v0", name: "7.0.m4s" })
        );
    }

    #[test]
    fn paths_that_climb_name_nothing() {
        for path in [
            "/",
            "/hls",
            "/hls/",
            "/hls/demo",
            "/hls//index.m3u8",
            "/hls/../etc/passwd",
            "/hls/demo/../x",
            "/hls/demo/%2e%2e/x",
            "/hls/demo/v0/..",
            "/hls/demo/v0/.m4s",
            "/hls/demo/v0/a/b",
            "/hls/d mo/index.m3u8",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }

    #[test]
    fn a_token_stands_before_the_names_and_a_stream_may_be_called_t() {
        let live = |stream| Target::Live { stream, rendition: "v0" };
        assert_eq!(asked("/hls/t/9.ab/demo/v0/index.m3u8"), Some((Some("9.ab"), live("demo"))));
        let index = Target::Index { stream: "demo", name: "index.m3u8" };
        assert_eq!(asked("/hls/t/-/demo/index.m3u8"), Some((Some("-"), index)));
        assert_eq!(asked("/hls/t/v0/index.m3u8"), Some((None, live("t"))));
        assert_eq!(asked("/hls/t/9.ab/t/v0/index.m3u8"), Some((Some("9.ab"), live("t"))));
        for path in ["/hls/t//demo/index.m3u8", "/hls/t/a%20/demo/x", "/hls/t/../demo/x", "/hls/t/a/b/c/d/e"] {
            assert_eq!(asked(path), None, "{path}");
        }
    }

    #[test]
    fn directives_are_read_whatever_else_is_in_the_query() {
        assert_eq!(directives(""), Ok(Directives::default()));
        assert_eq!(
            directives("token=1&_HLS_msn=12&_HLS_part=3&_HLS_skip=YES&x"),
            Ok(Directives { msn: Some(12), part: Some(3), skip: true })
        );
    }

    #[test]
    fn bad_directives_are_named() {
        assert_eq!(directives("_HLS_part=1"), Err(BadQuery::PartWithoutMsn));
        assert_eq!(directives("_HLS_msn="), Err(BadQuery::Msn));
        assert_eq!(directives("_HLS_msn=+1"), Err(BadQuery::Msn));
        assert_eq!(directives("_HLS_msn=99999999999999999999999"), Err(BadQuery::Msn));
        assert_eq!(directives("_HLS_msn=1&_HLS_part=-1"), Err(BadQuery::Part));
        assert_eq!(directives("_HLS_skip=maybe"), Err(BadQuery::Skip));
        assert_eq!(directives("_HLS_msn=1&_HLS_msn=2"), Err(BadQuery::Twice));
    }

    #[test]
    fn ranges_stay_inside_the_object() {
        assert_eq!(range(None, 10), Range::Whole);
        assert_eq!(range(Some("bytes=2-4"), 10), Range::Bytes { first: 2, end: 5 });
        assert_eq!(range(Some("bytes=2-"), 10), Range::Bytes { first: 2, end: 10 });
        assert_eq!(range(Some("bytes=-4"), 10), Range::Bytes { first: 6, end: 10 });
        assert_eq!(range(Some("bytes=8-99"), 10), Range::Bytes { first: 8, end: 10 });
        assert_eq!(range(Some("bytes=10-"), 10), Range::Unsatisfiable);
        assert_eq!(range(Some("bytes=-0"), 10), Range::Unsatisfiable);
        assert_eq!(range(Some("bytes=1-2,4-5"), 10), Range::Whole);
        assert_eq!(range(Some("lines=1-2"), 10), Range::Whole);
    }

    proptest! {
        #[test]
        fn no_input_panics(path in "\\PC{0,80}", query in "\\PC{0,80}", length in any::<u64>()) {
            let _ = (target(&path), target(&format!("/hls/{path}")), directives(&query), range(Some(&query), length));
            if let Range::Bytes { first, end } = range(Some(&format!("bytes={query}")), length) {
                prop_assert!(first < end && end <= length);
            }
        }
    }
}
