//! What SDP needs beyond `str0m`: which codecs to negotiate, names of layers, and texts made fit for its parser.
use wire::sdp::Description;

use crate::error::SfuError;
use crate::packet::{Codec, Layer};

/// Calls into SDP code that asserts what it should refuse: an offer must not be able to end a worker thread. The state that a
/// panic may have left half done is dropped with the session.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, str0m::RtcError>) -> Result<T, SfuError> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|problem| SfuError::BadSdp(problem.to_string())),
        Err(_) => Err(SfuError::BadSdp("it contradicts itself".into())),
    }
}

/// Video codecs to negotiate with a publisher: H.264 if it can, which needs no transcoding anywhere; else what it has.
pub(super) fn offer_codecs(offer: &Description) -> Result<&'static [Codec], SfuError> {
    let codecs: Vec<_> =
        offer.media.iter().filter(|media| media.kind == "video").flat_map(|media| media.codecs()).collect();
    let h264 = codecs
        .iter()
        .any(|codec| codec.name.eq_ignore_ascii_case("H264") && codec.parameter("packetization-mode") == Some("1"));
    Ok(if h264 { &[Codec::H264] } else { &[Codec::Vp8, Codec::Vp9, Codec::Av1] })
}

/// Whether an offer would rather send Opus as RED: it names `red/48000/2` before Opus. Browsers name it after Opus unless a page
/// asks for it (`setCodecPreferences`), and send it only if it comes first in the answer too.
pub(super) fn prefers_red(offer: &Description) -> bool {
    let Some(audio) = offer.media.iter().find(|media| media.kind == "audio") else { return false };
    let codecs = audio.codecs();
    let place = |name: &str| codecs.iter().position(|codec| codec.name.eq_ignore_ascii_case(name));
    matches!((place("red"), place("opus")), (Some(red), Some(opus)) if red < opus)
}

/// Names of the layers that an offer sends by simulcast, in its order; alternatives and pauses are not told apart. Of more than we
/// forward (OBS sends up to four) the first, the last and what lies between them: the best picture, and one for the narrowest path.
pub(super) fn simulcast(offer: &Description) -> Vec<String> {
    let video = offer.media.iter().find(|media| media.kind == "video");
    let Some(value) = video.and_then(|media| media.attribute("simulcast")) else { return Vec::new() };
    let mut words = value.split_ascii_whitespace();
    let sent = words.find(|word| *word == "send").and_then(|_| words.next()).unwrap_or("");
    let first = |alternatives: &str| alternatives.split(',').next().unwrap_or("").trim_start_matches('~').to_string();
    let rids: Vec<String> = sent.split(';').map(first).filter(|rid| !rid.is_empty()).collect();
    if rids.len() <= Layer::MAX {
        return rids;
    }
    (0..Layer::MAX).map(|index| rids[(index * (rids.len() - 1)).div_ceil(Layer::MAX - 1)].clone()).collect()
}

/// Longest name of a layer that is taken from an answer, bytes.
const MOST_NAME_BYTES: usize = 64;

/// What an upstream calls the layers that its answer gives sections of their own (`a=label`, RFC 4574), in the order of the sections.
/// Empty unless every one of them has a name (RFC 8851's letters) and no two the same.
pub(super) fn labels(answer: &Description) -> Vec<String> {
    let name = |text: &str| {
        let known = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
        (1..=MOST_NAME_BYTES).contains(&text.len()) && text.bytes().all(known)
    };
    let taken = answer.media.iter().filter(|media| media.kind == "video" && media.port != 0);
    let names: Option<Vec<String>> = taken
        .map(|media| media.attribute("label").map(str::trim).filter(|text| name(text)).map(str::to_owned))
        .collect();
    let mut names = names.unwrap_or_default();
    let distinct = names.iter().enumerate().all(|(index, name)| !names[..index].contains(name));
    if !distinct || names.len() > Layer::MAX {
        names.clear();
    }
    names
}

/// An offer whose first video section sends these layers and no others: "the answerer MAY remove some simulcast streams" (RFC 8853 5.3.2), so a
/// publisher that minds our answer spares itself the rest.
pub(super) fn with_layers(offer: &str, rids: &[String]) -> String {
    let mut text = String::with_capacity(offer.len());
    let (mut sections, mut inside) = (0, false);
    for line in offer.lines() {
        if line.starts_with("m=") {
            let video = line.starts_with("m=video ");
            inside = video && sections == 0;
            sections += usize::from(video);
        }
        if !inside {
            text.extend([line, "\r\n"]);
            continue;
        }
        let rid = line.strip_prefix("a=rid:").and_then(|rest| rest.split(' ').next());
        if rid.is_some_and(|rid| !rids.iter().any(|taken| taken == rid)) {
            continue;
        }
        if line.starts_with("a=simulcast:") {
            text.push_str(&format!("a=simulcast:send {}\r\n", rids.join(";")));
        } else {
            text.extend([line, "\r\n"]);
        }
    }
    text
}

