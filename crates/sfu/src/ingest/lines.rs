//! Which line a packet is on (sound, or a layer of the picture), and what the stream's description says of them.
use str0m::format::PayloadParams;
use str0m::media::{MediaKind, Mid, Pt, Rid};
use str0m::rtp::RtpPacket;
use wire::sdp::Description;

use super::{AUDIO, Ingest, IngestEvent, UNDECIDED};
use crate::packet::{Codec, Layer, TrackDescription};

impl Ingest {
    /// What to add to a video layer's times: all layers of a track share the first one's line.
    pub(super) fn shift_of(&mut self, line: usize) -> u64 {
        if line == AUDIO {
            return 0;
        }
        let reference = *self.reference.get_or_insert(line);
        if line == reference {
            return 0;
        }
        let known = self.shifts[line];
        if known.is_none_or(|(_, exact)| !exact) {
            let found = self.timeline.shift(line, reference);
            // the guess by arrival stands until reports tell better
            if known.is_none() || found.is_some_and(|(_, exact)| exact) {
                self.shifts[line] = found.or(known);
            }
        }
        self.shifts[line].map_or(0, |(shift, _)| shift)
    }

    /// Codec of a packet by its payload type, with its clock rate; the codec's payload type where the packet is RED.
    pub(super) fn codec_of(&self, rtp: &RtpPacket) -> Option<(Codec, u32, Option<u8>)> {
        let of = rtp.header.payload_type;
        let params = self.rtc.codec_config().params().iter().find(|params| carries(params, of))?;
        let wrapped = (params.pt() != of).then_some(*params.pt());
        Some((known_codec(params.spec().codec)?, params.spec().clock_rate.get(), wrapped))
    }

    /// Which line a packet is on: a video layer's index, or [`AUDIO`].
    pub(super) fn line_of(&mut self, rtp: &RtpPacket, codec: Codec) -> Option<usize> {
        let ssrc = rtp.header.ssrc;
        if let Some((line, ..)) = self.sources.get(&ssrc) {
            return Some(*line);
        }
        let repaired =
            self.rtc.codec_config().params().iter().any(|params| {
                params.pt() == rtp.header.payload_type && params.spec().codec.is_video() && params.fb_nack()
            });
        let (mid, rid) = {
            let mut api = self.rtc.direct_api();
            let stream = api.stream_rx(&ssrc)?;
            // str0m asks only those who have RTX; others (OBS) send the packet itself again
            stream.suppress_nack(!repaired);
            (stream.mid(), stream.rid())
        };
        let line = if codec == Codec::Opus {
            AUDIO
        } else if let Some(section) = self.video_mids.iter().position(|video| *video == mid) {
            section
        } else {
            let named = |name: Rid| self.rids.iter().position(|rid| rid.as_str() == &*name);
            if self.rids.is_empty() { 0 } else { rid.and_then(named)? }
        };
        if line > AUDIO {
            return None; // more layers than we forward
        }
        self.sources.insert(ssrc, (line, mid, rid));
        self.describe(rtp);
        Some(line)
    }

    /// The stream's description after a new source has shown up: both tracks as negotiated, the codecs as they came.
    fn describe(&mut self, newest: &RtpPacket) {
        let mut description = self.description.clone();
        for mid in self.mids() {
            let Some(media) = self.rtc.media(mid).filter(|media| media.direction().is_receiving() && !media.disabled())
            else {
                continue;
            };
            let arrived = self.sources.iter().any(|(ssrc, (_, of, _))| *of == mid && *ssrc == newest.header.ssrc);
            let payload_type =
                if arrived { Some(newest.header.payload_type) } else { media.remote_pts().first().copied() };
            let video = media.kind() == MediaKind::Video;
            let params = self.rtc.codec_config().params().iter();
            let Some(params) = payload_type.and_then(|of| params.clone().find(|params| carries(params, of))) else {
                continue;
            };
            let Some(codec) = known_codec(params.spec().codec) else { continue };
            let track = if video { &mut description.video } else { &mut description.audio };
            // what came is certain, what was negotiated only likely
            if track.is_some() && !arrived {
                continue;
            }
            *track = Some(TrackDescription {
                codec,
                clock_rate: params.spec().clock_rate.get(),
                parameters: params.spec().format.to_string(),
                layers: vec![String::new()],
            });
        }
        if let Some(video) = &mut description.video {
            let lines =
                self.sources.values().filter(|(line, ..)| *line < AUDIO).map(|(line, ..)| line + 1).max().unwrap_or(1);
            video.layers = if self.rids.is_empty() {
                (0..lines).map(|line| if lines == 1 { String::new() } else { line.to_string() }).collect()
            } else {
                self.rids.iter().take(Layer::MAX).cloned().collect()
            };
        }
        let news = description != self.description || !self.announced;
        self.description = description;
        if !self.announced && self.guesses_video() {
            self.undecided.get_or_insert(newest.timestamp + UNDECIDED);
        } else if news {
            self.announce();
        }
    }

    pub(super) fn announce(&mut self) {
        (self.announced, self.undecided) = (true, None);
        self.events.push_back(IngestEvent::Started(self.description.clone()));
    }

    /// Whether the video's codec is only likely: several were negotiated and no packet has come. A viewer that is answered with
    /// the wrong one would never see anything.
    fn guesses_video(&mut self) -> bool {
        if self.description.video.is_none() || self.sources.values().any(|(line, ..)| *line < AUDIO) {
            return false;
        }
        let mut codecs: Vec<Codec> = Vec::new();
        for mid in self.mids() {
            let Some(media) = self.rtc.media(mid).filter(|media| media.kind() == MediaKind::Video) else { continue };
            let params =
                self.rtc.codec_config().params().iter().filter(|params| media.remote_pts().contains(&params.pt()));
            codecs.extend(params.filter_map(|params| known_codec(params.spec().codec)));
        }
        codecs.iter().any(|codec| *codec != codecs[0])
    }

    /// Identification tags of all sections that may carry media.
    fn mids(&self) -> Vec<Mid> {
        let mut mids: Vec<Mid> = self.sources.values().map(|(_, mid, _)| *mid).collect();
        if let Ok(offer) = Description::parse(&self.offer) {
            mids.extend(offer.media.iter().filter_map(|media| media.mid()).map(Mid::from));
        }
        mids.sort_unstable();
        mids.dedup();
        mids
    }
}

/// Whether packets of this payload type are of the codec, as RED or as they are.
fn carries(params: &PayloadParams, payload_type: Pt) -> bool {
    params.pt() == payload_type || params.red() == Some(payload_type)
}

fn known_codec(codec: str0m::format::Codec) -> Option<Codec> {
    match codec {
        str0m::format::Codec::H264 => Some(Codec::H264),
        str0m::format::Codec::Vp8 => Some(Codec::Vp8),
        str0m::format::Codec::Vp9 => Some(Codec::Vp9),
        str0m::format::Codec::Av1 => Some(Codec::Av1),
        str0m::format::Codec::Opus => Some(Codec::Opus),
        _ => None,
    }
}
