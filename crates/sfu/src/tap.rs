//! Packets become access units again, for HLS and recordings.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::assemble::{AccessUnit, Assembler};
use crate::cache::StreamCache;
use crate::packet::{Kind, Layer, Packet};

/// Reads a stream as access units, in order per track and layer; waits a little for late packets.
///
/// Video begins with a key frame. H.264, VP8 and Opus come out; other codecs are passed over.
#[derive(Debug)]
pub struct Tap {
    video: [Assembler; Layer::MAX],
    audio: Assembler,
    units: VecDeque<AccessUnit>,
}

impl Tap {
    /// Starts at the newest key frame that `cache` holds, else with what comes next.
    pub fn new(now: Instant, cache: &StreamCache) -> Tap {
        let mut units = VecDeque::new();
        let video = std::array::from_fn(|index| {
            let source = cache.layer(Kind::Video, Layer(index as u8));
            let mut assembler = Assembler::default();
            if let Some(gop) = source.gop() {
                assembler.read(now, source, gop, &mut units);
            }
            assembler
        });
        let mut audio = Assembler::audio();
        // audio from where the video begins, so that both start together
        let begin = units.front().map(|unit| unit.ntp_ms);
        let source = cache.layer(Kind::Audio, Layer::SINGLE);
        let from = (source.start()..source.end()).find(|sequence| {
            let ntp_ms = source.packet(*sequence).map(|packet| packet.ntp.unix_ms());
            ntp_ms.is_some_and(|ntp_ms| begin.is_none_or(|begin| ntp_ms >= begin))
        });
        if let (Some(from), Some(_)) = (from, begin) {
            audio.read(now, source, from, &mut units);
        }
        Tap { video, audio, units }
    }

    /// Takes a burst (after `cache.push`).
    pub fn push(&mut self, now: Instant, burst: &[Arc<Packet>]) {
        for packet in burst {
            let assembler = match packet.kind {
                Kind::Audio => Some(&mut self.audio),
                Kind::Video => self.video.get_mut(usize::from(packet.layer.0)),
            };
            if let Some(assembler) = assembler {
                assembler.push(now, packet, &mut self.units);
            }
        }
    }

    /// The next whole access unit.
    pub fn poll(&mut self) -> Option<AccessUnit> {
        self.units.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::WallClock;
    use crate::injector::Injector;
    use crate::packet::StreamDescription;

    struct Stream {
        injector: Injector,
        now: Instant,
        time: u32,
    }

    impl Stream {
        fn new() -> Stream {
            let now = Instant::now();
            let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
            let description = StreamDescription::h264_opus(true, true);
            Stream { injector: Injector::new(description, clock, Default::default()), now, time: 0 }
        }

        fn picture(&mut self, key: bool) -> Vec<Arc<Packet>> {
            let mut bytes = vec![0, 0, 0, 1, if key { 0x65 } else { 0x41 }];
            bytes.resize(4000, 0x77);
            self.time += 3600;
            self.now += Duration::from_millis(40);
            self.injector.push_video(self.now, &bytes, self.time, key).to_vec()
        }
    }

    fn drain(tap: &mut Tap) -> Vec<(bool, bool)> {
        std::iter::from_fn(|| tap.poll()).map(|unit| (unit.key_frame, unit.lost_before)).collect()
    }

    #[test]
    fn begins_with_the_cached_key_frame_and_its_audio() {
        let mut stream = Stream::new();
        let mut cache = StreamCache::new(stream.injector.description().clone());
        cache.push(&stream.picture(false));
        cache.push(&stream.injector.push_audio(stream.now, &[1], 960));
        cache.push(&stream.picture(true));
        cache.push(&stream.injector.push_audio(stream.now, &[2], 5 * 960));
        cache.push(&stream.picture(false));
        let mut tap = Tap::new(stream.now, &cache);
        let units: Vec<AccessUnit> = std::iter::from_fn(|| tap.poll()).collect();
        assert_eq!(
            units.iter().filter(|unit| unit.kind == Kind::Video).map(|unit| unit.key_frame).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(units.iter().filter(|unit| unit.kind == Kind::Audio).count(), 1);
        assert!(units.iter().all(|unit| !unit.lost_before));
        assert_eq!(units[0].data.len(), 4000);
    }

    #[test]
    fn late_packets_are_waited_for() {
        let mut stream = Stream::new();
        let mut tap = Tap::new(stream.now, &StreamCache::new(stream.injector.description().clone()));
        let mut packets = stream.picture(true);
        packets.extend(stream.picture(false));
        packets.swap(1, 5);
        tap.push(stream.now, &packets);
        assert_eq!(drain(&mut tap), [(true, false), (false, false)]);
    }

    #[test]
    fn a_lost_packet_costs_its_frame_and_is_told() {
        let mut stream = Stream::new();
        let mut tap = Tap::new(stream.now, &StreamCache::new(stream.injector.description().clone()));
        tap.push(stream.now, &stream.picture(true));
        let mut damaged = stream.picture(false);
        damaged.remove(1);
        tap.push(stream.now, &damaged);
        assert_eq!(drain(&mut tap), [(true, false)]);
        for _ in 0..10 {
            let picture = stream.picture(false);
            tap.push(stream.now, &picture);
        }
        let units = drain(&mut tap);
        assert_eq!(units.first(), Some(&(false, true)));
        assert_eq!(units.len(), 10);
        assert!(units[1..].iter().all(|unit| *unit == (false, false)));
    }
}
