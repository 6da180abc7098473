//! Our own candidates: each address serves UDP and, as the passive side, TCP (RFC 6544) on one port.
use std::fmt::Write as _;
use std::net::SocketAddr;

use str0m::Candidate;
use str0m::net::TcpType;
use wire::sdp::Description;

use crate::entropy::Credentials;

/// Type preferences of RFC 8445 5.1.2.1 for host candidates. TCP's is below every kind of UDP but a relayed one, as in libwebrtc:
/// what is lost on TCP holds up all that comes after it.
const UDP_PREFERENCE: u32 = 126;
const TCP_PREFERENCE: u32 = 90;

/// What an ICE agent must know of our addresses. Unspecified and multicast ones are left out: nobody can be reached there.
pub(crate) fn local_candidates(addresses: &[SocketAddr]) -> impl Iterator<Item = Candidate> + '_ {
    addresses.iter().flat_map(|address| {
        let tcp = Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build();
        [Candidate::host(*address, "udp").ok(), tcp.ok()].into_iter().flatten()
    })
}

/// Host candidates of all addresses, and the end of them.
pub(crate) fn write_candidates(sdp: &mut String, addresses: &[SocketAddr]) {
    let transports = [("udp", UDP_PREFERENCE, ""), ("tcp", TCP_PREFERENCE, " tcptype passive")];
    for (transport, preference, role) in transports {
        for (index, address) in addresses.iter().enumerate() {
            // local preference by order, component 1
            let priority = (preference << 24) + ((65_535 - index as u32) << 8) + 255;
            let foundation = if transport == "udp" { index + 1 } else { addresses.len() + index + 1 };
            let (ip, port) = (address.ip(), address.port());
            let _ = write!(sdp, "a=candidate:{foundation} 1 {transport} {priority} {ip} {port} typ host{role}\r\n");
        }
    }
    sdp.push_str("a=end-of-candidates\r\n");
}

/// The body of a PATCH answer after an ICE restart (RFC 8840 9.2): credentials and candidates below the section that the request
/// named, which is the one that carries the bundle.
pub(crate) fn write_fragment(asked: &Description, credentials: &Credentials, addresses: &[SocketAddr]) -> String {
    let mut fragment = String::from("a=ice-options:trickle\r\n");
    if let Some(media) = asked.media.first() {
        let _ = write!(fragment, "m={} 9 {} {}\r\n", media.kind, media.protocol, media.formats.join(" "));
        if let Some(mid) = media.mid() {
            let _ = write!(fragment, "a=mid:{mid}\r\n");
        }
    }
    let Credentials { ufrag, password } = credentials;
    let _ = write!(fragment, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    write_candidates(&mut fragment, addresses);
    fragment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_named_for_udp_and_then_for_tcp() {
        let addresses = ["192.0.2.1:7900".parse().unwrap(), "[2001:db8::1]:7900".parse().unwrap()];
        let mut sdp = String::new();
        write_candidates(&mut sdp, &addresses);
        let lines: Vec<&str> = sdp.lines().collect();
        assert_eq!(
            lines,
            [
                "a=candidate:1 1 udp 2130706431 192.0.2.1 7900 typ host",
                "a=candidate:2 1 udp 2130706175 2001:db8::1 7900 typ host",
                "a=candidate:3 1 tcp 1526726655 192.0.2.1 7900 typ host tcptype passive",
                "a=candidate:4 1 tcp 1526726399 2001:db8::1 7900 typ host tcptype passive",
                "a=end-of-candidates",
            ]
        );
        assert_eq!(local_candidates(&addresses).count(), 4);
    }

    #[test]
    fn a_restart_is_answered_under_the_section_that_asked() {
        let credentials = Credentials { ufrag: "AAxy".into(), password: "p".repeat(24) };
        let addresses = ["192.0.2.1:7900".parse().unwrap()];
        let asked = "a=ice-ufrag:abcd\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:7\r\n";
        let fragment = write_fragment(&Description::parse_fragment(asked).unwrap(), &credentials, &addresses);
        assert!(fragment.starts_with(
            "a=ice-options:trickle\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:7\r\na=ice-ufrag:AAxy\r\n"
        ));
        let read = Description::parse_fragment(&fragment).unwrap();
        assert_eq!((read.media.len(), read.candidates().len()), (1, 2));
        let bare =
            write_fragment(&Description::parse_fragment("a=ice-ufrag:abcd\r\n").unwrap(), &credentials, &addresses);
        assert!(!bare.contains("m=") && bare.contains("a=ice-pwd:pp"));
    }
}
