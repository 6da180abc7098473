//! An offer of our own, for a viewer whose own cannot be taken, or who has none: what the answer to an ideal viewer would be.
use wire::sdp::{Attribute, Description, Media};

use super::extensions::{ABS_CAPTURE_TIME, ABS_SEND_TIME, PLAYOUT_DELAY};
use crate::data::PORT;
use crate::packet::{Codec, Kind, StreamDescription, TrackDescription};

/// Payload types of pictures, their repair, and sound.
const VIDEO: u8 = 96;
const REPAIR: u8 = 97;
const AUDIO: u8 = 111;

/// Sources of a track and of its repair, as the offer names them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ssrcs {
    pub(super) video: [u32; 2],
    pub(super) audio: [u32; 2],
}

impl Ssrcs {
    /// Hands each out in its order.
    pub(super) fn draw(self) -> impl FnMut(Kind) -> u32 {
        let (mut video, mut audio) = (self.video.into_iter().cycle(), self.audio.into_iter().cycle());
        move |kind| {
            let next = if kind == Kind::Video { video.next() } else { audio.next() };
            next.unwrap_or_default()
        }
    }
}

/// The offer of a viewer that takes all that the stream has, with data channels.
pub(super) fn ideal_viewer(stream: &StreamDescription) -> Description {
    let mut media: Vec<Media> = Vec::new();
    let tracks = [("video", &stream.video), ("audio", &stream.audio)];
    for (kind, track) in tracks {
        media.extend(track.as_ref().map(|track| section(kind, track, media.len())));
    }
    let data = [("mid", media.len().to_string()), ("sctp-port", PORT.to_string())];
    media.push(Media {
        kind: "application".into(),
        port: 9,
        protocol: "UDP/DTLS/SCTP".into(),
        formats: vec!["webrtc-datachannel".into()],
        attributes: data.map(|(name, value)| (name.to_string(), value)).to_vec(),
    });
    let mids: Vec<String> = (0..media.len()).map(|mid| mid.to_string()).collect();
    let attributes = vec![("group".to_string(), format!("BUNDLE {}", mids.join(" ")))];
    Description { attributes, media }
}

fn section(kind: &str, track: &TrackDescription, mid: usize) -> Media {
    let video = kind == "video";
    let payload_type = if video { VIDEO } else { AUDIO };
    let name = super::answer::codec_name(track.codec);
    let channels = if track.codec == Codec::Opus { "/2" } else { "" };
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut add = |name: &str, value: String| attributes.push((name.to_string(), value));
    add("mid", mid.to_string());
    add("recvonly", String::new());
    add("rtcp-mux", String::new());
    for (id, uri) in [(1, ABS_CAPTURE_TIME), (2, ABS_SEND_TIME), (3, PLAYOUT_DELAY)] {
        if video || uri == ABS_CAPTURE_TIME {
            add("extmap", format!("{id} {uri}"));
        }
    }
    add("rtpmap", format!("{payload_type} {name}/{}{channels}", track.clock_rate));
    let mut parameters = track.parameters.clone();
    if track.codec == Codec::H264 && !parameters.contains("packetization-mode=1") {
        let rest: Vec<&str> = parameters.split(';').filter(|part| !part.contains("packetization-mode")).collect();
        parameters = format!("packetization-mode=1;{}", rest.join(";"));
    }
    if !parameters.is_empty() {
        add("fmtp", format!("{payload_type} {parameters}"));
    }
    let mut formats = vec![payload_type.to_string()];
    if video {
        for feedback in ["nack", "nack pli", "ccm fir", "goog-remb"] {
            add("rtcp-fb", format!("{payload_type} {feedback}"));
        }
        add("rtpmap", format!("{REPAIR} rtx/{}", track.clock_rate));
        add("fmtp", format!("{REPAIR} apt={payload_type}"));
        formats.push(REPAIR.to_string());
    }
    Media { kind: kind.into(), port: 9, protocol: "UDP/TLS/RTP/SAVPF".into(), formats, attributes }
}
