//! The answer to a WHEP offer: which sections are taken, with which payload types, and its text.
use std::fmt::Write as _;
use std::net::SocketAddr;

use wire::sdp::{self, Description, Direction, Media};

use super::SubscriberConfig;
use super::extensions::{Extensions, PlayoutDelay};
use crate::candidates::write_candidates;
use crate::data::PORT;
use crate::entropy::Credentials;
use crate::error::SfuError;
use crate::packet::{Codec, Kind, Layer, StreamDescription, TrackDescription};

/// A section that is taken.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) kind: Kind,
    /// The layer that it gets, when each section gets its own; `None`: chosen while it runs.
    pub(super) layer: Option<Layer>,
    /// What the stream calls that layer; empty for one without a name.
    label: String,
    /// As the offer names it.
    pub(super) codec: sdp::Codec,
    /// As the stream's packets name it.
    pub(super) format: Codec,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
    pub(super) extensions: Extensions,
    /// The peer asks for missing packets.
    pub(super) nack: bool,
}

/// What an offer gets, m-line by m-line; `None` stays idle or is rejected.
pub(super) struct Plan {
    sections: Vec<Option<Section>>,
    /// A viewer's sections for which the stream has nothing: answered as inactive parts of the bundle. Rejecting them would be as
    /// good by RFC 8829, but some stacks (aiortc) take a rejected section for a transport that never connects.
    idle: Vec<bool>,
    /// The section of the data channels, if one was offered: its index.
    data: Option<usize>,
    /// Longest message that we take; goes into the answer.
    message_bytes: usize,
}

impl Plan {
    /// Chooses for each section of the offer.
    pub(super) fn new(
        offer: &Description,
        stream: &StreamDescription,
        layers_all: bool,
        config: &SubscriberConfig,
        mut new_ssrc: impl FnMut(Kind) -> u32,
    ) -> Result<Plan, SfuError> {
        let bundle = offer.bundle();
        let mut sections = Vec::with_capacity(offer.media.len());
        let mut layers = 0;
        let mut audio = false;
        for media in &offer.media {
            let taken = sections.iter().flatten().count();
            let section = match media.kind.as_str() {
                // one transport only: what is not bundled with the first taken section cannot be served
                _ if taken > 0 && !media.mid().is_some_and(|mid| bundle.contains(&mid)) => None,
                _ if !wanted(offer, media) => None,
                "video" => stream.video.as_ref().and_then(|track| {
                    let layer = layers_all.then_some(Layer(layers as u8));
                    let most = if layers_all { track.layers.len().clamp(1, Layer::MAX) } else { 1 };
                    (layers < most)
                        .then(|| section(Kind::Video, layer, media, track, config.playout_delay, &mut new_ssrc))
                        .flatten()
                }),
                "audio" if !audio => stream
                    .audio
                    .as_ref()
                    .and_then(|track| section(Kind::Audio, None, media, track, None, &mut new_ssrc)),
                _ => None,
            };
            layers += usize::from(section.as_ref().is_some_and(|section| section.kind == Kind::Video));
            audio |= section.as_ref().is_some_and(|section| section.kind == Kind::Audio);
            sections.push(section);
        }
        // Who asks for a picture that it cannot decode is told so, and may take another way, instead of hearing a black screen.
        let bundled = |media: &Media| media.mid().is_some_and(|mid| bundle.contains(&mid));
        let asks = |media: &Media| media.kind == "video" && bundled(media) && wanted(offer, media);
        let unseen = !layers_all && layers == 0 && stream.video.is_some() && offer.media.iter().any(asks);
        if unseen || sections.iter().all(Option::is_none) {
            return Err(SfuError::NoCommonCodec(format!("this stream has {}", contents(stream))));
        }
        let carries_data = |media: &Media| carries_data(media) && bundled(media);
        let data = offer.media.iter().position(carries_data);
        let may_idle = |media: &Media| !layers_all && wanted(offer, media) && bundled(media);
        let idle = offer.media.iter().zip(&sections).map(|(media, section)| section.is_none() && may_idle(media));
        Ok(Plan { idle: idle.collect(), sections, data, message_bytes: config.data.message_bytes })
    }

    /// Longest message that the peer takes on its data channels (RFC 8841 6: 64 KiB unless it says, 0 is any); `None`: it wants none.
    pub(super) fn data(&self, offer: &Description) -> Option<u32> {
        let size = offer.media[self.data?].attribute("max-message-size");
        Some(size.map_or(64 << 10, |size| size.trim().parse().unwrap_or(64 << 10)))
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().flatten()
    }

