//! SDP as WHIP and WHEP use it: session descriptions (RFC 8866) and trickle fragments (RFC 8840), read leniently within bounds.
use std::fmt;

/// Longest text that is read.
pub const MOST_BYTES: usize = 128 * 1024;
const MOST_MEDIA: usize = 64;
const MOST_LINES: usize = 8192;

/// Why a text is no usable description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdpError {
    /// Longer than [`MOST_BYTES`], or more lines or media sections than anyone needs.
    TooLong,
    /// The line is not `x=value`, or its value has not the form it must have.
    Line {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no `m=` line.
    NoMedia,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SdpError::TooLong => f.write_str("more text than a description may have"),
            SdpError::Line { number, problem } => write!(f, "line {number}: {problem}"),
            SdpError::NoMedia => f.write_str("no m= line"),
        }
    }
}

impl std::error::Error for SdpError {}

/// An attribute: name and value; the value is empty for flags.
pub type Attribute = (String, String);

/// A description or a fragment of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// Session level.
    pub attributes: Vec<Attribute>,
    /// Media sections, in order.
    pub media: Vec<Media>,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Media {
    /// `video`, `audio`, `application`.
    pub kind: String,
    /// 0: rejected or not used.
    pub port: u16,
    /// As on the m-line: `UDP/TLS/RTP/SAVPF`, `UDP/DTLS/SCTP`, ...
    pub protocol: String,
    /// The rest of the m-line: payload types, or `webrtc-datachannel`.
    pub formats: Vec<String>,
    /// Those of the section, in order.
    pub attributes: Vec<Attribute>,
}

/// Which way media flows, seen from who wrote the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// From the writer only.
    SendOnly,
    /// To the writer only.
    RecvOnly,
    /// Neither way for now.
    Inactive,
}

/// A payload type that a media section offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// As packets carry it, 0..127.
    pub payload_type: u8,
    /// As written: `H264`, `opus`, ... compare without case.
    pub name: String,
    /// Ticks of media time a second.
    pub clock_rate: u32,
    /// Channels of sound, where the rtpmap says so.
    pub channels: Option<u8>,
    /// Value of its `a=fmtp`.
    pub parameters: String,
    /// Values of its `a=rtcp-fb`: `nack`, `nack pli`, `goog-remb`, ...
    pub feedback: Vec<String>,
    /// Payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
}

impl Codec {
    /// One parameter of its `a=fmtp`, names without case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }

    /// Whether it offers a kind of feedback.
    pub fn has_feedback(&self, kind: &str) -> bool {
        self.feedback.iter().any(|offered| offered == kind)
    }
}

/// One parameter of an `a=fmtp` value.
pub fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// ICE credentials of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// Name of one side of a session.
    pub ufrag: String,
    /// Key for the checks (message integrity); a secret.
    pub password: String,
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl Description {
    /// Reads a session description: at least one media section.
    pub fn parse(text: &str) -> Result<Description, SdpError> {
        let description = Description::parse_fragment(text)?;
        if description.media.is_empty() { Err(SdpError::NoMedia) } else { Ok(description) }
    }

    /// Reads a trickle fragment, which may be attributes only.
    pub fn parse_fragment(text: &str) -> Result<Description, SdpError> {
        if text.len() > MOST_BYTES {
            return Err(SdpError::TooLong);
        }
        let mut description = Description::default();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim_end_matches(['\r', ' ']);
            if line.is_empty() {
                continue;
            }
            if index >= MOST_LINES {
                return Err(SdpError::TooLong);
            }
            let (letter, value) =
                line.split_once('=').ok_or(SdpError::Line { number, problem: "not of the form x=value" })?;
            match letter {
                "m" => {
                    if description.media.len() == MOST_MEDIA {
                        return Err(SdpError::TooLong);
                    }
                    description.media.push(media(value, number)?);
                }
                "a" => {
                    let (name, value) = value.split_once(':').unwrap_or((value, ""));
                    let target =
                        description.media.last_mut().map_or(&mut description.attributes, |m| &mut m.attributes);
                    target.push((name.to_string(), value.to_string()));
                }
                letter if letter.len() == 1 => {}
                _ => return Err(SdpError::Line { number, problem: "not of the form x=value" }),
            }
        }
        Ok(description)
    }

    /// An attribute of a media section, or of the session when the section has none.
    pub fn attribute<'a>(&'a self, media: &'a Media, name: &str) -> Option<&'a str> {
        media.attribute(name).or_else(|| find(&self.attributes, name))
    }

    /// The first attribute of that name anywhere: with BUNDLE all sections share one transport.
    pub fn any_attribute(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name).or_else(|| self.media.iter().find_map(|media| media.attribute(name)))
    }

    /// ICE credentials of the (bundled) transport.
    pub fn ice_credentials(&self) -> Option<IceCredentials> {
        Some(IceCredentials {
            ufrag: self.any_attribute("ice-ufrag")?.to_string(),
            password: self.any_attribute("ice-pwd")?.to_string(),
        })
    }

    /// All fingerprints: hash name in lower case, and the bytes.
    pub fn fingerprints(&self) -> Vec<(String, Vec<u8>)> {
        let media = self.media.iter().flat_map(|media| &media.attributes);
        let values = self.attributes.iter().chain(media).filter(|(name, _)| name == "fingerprint");
        let mut fingerprints = Vec::new();
        for (_, value) in values {
            let Some((hash, digits)) = value.trim().split_once(' ') else { continue };
            let bytes: Option<Vec<u8>> =
                digits.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
            let fingerprint = bytes.map(|bytes| (hash.to_ascii_lowercase(), bytes));
            fingerprints.extend(fingerprint.filter(|fingerprint| !fingerprints.contains(fingerprint)));
        }
        fingerprints
    }

    /// Values of all `a=candidate` lines, without doubles.
    pub fn candidates(&self) -> Vec<&str> {
        let media = self.media.iter().flat_map(|media| &media.attributes);
        let mut candidates: Vec<&str> = Vec::new();
        for (_, value) in self.attributes.iter().chain(media).filter(|(name, _)| name == "candidate") {
            if !candidates.contains(&value.as_str()) {
                candidates.push(value);
            }
        }
        candidates
    }

    /// Identification tags of the first BUNDLE group.
    pub fn bundle(&self) -> Vec<&str> {
        let groups = self.attributes.iter().filter(|(name, _)| name == "group");
        let bundle = groups.filter_map(|(_, value)| value.strip_prefix("BUNDLE")).next();
        bundle.map(|tags| tags.split_ascii_whitespace().collect()).unwrap_or_default()
    }
}

