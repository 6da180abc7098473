//! The books of one viewer: packets, loss, the first whole key frame, latency.
use wire::h264;
use wire::rtp::Rtp;

use crate::description::{AUDIO_PT, VIDEO_PT};

/// An audio payload that begins with this carries the monotonic time of its sending in the eight bytes behind it.
pub const STAMP: &[u8; 4] = b"AVCT";

/// Latencies are kept in buckets of 50 us up to 200 ms.
const BUCKET_NS: u64 = 50_000;
const BUCKETS: usize = 4000;

/// One track's sequence: how many came, how many are missing.
#[derive(Debug, Clone, Copy, Default)]
struct Sequence {
    first: u64,
    newest: u64,
    received: u64,
    ssrc: u32,
}

impl Sequence {
    fn mark(&mut self, ssrc: u32, sequence: u64) {
        if self.received == 0 {
            (self.first, self.newest, self.ssrc) = (sequence, sequence, ssrc);
        }
        self.received += 1;
        self.newest = self.newest.max(sequence);
    }

    fn missing(&self) -> u64 {
        if self.received == 0 { 0 } else { (self.newest - self.first + 1).saturating_sub(self.received) }
    }
}

/// What came, in figures. Fed with opened packets.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    video: Sequence,
    audio: Sequence,
    bytes: u64,
    /// Timestamp of the key frame whose packets are being collected, and whether one was lost since it began.
    key_frame: Option<(u32, u64)>,
    first_key_frame_ns: Option<u64>,
    latencies: Option<Box<[u32; BUCKETS]>>,
}

impl Meter {
    /// An opened RTP packet with its extended sequence number, at `now_ns`. Packets of other payload types (RTX) count
    /// as bytes only.
    pub fn push(&mut self, now_ns: u64, sequence: u64, packet: &[u8]) {
        let Ok(rtp) = Rtp::parse(packet) else { return };
        self.bytes += packet.len() as u64;
        match rtp.payload_type {
            VIDEO_PT => {
                self.video.mark(rtp.ssrc, sequence);
                self.follow_key_frame(now_ns, sequence, &rtp);
            }
            AUDIO_PT => {
                self.audio.mark(rtp.ssrc, sequence);
                self.time(now_ns, rtp.payload);
            }
            _ => {}
        }
    }

    fn follow_key_frame(&mut self, now_ns: u64, sequence: u64, rtp: &Rtp<'_>) {
        if self.first_key_frame_ns.is_some() {
            return;
        }
        if self.key_frame.is_none() && h264::starts_key_frame(rtp.payload) {
            self.key_frame = Some((rtp.timestamp, sequence));
        } else if let Some((timestamp, before)) = self.key_frame {
            let whole_so_far = rtp.timestamp == timestamp && sequence == before + 1;
            self.key_frame = whole_so_far.then_some((timestamp, sequence));
        }
        if self.key_frame.is_some() && rtp.marker {
            self.first_key_frame_ns = Some(now_ns);
        }
    }

    fn time(&mut self, now_ns: u64, payload: &[u8]) {
        let Some(stamp) = payload.strip_prefix(STAMP).and_then(|rest| rest.first_chunk::<8>()) else { return };
        let late = now_ns.saturating_sub(u64::from_be_bytes(*stamp));
        let bucket = usize::try_from(late / BUCKET_NS).unwrap_or(BUCKETS).min(BUCKETS - 1);
        let latencies = self.latencies.get_or_insert_with(|| Box::new([0; BUCKETS]));
        latencies[bucket] += 1;
    }

    pub fn packets(&self) -> u64 {
        self.video.received + self.audio.received
    }

    /// Packets that never came, by the gaps in the sequence numbers.
    pub fn missing(&self) -> u64 {
        self.video.missing() + self.audio.missing()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the last packet of the first whole key frame came.
    pub fn first_key_frame_ns(&self) -> Option<u64> {
        self.first_key_frame_ns
    }

    /// Latencies of stamped packets in milliseconds with their counts.
    pub fn latencies_ms(&self) -> impl Iterator<Item = (f64, u32)> + '_ {
        let buckets = self.latencies.iter().flat_map(|all| all.iter().enumerate());
        buckets.filter(|(_, count)| **count > 0).map(|(at, count)| ((at as f64 + 0.5) * BUCKET_NS as f64 / 1e6, *count))
    }

    /// Forgets all but the sequence state: what follows is counted anew.
    pub fn restart(&mut self) {
        for track in [&mut self.video, &mut self.audio] {
            if track.received > 0 {
                (track.first, track.received) = (track.newest, 1);
            }
        }
        self.bytes = 0;
        self.latencies = None;
    }

    /// Report blocks for a receiver report: source, highest sequence (extended), missing.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        [self.video, self.audio]
            .into_iter()
            .filter(|track| track.received > 0)
            .map(|track| (track.ssrc, track.newest, track.missing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pt: u8, sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, pt | if marker { 0x80 } else { 0 }];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(7u32.to_be_bytes());
        packet.extend(payload);
        packet
    }

    const IDR_START: &[u8] = &[0x7C, 0x85, 1, 2, 3];
    const IDR_END: &[u8] = &[0x7C, 0x45, 1, 2, 3];

    #[test]
    fn a_key_frame_counts_when_its_last_packet_is_there() {
        let mut meter = Meter::default();
        meter.push(10, 1, &packet(VIDEO_PT, 1, 90, false, IDR_START));
        assert_eq!(meter.first_key_frame_ns(), None);
        meter.push(20, 2, &packet(VIDEO_PT, 2, 90, true, IDR_END));
        assert_eq!(meter.first_key_frame_ns(), Some(20));
    }

    #[test]
    fn a_key_frame_with_a_hole_does_not_count() {
        let mut meter = Meter::default();
        meter.push(10, 1, &packet(VIDEO_PT, 1, 90, false, IDR_START));
        meter.push(20, 3, &packet(VIDEO_PT, 3, 90, true, IDR_END));
        assert_eq!(meter.first_key_frame_ns(), None);
        assert_eq!(meter.missing(), 1);
    }

    #[test]
    fn a_stamped_packet_gives_its_latency() {
        let mut meter = Meter::default();
        let mut payload = STAMP.to_vec();
        payload.extend(1_000_000u64.to_be_bytes());
        meter.push(3_000_000, 1, &packet(AUDIO_PT, 1, 0, false, &payload));
        let all: Vec<_> = meter.latencies_ms().collect();
        assert_eq!(all.len(), 1);
        assert!((all[0].0 - 2.0).abs() < 0.1);
    }
}
