//! Sockets of our pulls. Each pull dials out from a port of its own: two nodes that share many streams would otherwise exchange
//! them all between one pair of addresses, where nothing says which session a DTLS or SRTP packet is for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::poller::{Interest, Poller, Ready};
use crate::socket::UdpSocket;

/// The sockets of one worker's pulls, each known by the place of its source. One that is closed leaves by itself.
#[derive(Debug)]
pub(crate) struct Dials {
    poller: Poller,
}

impl Dials {
    /// # Errors
    /// The kernel's, when the process has no descriptor left.
    pub(crate) fn new() -> io::Result<Dials> {
        Ok(Dials { poller: Poller::new()? })
    }

    /// Readable while a socket is.
    pub(crate) fn fd(&self) -> std::os::fd::RawFd {
        self.poller.fd()
    }

    /// A socket on a free port of `host`, to be told as `slot`.
    ///
    /// # Errors
    /// The kernel's, when it has no port, descriptor or memory left.
    pub(crate) fn dial(&self, host: IpAddr, slot: usize) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(SocketAddr::new(host, 0), false)?;
        self.poller.add(socket.raw(), slot as u64, Interest::Read)?;
        Ok(socket)
    }

    /// Appends the sockets that have something to read, by their places.
    pub(crate) fn ready(&self, ready: &mut Vec<Ready>) {
        self.poller.wait(Some(Duration::ZERO), ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_a_port_of_its_own_and_tells_of_itself_until_it_is_closed() {
        let dials = Dials::new().unwrap();
        let readable = || {
            let mut ready = Vec::new();
            dials.ready(&mut ready);
            let mut slots: Vec<u64> = ready.into_iter().map(|ready| ready.id).collect();
            slots.sort_unstable();
            slots
        };
        let host = "127.0.0.1".parse().unwrap();
        let (first, second) = (dials.dial(host, 4).unwrap(), dials.dial(host, 9).unwrap());
        assert_ne!(first.local().port(), second.local().port());
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for socket in [&first, &second] {
            peer.send_to(b"x", socket.local()).unwrap();
        }
        assert_eq!(readable(), [4, 9]);
        drop(first);
        assert_eq!(readable(), [9]);
    }
}
