//! RTP, RTCP, SRTP, SDP and payload formats: bytes in, bytes out.
//!
//! No state but what a format itself needs, no I/O, no clock. Everything that reads takes hostile bytes: it is bounded,
//! never panics and says what is wrong.
#![warn(missing_docs)]
pub mod av1;
pub mod h264;
pub mod red;
pub mod resolution;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod stun;
pub mod vp8;
pub mod vp9;