fn media(value: &str, number: usize) -> Result<Media, SdpError> {
    let problem = "m= line is not `kind port protocol format...`";
    let mut words = value.split_ascii_whitespace();
    let mut word = || words.next().ok_or(SdpError::Line { number, problem });
    let (kind, port, protocol) = (word()?, word()?, word()?);
    let port = port.split('/').next().unwrap_or(port);
    Ok(Media {
        kind: kind.to_string(),
        port: port.parse().map_err(|_| SdpError::Line { number, problem: "port is not a number" })?,
        protocol: protocol.to_string(),
        formats: words.map(str::to_string).collect(),
        attributes: Vec::new(),
    })
}

impl Media {
    /// Value of the first attribute of this name in the section; empty for a flag.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// Values of all attributes of that name.
    pub fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Identification tag.
    pub fn mid(&self) -> Option<&str> {
        self.attribute("mid")
    }

    /// `sendrecv` unless said otherwise (RFC 8866 6.7).
    pub fn direction(&self) -> Direction {
        let named = self.attributes.iter().rev().find_map(|(name, _)| match name.as_str() {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        });
        named.unwrap_or(Direction::SendRecv)
    }

    /// Payload types with an `a=rtpmap`, in the order of the m= line, each with its retransmission type; `rtx` itself is left out.
    pub fn codecs(&self) -> Vec<Codec> {
        let explained = Explained::of(self);
        let mut codecs: Vec<Codec> = Vec::new();
        let mut repairs: Vec<(u8, u8)> = Vec::new();
        for payload_type in self.formats.iter().filter_map(|format| payload_type(format)) {
            let Some((name, clock_rate, channels)) = explained.map(payload_type) else { continue };
            let parameters = explained.parameters[usize::from(payload_type)].unwrap_or_default();
            if name.eq_ignore_ascii_case("rtx") {
                let apt = parameter(parameters, "apt").and_then(|apt| apt.parse().ok());
                repairs.extend(apt.map(|apt| (apt, payload_type)));
            } else {
                codecs.push(Codec {
                    payload_type,
                    name: name.to_string(),
                    clock_rate,
                    channels,
                    parameters: parameters.trim().to_string(),
                    feedback: explained.feedback(payload_type).map(str::to_string).collect(),
                    rtx: None,
                });
            }
        }
        for codec in &mut codecs {
            codec.rtx = repairs.iter().find(|(apt, _)| *apt == codec.payload_type).map(|(_, rtx)| *rtx);
        }
        codecs
    }

    /// Header extension of that URI: its id, if it can be written in one-byte form and we may send it.
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.attributes("extmap").find_map(|value| {
            let mut words = value.split_ascii_whitespace();
            let id = words.next()?.split('/').next()?.parse().ok()?;
            (words.next()? == uri && (1..15).contains(&id)).then_some(id)
        })
    }
}

