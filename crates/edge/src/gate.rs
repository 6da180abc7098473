//! Who may see a private broadcast: whoever has a path token for it, `/hls/t/{token}/{broadcast}/...`, which relative URIs inherit.
//!
//! A token is `{expires}.{tag}`: seconds since the Unix epoch, and the first half of HMAC-SHA256 over `{broadcast}.{expires}` in hex
//! (RFC 2104 section 5 allows half). It is checked here without asking anybody. A cache that has checked it asks by the path
//! `/hls/t/-/...` with the token in a header, so that its key and its log have none.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::{constant_time, hmac};
use http::HeaderMap;

/// In the place of a token: it is in the header [`HEADER`].
const ELSEWHERE: &str = "-";
pub(crate) const HEADER: &str = "x-avacast-token";
const TAG_BYTES: usize = 16;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Missing,
    Expired,
    Wrong,
}

pub(crate) struct Gate {
    key: Option<hmac::Key>,
    private: ArcSwap<HashSet<Box<str>>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gate").field("private", &self.private).finish_non_exhaustive()
    }
}

impl Gate {
    /// Without a key no token is valid, so private broadcasts are shut.
    pub(crate) fn new(key: Option<&[u8]>) -> Self {
        Self { key: key.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)), private: ArcSwap::default() }
    }

    /// Says whether a broadcast is private, from the next request on.
    pub(crate) fn guard(&self, stream: &str, private: bool) {
        self.private.rcu(|now| {
            let mut next = HashSet::clone(now);
            if private {
                next.insert(stream.into());
            } else {
                next.remove(stream);
            }
            next
        });
    }

    /// Lets a request for `stream` in when it is public, or when its token is good.
    pub(crate) fn admit(&self, stream: &str, token: Option<&str>, headers: &HeaderMap) -> Result<(), Denied> {
        if !self.private.load().contains(stream) {
            return Ok(());
        }
        self.check(stream, token, headers).map(|_| ())
    }

    /// The seconds for which a token is still good.
    pub(crate) fn check(&self, stream: &str, token: Option<&str>, headers: &HeaderMap) -> Result<u64, Denied> {
        let shown = match token {
            Some(ELSEWHERE) => headers.get(HEADER).and_then(|value| value.to_str().ok()),
            token => token,
        };
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.good_for(stream, shown.ok_or(Denied::Missing)?, now_s)
    }

    fn good_for(&self, stream: &str, token: &str, now_s: u64) -> Result<u64, Denied> {
        let key = self.key.as_ref().ok_or(Denied::Wrong)?;
        let (expires, tag) = token.split_once('.').ok_or(Denied::Wrong)?;
        // `parse` takes a leading '+'; one time has one spelling.
        if expires.len() > 11 || !expires.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Denied::Wrong);
        }
        let until_s: u64 = expires.parse().map_err(|_| Denied::Wrong)?;
        let made = hmac::sign(key, format!("{stream}.{expires}").as_bytes());
        let hex: String = made.as_ref().iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
        constant_time::verify_slices_are_equal(hex.as_bytes(), tag.as_bytes()).map_err(|_| Denied::Wrong)?;
        until_s.checked_sub(now_s).filter(|left_s| *left_s > 0).ok_or(Denied::Expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    /// Made by Python's hmac: `hmac.new(KEY, b"show.2000", "sha256").hexdigest()[:32]`.
    const SHOW: &str = "2000.5ca9e714a607954fefcbc64923419205";

    #[test]
    fn a_token_is_good_for_its_broadcast_until_it_expires() {
        let gate = Gate::new(Some(KEY));
        assert_eq!(gate.good_for("show", SHOW, 1000), Ok(1000));
        assert_eq!(gate.good_for("show", SHOW, 1999), Ok(1));
        assert_eq!(gate.good_for("show", SHOW, 2000), Err(Denied::Expired));
        assert_eq!(gate.good_for("shop", SHOW, 1000), Err(Denied::Wrong));
        assert_eq!(Gate::new(Some(b"another key")).good_for("show", SHOW, 1000), Err(Denied::Wrong));
        assert_eq!(Gate::new(None).good_for("show", SHOW, 1000), Err(Denied::Wrong));
    }

    #[test]
    fn only_private_broadcasts_ask_for_one() {
        let (gate, none) = (Gate::new(Some(KEY)), HeaderMap::new());
        assert_eq!(gate.admit("show", None, &none), Ok(()));
        gate.guard("show", true);
        assert_eq!(gate.admit("show", None, &none), Err(Denied::Missing));
        assert_eq!(gate.admit("show", Some(ELSEWHERE), &none), Err(Denied::Missing));
        assert_eq!(gate.admit("show", Some(SHOW), &none), Err(Denied::Expired));
        assert_eq!(gate.admit("other", None, &none), Ok(()));
        let header = HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), SHOW.parse().expect("ASCII"))]);
        assert_eq!(gate.admit("show", Some(ELSEWHERE), &header), Err(Denied::Expired));
        assert_eq!(gate.admit("show", None, &header), Err(Denied::Missing));
        gate.guard("show", false);
        assert_eq!(gate.admit("show", None, &none), Ok(()));
    }

    proptest! {
        #[test]
        fn nothing_but_the_token_itself_opens(token in "[0-9]{1,12}\\.[0-9a-f]{0,40}|\\PC{0,80}") {
            prop_assume!(token != SHOW);
            prop_assert_eq!(Gate::new(Some(KEY)).good_for("show", &token, 1000), Err(Denied::Wrong));
        }
    }
}
