//! Datagrams in: up to 64 a system call, each handed on as a slice of one buffer.

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;

use crate::socket::{SockAddr, UdpSocket};

/// Datagrams read by one system call.
pub const BATCH: usize = 64;
/// Room for one datagram. Media and DTLS fit an Ethernet frame; what is longer is nothing that we asked for.
const DATAGRAM_BYTES: usize = 2048;

/// Counters of what came in.
#[derive(Debug, Default, Clone, Copy)]
pub struct ReceiveStats {
    /// Datagrams that came.
    pub datagrams: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// System calls.
    pub calls: u64,
    /// Longer than any datagram that we accept; dropped.
    pub truncated: u64,
    /// Errors of the system call other than "nothing there", such as an ICMP answer to something sent.
    pub errors: u64,
}

/// Reads a socket in batches, without allocation.
pub struct Receiver {
    buffer: Box<[u8]>,
    names: Box<[SockAddr]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// Counters since it was made.
    pub stats: ReceiveStats,
}

// SAFETY: the raw pointers point only into this value's own boxes and are rewritten before each call.
unsafe impl Send for Receiver {}

impl Receiver {
    /// With buffers for one batch.
    pub fn new() -> Receiver {
        // SAFETY: all-zero headers and vectors are valid: null pointers of length zero.
        let (vectors, headers) = unsafe { (vec![zeroed(); BATCH], vec![zeroed(); BATCH]) };
        Receiver {
            buffer: vec![0; BATCH * DATAGRAM_BYTES].into(),
            names: vec![SockAddr::empty(); BATCH].into(),
            vectors: vectors.into(),
            headers: headers.into(),
            stats: ReceiveStats::default(),
        }
    }

    /// Reads what is there, at most `batches` times [`BATCH`] datagrams, and gives each to `handle`. Returns how many the kernel gave.
    pub fn drain(
        &mut self,
        socket: &UdpSocket,
        batches: usize,
        mut handle: impl FnMut(SocketAddr, &mut [u8]),
    ) -> usize {
        let mut total = 0;
        for _ in 0..batches {
            let count = self.receive(socket, &mut handle);
            total += count;
            if count < BATCH {
                break;
            }
        }
        total
    }

    /// Reads what is there, at most [`BATCH`] datagrams, and gives each to `handle`. Returns how many the kernel gave: fewer than
    /// [`BATCH`] means that the socket is empty now.
    pub fn receive(&mut self, socket: &UdpSocket, mut handle: impl FnMut(SocketAddr, &mut [u8])) -> usize {
        for index in 0..BATCH {
            self.vectors[index] = libc::iovec {
                // SAFETY: index * DATAGRAM_BYTES lies inside the buffer of BATCH * DATAGRAM_BYTES.
                iov_base: unsafe { self.buffer.as_mut_ptr().add(index * DATAGRAM_BYTES) }.cast(),
                iov_len: DATAGRAM_BYTES,
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.names[index].as_mut_ptr().cast();
            header.msg_namelen = self.names[index].capacity();
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_flags = 0;
        }
        self.stats.calls += 1;
        // SAFETY: each header points at a name, a vector and a buffer that live in self.
        let count = unsafe {
            libc::recvmmsg(
                socket.raw(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            if io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock {
                self.stats.errors += 1;
            }
            return 0;
        }
        let count = count as usize;
        for index in 0..count {
            let header = &self.headers[index];
            let length = header.msg_len as usize;
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                self.stats.truncated += 1;
                continue;
            }
            let Some(from) = self.names[index].to_std() else {
                self.stats.errors += 1;
                continue;
            };
            self.stats.datagrams += 1;
            self.stats.bytes += length as u64;
            let start = index * DATAGRAM_BYTES;
            handle(from, &mut self.buffer[start..start + length]);
        }
        count
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_order_and_source_and_drops_giants() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for index in 0..70_u8 {
            peer.send_to(&[index; 3], socket.local()).unwrap();
        }
        peer.send_to(&[0; 5000], socket.local()).unwrap();
        let mut receiver = Receiver::new();
        let mut seen = Vec::new();
        let mut collect = |from: SocketAddr, data: &mut [u8]| {
            assert_eq!(from, peer.local_addr().unwrap());
            seen.push((data[0], data.len()));
        };
        assert_eq!(receiver.receive(&socket, &mut collect), BATCH);
        assert_eq!(receiver.receive(&socket, &mut collect), 7);
        assert_eq!(receiver.receive(&socket, &mut collect), 0);
        assert_eq!(seen, (0..70).map(|index| (index, 3)).collect::<Vec<_>>());
        assert_eq!((receiver.stats.truncated, receiver.stats.datagrams), (1, 70));
    }
}