/// What the attributes of a section say of each payload type, taken out in one look: a browser's offer has 40 types and 200
/// attributes.
struct Explained<'a> {
    maps: [Option<&'a str>; PAYLOAD_TYPES],
    parameters: [Option<&'a str>; PAYLOAD_TYPES],
    /// Of a payload type, or of all.
    feedback: Vec<(Option<u8>, &'a str)>,
}

const PAYLOAD_TYPES: usize = 128;

fn payload_type(format: &str) -> Option<u8> {
    format.parse().ok().filter(|number| usize::from(*number) < PAYLOAD_TYPES)
}

impl<'a> Explained<'a> {
    fn of(media: &'a Media) -> Explained<'a> {
        let (maps, parameters) = ([None; PAYLOAD_TYPES], [None; PAYLOAD_TYPES]);
        let mut explained = Explained { maps, parameters, feedback: Vec::new() };
        for (name, value) in &media.attributes {
            let table = match name.as_str() {
                "rtpmap" => &mut explained.maps,
                "fmtp" => &mut explained.parameters,
                "rtcp-fb" => {
                    let Some((format, kind)) = value.split_once(' ') else { continue };
                    match payload_type(format) {
                        None if format != "*" => {}
                        number => explained.feedback.push((number, kind.trim())),
                    }
                    continue;
                }
                _ => continue,
            };
            if let Some((format, rest)) = value.split_once(' ')
                && let Some(number) = payload_type(format)
            {
                table[usize::from(number)].get_or_insert(rest); // the first one counts
            }
        }
        explained
    }

    /// Name, clock rate and channels.
    fn map(&self, payload_type: u8) -> Option<(&'a str, u32, Option<u8>)> {
        let mut map = self.maps[usize::from(payload_type)]?.trim().split('/');
        Some((map.next()?, map.next()?.parse().ok()?, map.next().and_then(|channels| channels.parse().ok())))
    }

    fn feedback(&self, payload_type: u8) -> impl Iterator<Item = &'a str> {
        let of = move |number: Option<u8>| number.is_none_or(|number| number == payload_type);
        self.feedback.iter().filter(move |(number, _)| of(*number)).map(|(_, kind)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = include_str!("../tests/data/chromium_whep.sdp");
    const AIORTC: &str = include_str!("../tests/data/aiortc_whep.sdp");
    const SIMULCAST: &str = include_str!("../tests/data/chromium_whip_simulcast.sdp");

    #[test]
    fn chromium_offer_is_understood() {
        let offer = Description::parse(CHROMIUM).unwrap();
        assert_eq!(offer.bundle(), vec!["0", "1"]);
        assert_eq!(offer.fingerprints().len(), 1);
        assert_eq!(offer.ice_credentials().unwrap().ufrag.len(), 4);
        let (video, audio) = (&offer.media[0], &offer.media[1]);
        assert_eq!((video.kind.as_str(), video.direction()), ("video", Direction::RecvOnly));
        let codecs = video.codecs();
        let baseline = codecs.iter().find(|codec| codec.payload_type == 108).unwrap();
        assert_eq!(baseline.parameter("profile-level-id"), Some("42e01f"));
        assert_eq!(baseline.rtx, Some(109));
        assert!(baseline.has_feedback("nack pli") && baseline.has_feedback("goog-remb"));
        assert_eq!(video.extension("http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"), Some(2));
        let opus = audio.codecs().remove(0);
        assert_eq!((opus.name.as_str(), opus.clock_rate, opus.channels), ("opus", 48_000, Some(2)));
    }

    #[test]
    fn aiortc_offer_is_understood() {
        let offer = Description::parse(AIORTC).unwrap();
        assert!(offer.fingerprints().iter().any(|(hash, bytes)| hash == "sha-256" && bytes.len() == 32));
        assert!(offer.candidates().len() >= 2);
        assert!(offer.media[0].codecs().iter().any(|codec| codec.name == "H264" && codec.rtx.is_some()));
    }

    #[test]
    fn simulcast_names_its_layers() {
        let offer = Description::parse(SIMULCAST).unwrap();
        assert_eq!(offer.media[1].attribute("simulcast"), Some("send h;m;l"));
        assert_eq!(offer.media[1].attributes("rid").count(), 3);
    }

    #[test]
    fn broken_lines_are_named() {
        assert_eq!(
            Description::parse("v=0\r\nhello\r\n"),
            Err(SdpError::Line { number: 2, problem: "not of the form x=value" })
        );
        assert_eq!(Description::parse("v=0\r\n"), Err(SdpError::NoMedia));
        assert!(matches!(Description::parse("m=video x UDP 1"), Err(SdpError::Line { number: 1, .. })));
        assert_eq!(Description::parse(&"m=audio 9 RTP 0\n".repeat(100)), Err(SdpError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(a=|m=|v=|x)?[ -~]{0,60}(\r\n|\n)(a=rtpmap:[0-9 ]{0,9}[a-z/0-9]{0,9}\n)?") {
            if let Ok(description) = Description::parse_fragment(&text) {
                let _ = (description.candidates(), description.fingerprints(), description.bundle());
                for media in &description.media {
                    let _ = (media.codecs(), media.direction(), media.extension("x"));
                }
            }
        }

        #[test]
        fn damaged_offers_do_no_harm(at in 0..CHROMIUM.len(), byte in 0u8..128) {
            let mut bytes = CHROMIUM.as_bytes().to_vec();
            bytes[at] = byte;
            if let Ok(description) = Description::parse(&String::from_utf8_lossy(&bytes)) {
                description.media.iter().for_each(|media| { let _ = media.codecs(); });
            }
        }
    }
}
