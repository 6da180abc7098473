//! The few lines of SDP that a viewer needs: an offer of H.264 and Opus, and what it reads in the answer.
use std::net::SocketAddr;

/// Payload types of our offers.
pub(crate) const VIDEO_PT: u8 = 96;
const VIDEO_RTX_PT: u8 = 97;
pub(crate) const AUDIO_PT: u8 = 111;

/// What the answer says of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    pub ufrag: String,
    pub password: String,
    /// SHA-256 of the certificate.
    pub fingerprint: Vec<u8>,
    pub candidates: Vec<SocketAddr>,
}

impl Remote {
    /// Reads an SDP answer; `None` when something is missing.
    pub fn parse(answer: &str) -> Option<Remote> {
        let value = |name: &str| answer.lines().find_map(|line| line.trim_end().strip_prefix(name));
        let fingerprint = value("a=fingerprint:sha-256 ")?
            .split(':')
            .map(|byte| u8::from_str_radix(byte.trim(), 16).ok())
            .collect::<Option<Vec<u8>>>()?;
        let candidates: Vec<SocketAddr> = answer.lines().filter_map(candidate).collect();
        if candidates.is_empty() {
            return None;
        }
        Some(Remote {
            ufrag: value("a=ice-ufrag:")?.to_owned(),
            password: value("a=ice-pwd:")?.to_owned(),
            fingerprint,
            candidates,
        })
    }
}

/// `a=candidate:<foundation> 1 udp <priority> <address> <port> typ host ...`
fn candidate(line: &str) -> Option<SocketAddr> {
    let mut words = line.trim_end().strip_prefix("a=candidate:")?.split(' ').skip(1);
    let (_component, protocol, _priority) = (words.next()?, words.next()?, words.next()?);
    let (address, port) = (words.next()?, words.next()?);
    protocol.eq_ignore_ascii_case("udp").then_some(())?;
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

/// A PATCH body (RFC 8840) that restarts ICE.
pub(crate) fn fragment(ufrag: &str, password: &str) -> String {
    format!(
        "a=ice-options:trickle\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF {AUDIO_PT}\r\na=mid:0\r\n\
         a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n"
    )
}

/// A WHEP offer: one audio and one video m-line, receive only.
pub(crate) fn offer(session: u64, ufrag: &str, password: &str, fingerprint: &str) -> String {
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=recvonly\r\n"
    );
    format!(
        "v=0\r\no=- {session} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {AUDIO_PT}\r\n{transport}a=mid:0\r\na=rtpmap:{AUDIO_PT} opus/48000/2\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF {VIDEO_PT} {VIDEO_RTX_PT}\r\n{transport}a=mid:1\r\n\
         a=rtpmap:{VIDEO_PT} H264/90000\r\na=rtcp-fb:{VIDEO_PT} nack\r\na=rtcp-fb:{VIDEO_PT} nack pli\r\n\
         a=fmtp:{VIDEO_PT} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
         a=rtpmap:{VIDEO_RTX_PT} rtx/90000\r\na=fmtp:{VIDEO_RTX_PT} apt={VIDEO_PT}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_credentials_fingerprint_and_udp_candidates() {
        let answer = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\na=fingerprint:sha-256 0A:FF\r\n\
                      a=candidate:1 1 udp 2130706431 127.0.0.1 7900 typ host\r\n\
                      a=candidate:2 1 tcp 1 127.0.0.1 7900 typ host tcptype passive\r\n";
        let remote = Remote::parse(answer).unwrap();
        assert_eq!(remote.fingerprint, [0x0A, 0xFF]);
        assert_eq!(remote.candidates, ["127.0.0.1:7900".parse().unwrap()]);
        assert_eq!((remote.ufrag.as_str(), remote.password.as_str()), ("abcd", "secret"));
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(Remote::parse("v=0\r\na=ice-ufrag:abcd\r\n"), None);
        assert_eq!(Remote::parse("\0\u{ff}garbage"), None);
    }
}
