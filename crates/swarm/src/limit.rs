//! What the kernel alone allows: the datagrams of a burst to many addresses, without protection or choice, as a yardstick.
//!
//! At full tempo everything is in the caches, nobody sleeps and no reader has to be woken: a bound that no live stream can reach. At
//! the stream's own tempo the same loop waits for the next picture as a server does, and its readers sleep between two.
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::swarm::Epoll;

/// One frame's worth for one viewer: five equal video packets and two audio packets (192 packets/s at 25 frames/s, less
/// the key frames' extra ones).
const VIDEO: (usize, usize) = (5, 1140);
const AUDIO: (usize, usize) = (2, 120);

/// How the datagrams leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// One system call a datagram.
    Sendto,
    /// One system call a train: five video packets, with an audio packet as its short tail.
    Gso,
}

/// When they leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// One picture after the other, and the reader asks all sockets in turn without ever sleeping.
    Full,
    /// A picture each 40 ms with the first of its sounds, the second 20 ms later; the reader sleeps until something has come.
    Live,
}

/// Half a picture's time: sounds come at this pace.
const TICK: Duration = Duration::from_millis(20);

/// Sends for `time` to `viewers` sockets on loopback, which another thread empties. Returns datagrams per second of CPU time of the
/// sending thread.
pub fn kernel_limit(rung: Rung, tempo: Tempo, viewers: usize, time: Duration) -> io::Result<f64> {
    let sinks = (0..viewers).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<Vec<_>>>()?;
    for sink in &sinks {
        sink.set_nonblocking(true)?;
    }
    let addresses = sinks.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| match tempo {
            Tempo::Full => {
                drain(&sinks, &stop);
                Ok(())
            }
            Tempo::Live => drain_woken(&sinks, &stop),
        });
        let sent = match tempo {
            Tempo::Full => send(rung, &addresses, time),
            Tempo::Live => send_live(rung, &addresses, time),
        };
        stop.store(true, Ordering::Relaxed);
        sent
    })
}

fn drain(sinks: &[UdpSocket], stop: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        for sink in sinks {
            while sink.recv_from(&mut buffer).is_ok() {}
        }
    }
}

/// As [`crate::Swarm`] reads: one thread that sleeps until a socket has something.
fn drain_woken(sinks: &[UdpSocket], stop: &AtomicBool) -> io::Result<()> {
    let epoll = Epoll::new()?;
    for (id, sink) in sinks.iter().enumerate() {
        epoll.add(sink, id as u64)?;
    }
    let mut buffer = [0; 2048];
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
    while !stop.load(Ordering::Relaxed) {
        let ready = epoll.wait(&mut events, TICK);
        for event in &events[..ready] {
            while sinks[event.u64 as usize].recv_from(&mut buffer).is_ok() {}
        }
    }
    Ok(())
}

fn send_live(rung: Rung, addresses: &[SocketAddr], time: Duration) -> io::Result<f64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let bytes = vec![0x5A; VIDEO.0 * VIDEO.1 + AUDIO.1];
    let (mut datagrams, began, cpu) = (0u64, Instant::now(), thread_cpu());
    for tick in 0u32.. {
        let due = TICK * tick;
        if due >= time {
            break;
        }
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let picture = tick % 2 == 0;
        for address in addresses {
            match (picture, rung) {
                (true, Rung::Gso) => train(&socket, &bytes, VIDEO.1 as u16, address)?,
                (true, Rung::Sendto) => {
                    for _ in 0..VIDEO.0 {
                        socket.send_to(&bytes[..VIDEO.1], address)?;
                    }
                    socket.send_to(&bytes[..AUDIO.1], address)?;
                }
                (false, _) => {
                    socket.send_to(&bytes[..AUDIO.1], address)?;
                }
            }
        }
        datagrams += addresses.len() as u64 * if picture { VIDEO.0 as u64 + 1 } else { 1 };
    }
    Ok(datagrams as f64 / (thread_cpu() - cpu).as_secs_f64())
}

fn send(rung: Rung, addresses: &[SocketAddr], time: Duration) -> io::Result<f64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let bytes = vec![0x5A; VIDEO.0 * VIDEO.1 + AUDIO.1];
    let (mut datagrams, end, cpu) = (0u64, Instant::now() + time, thread_cpu());
    while Instant::now() < end {
        for address in addresses {
            match rung {
                Rung::Sendto => {
                    for _ in 0..VIDEO.0 {
                        socket.send_to(&bytes[..VIDEO.1], address)?;
                    }
                    for _ in 0..AUDIO.0 {
                        socket.send_to(&bytes[..AUDIO.1], address)?;
                    }
                }
                Rung::Gso => {
                    train(&socket, &bytes, VIDEO.1 as u16, address)?;
                    socket.send_to(&bytes[..AUDIO.1], address)?;
                }
            }
            datagrams += (VIDEO.0 + AUDIO.0) as u64;
        }
    }
    Ok(datagrams as f64 / (thread_cpu() - cpu).as_secs_f64())
}

/// One message that the kernel cuts into datagrams of `segment` bytes (UDP_SEGMENT).
fn train(socket: &UdpSocket, bytes: &[u8], segment: u16, to: &SocketAddr) -> io::Result<()> {
    let SocketAddr::V4(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
    let mut address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
        sin_zero: [0; 8],
    };
    let mut piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = [0u64; 4];
    // SAFETY: an all-zero msghdr is a valid value of that plain structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut address).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: `control` is aligned and large enough for one header with two bytes; all pointers live through the call.
    let sent = unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as u32) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as usize;
        libc::CMSG_DATA(header).cast::<u16>().write_unaligned(segment);
        libc::sendmsg(socket.as_raw_fd(), &raw const message, 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that the call fills.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_rungs_send_at_both_tempi() {
        for rung in [Rung::Sendto, Rung::Gso] {
            for tempo in [Tempo::Full, Tempo::Live] {
                assert!(kernel_limit(rung, tempo, 4, Duration::from_millis(50)).unwrap() > 0.0);
            }
        }
    }
}