    /// The answer's text; to an ideal viewer it is an offer, but for who begins the DTLS handshake: `setup`.
    pub(super) fn write(
        &self,
        offer: &Description,
        session: u32,
        credentials: &Credentials,
        identity: (&str, &str),
        addresses: &[SocketAddr],
    ) -> String {
        let (fingerprint, setup) = identity;
        let mut sdp = String::with_capacity(2048);
        let _ = write!(sdp, "v=0\r\no=- {session} 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
        // In the offer's order, which some parsers insist on. The first section of the group carries the transport (RFC 9143
        // 7.3.2), so idle ones name it too, candidates included.
        let lives = |index: usize| self.sections[index].is_some() || self.idle[index] || self.data == Some(index);
        let bundled = offer.media.iter().enumerate().filter(|(index, _)| lives(*index));
        let mids: Vec<&str> = bundled.filter_map(|(_, media)| media.mid()).collect();
        if !mids.is_empty() {
            let _ = write!(sdp, "a=group:BUNDLE {}\r\n", mids.join(" "));
        }
        sdp.push_str("a=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n");
        for (index, ((media, section), idle)) in offer.media.iter().zip(&self.sections).zip(&self.idle).enumerate() {
            match section {
                _ if self.data == Some(index) => {
                    write_data(&mut sdp, media, self.message_bytes, credentials, identity, addresses);
                }
                Some(section) => write_section(&mut sdp, media, section, credentials, identity, addresses),
                None => {
                    let format = media.formats.first().map_or("0", String::as_str);
                    let _ = write!(
                        sdp,
                        "m={} {} {} {format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n",
                        media.kind,
                        if *idle { 9 } else { 0 },
                        media.protocol
                    );
                    if *idle {
                        let Credentials { ufrag, password } = credentials;
                        let _ = write!(sdp, "a=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
                        let _ = write!(sdp, "a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n");
                        write_candidates(&mut sdp, addresses);
                    }
                    if let Some(mid) = media.mid() {
                        let _ = write!(sdp, "a=mid:{mid}\r\n");
                    }
                    // some parsers want every format explained, even that of a rejected section
                    let map = media.attributes("rtpmap").find(|map| map.split(' ').next() == Some(format));
                    if let Some(map) = map {
                        let _ = write!(sdp, "a=rtpmap:{map}\r\n");
                    }
                }
            }
        }
        sdp
    }
}

/// Whether a section is one of data channels, in the way that everyone writes it since RFC 8841.
fn carries_data(media: &Media) -> bool {
    media.kind == "application"
        && media.protocol.to_ascii_uppercase().ends_with("DTLS/SCTP")
        && media.formats.iter().any(|format| format == "webrtc-datachannel")
        && (media.port != 0 || media.attribute("bundle-only").is_some())
}

fn write_data(
    sdp: &mut String,
    media: &Media,
    message_bytes: usize,
    credentials: &Credentials,
    (fingerprint, setup): (&str, &str),
    addresses: &[SocketAddr],
) {
    let Credentials { ufrag, password } = credentials;
    let _ = write!(sdp, "m=application 9 {} webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n", media.protocol);
    if let Some(mid) = media.mid() {
        let _ = write!(sdp, "a=mid:{mid}\r\n");
    }
    let _ = write!(sdp, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n");
    let _ = write!(sdp, "a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n");
    let _ = write!(sdp, "a=sctp-port:{PORT}\r\na=max-message-size:{message_bytes}\r\n");
    write_candidates(sdp, addresses);
}

/// Whether the peer wants to receive on this section, in a way that we can serve.
fn wanted(offer: &Description, media: &Media) -> bool {
    let receives = matches!(media.direction(), Direction::RecvOnly | Direction::SendRecv);
    let secure = media.protocol.to_ascii_uppercase().contains("TLS/RTP/SAVP");
    // RFC 8843 8.3: port 0 with bundle-only is a live section
    let live = media.port != 0 || media.attribute("bundle-only").is_some();
    receives && secure && live && offer.attribute(media, "rtcp-mux").is_some()
}

fn section(
    kind: Kind,
    layer: Option<Layer>,
    media: &Media,
    track: &TrackDescription,
    delay: Option<PlayoutDelay>,
    new_ssrc: &mut impl FnMut(Kind) -> u32,
) -> Option<Section> {
    let codec = choose(&media.codecs(), track)?;
    let nack = codec.has_feedback("nack");
    Some(Section {
        kind,
        layer,
        label: layer.and_then(|Layer(index)| track.layers.get(usize::from(index))).cloned().unwrap_or_default(),
        format: track.codec,
        ssrc: new_ssrc(kind),
        rtx_ssrc: new_ssrc(kind),
        extensions: Extensions::of(media, codec.rtx.is_some() || !nack, delay.filter(|_| layer.is_none())),
        nack,
        codec,
    })
}

/// The offered payload type that fits a track best.
fn choose(offered: &[sdp::Codec], track: &TrackDescription) -> Option<sdp::Codec> {
    let name = codec_name(track.codec);
    let same = |codec: &&sdp::Codec| codec.name.eq_ignore_ascii_case(name) && codec.clock_rate == track.clock_rate;
    let best = offered.iter().filter(same).max_by_key(|codec| {
        let rank = match track.codec {
            Codec::H264 => h264_rank(codec, track)?,
            Codec::Vp9 => {
                i32::from(codec.parameter("profile-id").unwrap_or("0") == parameter(track, "profile-id").unwrap_or("0"))
            }
            _ => 0,
        };
        // of equals the first offered, which max_by_key would pass over
        Some((rank, std::cmp::Reverse(offered.iter().position(|other| other == *codec))))
    })?;
    // `None` ranks lowest: it can only win when nothing fits
    (track.codec != Codec::H264 || h264_rank(best, track).is_some()).then(|| best.clone())
}

fn parameter<'a>(track: &'a TrackDescription, name: &str) -> Option<&'a str> {
    sdp::parameter(&track.parameters, name)
}

/// Our packets are fragments, which only packetization mode 1 allows; the stream's own profile is best, then a wider one.
fn h264_rank(codec: &sdp::Codec, track: &TrackDescription) -> Option<i32> {
    if codec.parameter("packetization-mode") != Some("1") {
        return None;
    }
    let profile = |id: Option<&str>| -> Option<(u8, u8)> {
        let id = id.filter(|id| id.len() == 6 && id.is_ascii())?;
        Some((u8::from_str_radix(&id[..2], 16).ok()?, u8::from_str_radix(&id[2..4], 16).ok()?))
    };
    let offered = profile(codec.parameter("profile-level-id")).unwrap_or((0x42, 0));
    let ours = profile(parameter(track, "profile-level-id")).unwrap_or((0x42, 0xe0));
    Some(match (offered.0 == ours.0, offered.1 == ours.1) {
        (true, true) => 3,
        (true, false) => 2,
        _ if offered.0 > ours.0 => 1,
        _ => 0, // a narrower profile than the stream's: most decoders take it all the same
    })
}

pub(super) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H264",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::Av1 => "AV1",
        Codec::Opus => "opus",
    }
}