/// An offer without its candidates. A publisher's checks come to us; what it names may be anybody's address, and would be knocked at.
pub(super) fn without_candidates(offer: &str) -> String {
    offer.lines().filter(|line| !line.starts_with("a=candidate:")).flat_map(|line| [line, "\r\n"]).collect()
}

/// An answer that takes Opus in stereo, and with pauses (DTX), from who offers it: what an answer does not ask for, browsers do not send
/// (RFC 7587 7.1). We only pass it on, so we want what the publisher wants.
pub(super) fn sound_as_offered(answer: &str, offer: &Description) -> String {
    let offered = offer.media.iter().filter(|media| media.kind == "audio").flat_map(|media| media.codecs());
    let opus: Vec<_> = offered.filter(|codec| codec.name.eq_ignore_ascii_case("opus")).collect();
    let mut text = String::with_capacity(answer.len() + 64);
    for line in answer.lines() {
        text.push_str(line);
        let fmtp = line.strip_prefix("a=fmtp:").and_then(|rest| rest.split_once(' '));
        let codec = fmtp.and_then(|(payload_type, _)| {
            let payload_type: u8 = payload_type.parse().ok()?;
            opus.iter().find(|codec| codec.payload_type == payload_type)
        });
        if let (Some(codec), Some((_, answered))) = (codec, fmtp) {
            let wants = |name: &str| codec.parameter(name) == Some("1");
            let stereo = wants("stereo") || wants("sprop-stereo");
            for (name, wanted) in [("stereo", stereo), ("usedtx", wants("usedtx"))] {
                if wanted && wire::sdp::parameter(answered, name).is_none() {
                    text.push_str(&format!(";{name}=1"));
                }
            }
        }
        text.push_str("\r\n");
    }
    text
}

/// An offer with other ICE credentials and without its candidates.
pub(super) fn with_credentials(offer: &str, ufrag: &str, password: &str) -> String {
    let mut changed = String::with_capacity(offer.len());
    for line in offer.lines() {
        if line.starts_with("a=candidate:") {
            continue;
        }
        let line = match line {
            line if line.starts_with("a=ice-ufrag:") => format!("a=ice-ufrag:{ufrag}"),
            line if line.starts_with("a=ice-pwd:") => format!("a=ice-pwd:{password}"),
            line => line.to_string(),
        };
        changed.push_str(&line);
        changed.push_str("\r\n");
    }
    changed
}

/// An answer whose rejected sections have an `a=rtpmap` for each format, taken from our offer: many servers leave them out, and the
/// parser insists.
pub(super) fn explained(answer: &str, description: &Description, offer: &str) -> String {
    let Ok(offer) = Description::parse(offer) else { return answer.to_string() };
    let mut text = String::with_capacity(answer.len() + 256);
    let mut section = 0;
    for line in answer.lines() {
        text.push_str(line);
        text.push_str("\r\n");
        if !line.starts_with("m=") {
            continue;
        }
        let (rejected, ours) = (description.media.get(section), offer.media.get(section));
        section += 1;
        let (Some(rejected), Some(ours)) =
            (rejected.filter(|media| media.port == 0 && media.kind != "application"), ours)
        else {
            continue;
        };
        for format in &rejected.formats {
            let named = |map: &&str| map.split(' ').next() == Some(format);
            if rejected.attributes("rtpmap").any(|map| named(&map)) {
                continue;
            }
            let fallback = if rejected.kind == "audio" { "opus/48000/2" } else { "VP8/90000" };
            match ours.attributes("rtpmap").find(named) {
                Some(map) => text.push_str(&format!("a=rtpmap:{map}\r\n")),
                None => text.push_str(&format!("a=rtpmap:{format} {fallback}\r\n")),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_an_answer_have_the_names_that_it_gives_all_of_them() {
        let names = |labels: &[&str]| {
            let sections: String = labels
                .iter()
                .map(|label| match label.strip_prefix('!') {
                    Some(label) => format!("m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=label:{label}\r\n"),
                    None if label.is_empty() => "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".to_owned(),
                    None => format!("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=label:{label}\r\n"),
                })
                .collect();
            labels_of(&format!("v=0\r\n{sections}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=label:sound\r\n"))
        };
        assert_eq!(names(&["high", "low"]), ["high", "low"]);
        assert_eq!(names(&["high", "low", "!rejected"]), ["high", "low"]);
        for odd in [&["high", ""][..], &["high", "high"], &["a b"], &["<b>"], &[], &["a", "b", "c", "d"]] {
            assert!(names(odd).is_empty(), "{odd:?}");
        }
        assert!(names(&["x".repeat(MOST_NAME_BYTES + 1).as_str()]).is_empty());
    }

    fn labels_of(answer: &str) -> Vec<String> {
        labels(&Description::parse(answer).unwrap())
    }
}
