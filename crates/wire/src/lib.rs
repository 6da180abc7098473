//! RTP, RTCP, SRTP, SDP and payload formats: bytes in, bytes out.
