//! Header extensions of what a viewer gets (RFC 8285, one-byte form): when it left, when it was captured, how long to hold it.
use std::time::Duration;

use wire::sdp::Media;

use crate::clock::NtpTime;

pub(super) const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
pub(super) const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
pub(super) const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// All three, with their heads, padded to words: 4 + 9 + 4.
const MOST_BYTES: usize = 20;

/// How long a viewer's player may hold a picture back before it shows it. The player chooses within these limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// At least so long.
    pub min: Duration,
    /// At most so long.
    pub max: Duration,
}

impl PlayoutDelay {
    /// The longest that the format holds: 12 bits of 10 ms.
    pub const LONGEST: Duration = Duration::from_millis(40_950);

    fn bytes(self) -> [u8; 3] {
        let tens = |span: Duration| (span.min(Self::LONGEST).as_millis() / 10) as u32;
        let value = tens(self.min) << 12 | tens(self.max).max(tens(self.min));
        [(value >> 16) as u8, (value >> 8) as u8, value as u8]
    }
}

/// What a section was offered and we send: ids, and what never changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extensions {
    /// Only with RTX: without, a repair repeats the packet bit by bit, and its send time would be another one.
    pub(super) abs_send_time: Option<u8>,
    abs_capture_time: Option<u8>,
    playout_delay: Option<(u8, [u8; 3])>,
}

impl Extensions {
    /// `send_times`: whether abs-send-time may be sent.
    pub(super) fn of(media: &Media, send_times: bool, delay: Option<PlayoutDelay>) -> Extensions {
        let delay = delay.filter(|_| media.kind == "video");
        Extensions {
            abs_send_time: media.extension(ABS_SEND_TIME).filter(|_| send_times),
            abs_capture_time: media.extension(ABS_CAPTURE_TIME),
            playout_delay: delay.and_then(|delay| Some((media.extension(PLAYOUT_DELAY)?, delay.bytes()))),
        }
    }

    /// Id and name of each, for the answer.
    pub(super) fn named(&self) -> impl Iterator<Item = (u8, &'static str)> {
        let playout_delay = self.playout_delay.map(|(id, _)| id);
        let all = [
            (self.abs_send_time, ABS_SEND_TIME),
            (self.abs_capture_time, ABS_CAPTURE_TIME),
            (playout_delay, PLAYOUT_DELAY),
        ];
        all.into_iter().filter_map(|(id, name)| Some((id?, name)))
    }

    /// The body for a packet of media.
    pub(super) fn media(&self, sent: [u8; 3], captured: NtpTime) -> Elements {
        let mut elements = Elements::default();
        if let Some(id) = self.abs_send_time {
            elements.push(id, &sent);
        }
        if let Some(id) = self.abs_capture_time {
            elements.push(id, &captured.0.to_be_bytes());
        }
        if let Some((id, delay)) = self.playout_delay {
            elements.push(id, &delay);
        }
        elements
    }

    /// The body for a packet that is nothing but padding.
    pub(super) fn padding(&self, sent: [u8; 3]) -> Elements {
        let mut elements = Elements::default();
        if let Some(id) = self.abs_send_time {
            elements.push(id, &sent);
        }
        elements
    }
}

/// Body of a header extension.
#[derive(Debug, Default)]
pub(super) struct Elements {
    bytes: [u8; MOST_BYTES],
    length: usize,
}

impl Elements {
    fn push(&mut self, id: u8, data: &[u8]) {
        self.bytes[self.length] = id << 4 | (data.len() - 1) as u8;
        self.bytes[self.length + 1..self.length + 1 + data.len()].copy_from_slice(data);
        self.length += 1 + data.len();
    }

    /// Whole words; empty for none.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length.next_multiple_of(4)]
    }
}

#[cfg(test)]
mod tests {
    use wire::rtp::{Header, Rtp};

    use super::*;

    #[test]
    fn elements_are_read_as_they_were_meant() {
        let delay = PlayoutDelay { min: Duration::from_millis(20), max: Duration::from_secs(1) };
        let extensions =
            Extensions { abs_send_time: Some(2), abs_capture_time: Some(14), playout_delay: Some((5, delay.bytes())) };
        let body = extensions.media([1, 2, 3], NtpTime(0x0102_0304_0506_0708));
        let mut packet = Vec::new();
        Header { marker: false, payload_type: 96, sequence: 1, timestamp: 2, ssrc: 3 }
            .write(body.as_bytes(), &mut packet);
        let rtp = Rtp::parse(&packet).unwrap();
        let read: Vec<(u8, &[u8])> = rtp.elements().collect();
        assert_eq!(read, [(2, &[1, 2, 3][..]), (14, &[1, 2, 3, 4, 5, 6, 7, 8]), (5, &[0x00, 0x20, 0x64])]);
        assert!(rtp.payload.is_empty() && packet.len() == 12 + 4 + MOST_BYTES);
        assert!(Extensions::default().media([0; 3], NtpTime(0)).as_bytes().is_empty());
    }

    #[test]
    fn delays_stay_within_the_format() {
        let beyond = PlayoutDelay { min: Duration::from_secs(100), max: Duration::ZERO };
        assert_eq!(beyond.bytes(), [0xff, 0xff, 0xff]);
        assert_eq!(PlayoutDelay { min: Duration::ZERO, max: Duration::ZERO }.bytes(), [0; 3]);
    }
}