fn contents(stream: &StreamDescription) -> String {
    let tracks = [("video", &stream.video), ("audio", &stream.audio)];
    let named: Vec<String> = tracks
        .iter()
        .filter_map(|(kind, track)| track.as_ref().map(|track| format!("{kind} as {}", codec_name(track.codec))))
        .collect();
    if named.is_empty() { "no media yet".into() } else { named.join(", ") }
}

/// Feedback that we obey, if offered.
const FEEDBACK: [&str; 4] = ["nack", "nack pli", "ccm fir", "goog-remb"];

fn write_section(
    sdp: &mut String,
    media: &Media,
    section: &Section,
    credentials: &Credentials,
    (fingerprint, setup): (&str, &str),
    addresses: &[SocketAddr],
) {
    let Section { codec, ssrc, rtx_ssrc, .. } = section;
    let (pt, kind) = (codec.payload_type, &media.kind);
    let _ = write!(sdp, "m={kind} 9 {} {pt}", media.protocol);
    if let Some(rtx) = codec.rtx {
        let _ = write!(sdp, " {rtx}");
    }
    sdp.push_str("\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=rtcp-rsize\r\n");
    if let Some(mid) = media.mid() {
        let _ = write!(sdp, "a=mid:{mid}\r\n");
    }
    let Credentials { ufrag, password } = credentials;
    let _ = write!(sdp, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n");
    let _ = write!(sdp, "a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\na=sendonly\r\n");
    for (id, name) in section.extensions.named() {
        let _ = write!(sdp, "a=extmap:{id} {name}\r\n");
    }
    let channels = codec.channels.map(|channels| format!("/{channels}")).unwrap_or_default();
    let _ = write!(sdp, "a=rtpmap:{pt} {}/{}{channels}\r\n", codec.name, codec.clock_rate);
    for feedback in FEEDBACK.iter().filter(|feedback| codec.has_feedback(feedback)) {
        // the estimate needs our send times
        if *feedback != "goog-remb" || section.extensions.abs_send_time.is_some() {
            let _ = write!(sdp, "a=rtcp-fb:{pt} {feedback}\r\n");
        }
    }
    if !codec.parameters.is_empty() {
        let _ = write!(sdp, "a=fmtp:{pt} {}\r\n", codec.parameters);
    }
    if let Some(rtx) = codec.rtx {
        let _ = write!(sdp, "a=rtpmap:{rtx} rtx/{}\r\na=fmtp:{rtx} apt={pt}\r\n", codec.clock_rate);
        let _ = write!(sdp, "a=ssrc-group:FID {ssrc} {rtx_ssrc}\r\n");
    }
    if !section.label.is_empty() {
        // the name of a layer that has a section of its own; `a=rid` would promise an extension in each packet
        let _ = write!(sdp, "a=label:{}\r\n", section.label);
    }
    let track = match section.layer {
        Some(Layer(layer)) if layer > 0 => format!("{kind}{layer}"),
        _ => kind.clone(),
    };
    let _ =
        write!(sdp, "a=msid:avacast {track}\r\na=ssrc:{ssrc} cname:avacast\r\na=ssrc:{ssrc} msid:avacast {track}\r\n");
    if codec.rtx.is_some() {
        let _ = write!(sdp, "a=ssrc:{rtx_ssrc} cname:avacast\r\na=ssrc:{rtx_ssrc} msid:avacast {track}\r\n");
    }
    write_candidates(sdp, addresses);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = include_str!("../../../wire/tests/data/chromium_whep.sdp");
    const AIORTC: &str = include_str!("../../../wire/tests/data/aiortc_whep.sdp");
    const AUDIO_ONLY: &str = include_str!("../../../wire/tests/data/chromium_whep_audio.sdp");

    fn plan(offer: &str, stream: &StreamDescription) -> Result<(Description, Plan), SfuError> {
        let offer = Description::parse(offer).unwrap();
        let mut ssrc = 100;
        let plan = Plan::new(&offer, stream, false, &SubscriberConfig::default(), |_| {
            ssrc += 1;
            ssrc
        })?;
        Ok((offer, plan))
    }

    #[test]
    fn payload_types_are_those_of_the_offer() {
        let stream = StreamDescription::h264_opus(true, true);
        let types: Vec<_> = plan(CHROMIUM, &stream)
            .unwrap()
            .1
            .sections()
            .map(|section| (section.codec.payload_type, section.codec.rtx))
            .collect();
        assert_eq!(types, vec![(108, Some(109)), (111, None)]);
        let types: Vec<_> = plan(AIORTC, &stream)
            .unwrap()
            .1
            .sections()
            .map(|section| (section.codec.payload_type, section.codec.rtx))
            .collect();
        assert_eq!(types, vec![(101, Some(102)), (96, None)]);
    }

    #[test]
    fn the_answer_has_one_section_per_section_of_the_offer() {
        let (offer, plan) = plan(CHROMIUM, &StreamDescription::h264_opus(false, true)).unwrap();
        let credentials = Credentials { ufrag: "AAufrag".into(), password: "secret".into() };
        let text =
            plan.write(&offer, 1, &credentials, ("sha-256 AB:CD", "passive"), &["192.0.2.1:7900".parse().unwrap()]);
        let answer = Description::parse(&text).unwrap();
        assert_eq!(answer.media.len(), 2);
        assert_eq!((answer.media[0].port, answer.media[1].port), (9, 9));
        assert_eq!(answer.bundle(), vec!["0", "1"]);
        assert_eq!(answer.media[0].direction(), Direction::Inactive);
        assert_eq!(answer.candidates().len(), 2, "UDP and TCP");
        assert_eq!(answer.media[1].direction(), Direction::SendOnly);
    }

    #[test]
    fn who_asks_for_a_picture_that_it_cannot_decode_is_told_so() {
        // as Firefox offers where it has no OpenH264
        let offer = CHROMIUM.replace("H264/90000", "H261/90000");
        let error = plan(&offer, &StreamDescription::h264_opus(true, true)).err().unwrap();
        assert!(matches!(error, SfuError::NoCommonCodec(_)), "{error}");
        assert!(plan(&offer, &StreamDescription::h264_opus(false, true)).is_ok(), "sound alone is all there is");
        assert!(plan(AUDIO_ONLY, &StreamDescription::h264_opus(true, true)).is_ok(), "sound alone is all it asks for");
    }

    #[test]
    fn no_common_codec_names_what_there_is() {
        let error = plan(AUDIO_ONLY, &StreamDescription::h264_opus(true, false)).err().unwrap();
        assert_eq!(error, SfuError::NoCommonCodec("this stream has video as H264".into()));
    }
}
