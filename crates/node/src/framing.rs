//! Datagrams on a TCP connection (RFC 4571): each behind its length in two bytes.

/// The longest datagram that we take: media, STUN and DTLS fit an Ethernet frame.
pub(crate) const MOST_BYTES: usize = 2048;
const HEAD: usize = 2;

/// A frame longer than [`MOST_BYTES`]: the peer speaks something else, and the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameTooLong;

/// Appends `datagram` as a frame. It has at most 65,535 bytes, as every datagram.
pub(crate) fn write_frame(datagram: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
    out.extend_from_slice(datagram);
}

/// The length of the frame at the start of `bytes`, head included; `None` while its head is not there.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    Some(HEAD + usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?])))
}

/// The first datagram of a connection, once all of it is there.
///
/// # Errors
/// [`FrameTooLong`].
pub(crate) fn first_datagram(bytes: &[u8]) -> Result<Option<&[u8]>, FrameTooLong> {
    match frame_length(bytes) {
        Some(length) if length > HEAD + MOST_BYTES => Err(FrameTooLong),
        Some(length) => Ok(bytes.get(HEAD..length)),
        None => Ok(None),
    }
}

/// Takes a byte stream apart again. Holds one frame's beginning at most.
#[derive(Debug, Default)]
pub(crate) struct Deframer {
    partial: Vec<u8>,
}

impl Deframer {
    /// Gives each whole datagram to `handle`, in order. Datagrams are scratch to it.
    ///
    /// # Errors
    /// [`FrameTooLong`]; nothing more can be read from this stream.
    pub(crate) fn push(&mut self, bytes: &mut [u8], mut handle: impl FnMut(&mut [u8])) -> Result<(), FrameTooLong> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.partial.is_empty() {
                match frame_length(rest) {
                    Some(length) if length > HEAD + MOST_BYTES => return Err(FrameTooLong),
                    Some(length) if length <= rest.len() => {
                        let (frame, others) = rest.split_at_mut(length);
                        handle(&mut frame[HEAD..]);
                        rest = others;
                    }
                    _ => {
                        self.partial.extend_from_slice(rest);
                        return Ok(());
                    }
                }
                continue;
            }
            // First the head, then what it says is missing.
            let wanted = frame_length(&self.partial).unwrap_or(HEAD);
            if wanted > HEAD + MOST_BYTES {
                return Err(FrameTooLong);
            }
            let taken = (wanted - self.partial.len()).min(rest.len());
            let (head, others) = rest.split_at_mut(taken);
            self.partial.extend_from_slice(head);
            rest = others;
            if frame_length(&self.partial) == Some(self.partial.len()) {
                handle(&mut self.partial[HEAD..]);
                self.partial.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(sizes: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            write_frame(&vec![index as u8; *size], &mut bytes);
        }
        bytes
    }

    #[test]
    fn frames_survive_every_way_of_being_cut() {
        let sizes = [0, 1, 500, 2, MOST_BYTES, 0, 3];
        let whole = stream(&sizes);
        for step in (1..40).chain([499, 500, 501, 502, 2048, 2050, whole.len()]) {
            let (mut deframer, mut got) = (Deframer::default(), Vec::new());
            for part in whole.clone().chunks_mut(step) {
                deframer.push(part, |datagram| got.push(datagram.to_vec())).unwrap();
            }
            let wanted: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(index, size)| vec![index as u8; *size]).collect();
            assert_eq!(got, wanted, "in steps of {step}");
            assert!(deframer.partial.is_empty());
        }
    }

    #[test]
    fn a_frame_longer_than_any_datagram_of_ours_ends_the_stream() {
        let mut long = stream(&[MOST_BYTES + 1]);
        assert_eq!(first_datagram(&long), Err(FrameTooLong));
        assert_eq!(Deframer::default().push(&mut long, |_| panic!("handed on")), Err(FrameTooLong));
        let mut bytewise = Deframer::default();
        let end = long.iter_mut().try_for_each(|byte| bytewise.push(std::slice::from_mut(byte), |_| {}));
        assert_eq!(end, Err(FrameTooLong));
        assert!(bytewise.partial.len() <= HEAD, "nothing of it is kept");
    }

    #[test]
    fn the_first_datagram_waits_for_its_end() {
        let whole = stream(&[20, 30]);
        for end in 0..22 {
            assert_eq!(first_datagram(&whole[..end]), Ok(None));
        }
        assert_eq!(first_datagram(&whole), Ok(Some(&[0; 20][..])));
    }
}
