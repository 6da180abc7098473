//! One port for media, for UDP with one socket a worker and for TCP: binding by `SO_REUSEPORT`, buffers, and the addresses that we may be reached at.

use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Wanted kernel buffers. A burst of 300 viewers x 40 packets of a key frame is 14 MB; what the kernel grants is what we get.
const RECEIVE_BUFFER_BYTES: libc::c_int = 8 << 20;
const SEND_BUFFER_BYTES: libc::c_int = 32 << 20;

/// Connections that the kernel keeps until they are accepted.
const LISTEN_BACKLOG: libc::c_int = 512;

/// A bound, non-blocking UDP socket of one worker.
#[derive(Debug, Clone)]
pub struct UdpSocket {
    fd: Arc<OwnedFd>,
    local: SocketAddr,
}

impl UdpSocket {
    /// Binds `address`; `shared` lets other workers of this process bind it too.
    ///
    /// # Errors
    /// The kernel's, when the address is not ours or the port is taken by another program.
    pub fn bind(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: plain system calls on values that live for the call; the descriptor is owned from here on.
        let fd = unsafe {
            let raw = libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(raw)
        };
        let socket = UdpSocket { fd: Arc::new(fd), local: address };
        // Not for a lone worker: two nodes by mistake on one port would share its datagrams instead of failing.
        if shared {
            socket.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        if address.is_ipv6() {
            // "::" serves IPv4 too, as mapped addresses.
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0)?;
        }
        // A refusal (no privilege) leaves the limit of net.core.rmem_max, and that is no error.
        if socket.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES).is_err() {
            let _ = socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER_BYTES);
        }
        if socket.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER_BYTES).is_err() {
            let _ = socket.set(libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER_BYTES);
        }
        let name = SockAddr::from(address);
        // SAFETY: `name` is a valid socket address of the length given.
        if unsafe { libc::bind(socket.raw(), name.as_ptr(), name.len()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut bound = SockAddr::empty();
        let mut length = bound.capacity();
        // SAFETY: `bound` has room for `length` bytes.
        if unsafe { libc::getsockname(socket.raw(), bound.as_mut_ptr(), &mut length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let local = bound.to_std().ok_or_else(|| io::Error::other("socket of an unknown address family"))?;
        Ok(UdpSocket { local, ..socket })
    }

    /// Address and port that the kernel gave.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn set(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        set_option(self.raw(), level, name, value)
    }
}

/// Listens for TCP connections on `address`, with "::" for IPv4 too.
///
/// # Errors
/// The kernel's, when the address is not ours or the port is taken.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: plain system calls on values that live for the call; the descriptor is owned from here on.
    let fd = unsafe {
        let raw = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(raw)
    };
    // A restart must not wait for connections of the one before to be forgotten.
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if address.is_ipv6() {
        set_option(fd.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0)?;
    }
    let name = SockAddr::from(address);
    // SAFETY: `name` is a valid socket address of the length given.
    let done = unsafe {
        libc::bind(fd.as_raw_fd(), name.as_ptr(), name.len()) == 0 && libc::listen(fd.as_raw_fd(), LISTEN_BACKLOG) == 0
    };
    if done { Ok(TcpListener::from(fd)) } else { Err(io::Error::last_os_error()) }
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option value is a c_int that lives for the call.
    let result =
        unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of_val(&value) as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket address as the kernel wants it: 28 bytes instead of the 128 of `sockaddr_storage`.
#[derive(Clone, Copy)]
pub(crate) union SockAddr {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl SockAddr {
    pub(crate) fn empty() -> SockAddr {
        // SAFETY: all-zero bytes are a valid value of each variant.
        unsafe { zeroed() }
    }

    pub(crate) fn capacity(&self) -> libc::socklen_t {
        size_of::<SockAddr>() as libc::socklen_t
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const *self).cast()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut *self).cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        // SAFETY: every variant begins with the family.
        match i32::from(unsafe { self.family }) {
            libc::AF_INET => size_of::<libc::sockaddr_in>() as libc::socklen_t,
            _ => size_of::<libc::sockaddr_in6>() as libc::socklen_t,
        }
    }

    /// The address in Rust's terms; mapped IPv4 addresses come out as IPv4. None when the kernel filled in another family.
    pub(crate) fn to_std(self) -> Option<SocketAddr> {
        // SAFETY: the family says which variant the kernel (or `From`) wrote.
        unsafe {
            match i32::from(self.family) {
                libc::AF_INET => Some(SocketAddr::V4(SocketAddrV4::new(
                    Ipv4Addr::from(u32::from_be(self.v4.sin_addr.s_addr)),
                    u16::from_be(self.v4.sin_port),
                ))),
                libc::AF_INET6 => {
                    let ip = Ipv6Addr::from(self.v6.sin6_addr.s6_addr);
                    let port = u16::from_be(self.v6.sin6_port);
                    Some(match ip.to_ipv4_mapped() {
                        Some(mapped) => SocketAddr::V4(SocketAddrV4::new(mapped, port)),
                        None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, self.v6.sin6_scope_id)),
                    })
                }
                _ => None,
            }
        }
    }

    /// The address as a socket of `family` must be told: an IPv6 socket wants IPv4 addresses mapped.
    pub(crate) fn for_socket(address: SocketAddr, ipv6_socket: bool) -> SockAddr {
        match address {
            SocketAddr::V4(v4) if ipv6_socket => {
                SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)).into()
            }
            other => other.into(),
        }
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(address: SocketAddr) -> SockAddr {
        let mut out = SockAddr::empty();
        match address {
            SocketAddr::V4(v4) => {
                out.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
            }
            SocketAddr::V6(v6) => {
                out.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
            }
        }
        out
    }
}

/// Addresses of this machine's interfaces that are up, loopback last; IPv6 link-local ones are left out (they need a zone
/// that a remote peer cannot know).
pub fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs fills `list`, which is walked as the linked list that it is and freed once.
    let mut found = unsafe {
        if libc::getifaddrs(&mut list) != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut found = Vec::new();
        let mut entry = list;
        while !entry.is_null() {
            let interface = &*entry;
            entry = interface.ifa_next;
            if interface.ifa_addr.is_null() || interface.ifa_flags & libc::IFF_UP as libc::c_uint == 0 {
                continue;
            }
            match i32::from((*interface.ifa_addr).sa_family) {
                libc::AF_INET => {
                    let v4 = &*interface.ifa_addr.cast::<libc::sockaddr_in>();
                    found.push(IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr))));
                }
                libc::AF_INET6 => {
                    let v6 = &*interface.ifa_addr.cast::<libc::sockaddr_in6>();
                    found.push(IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)));
                }
                _ => {}
            }
        }
        libc::freeifaddrs(list);
        found
    };
    found.retain(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    found.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_one_port() {
        let first = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), true).unwrap();
        let second = UdpSocket::bind(first.local(), true).unwrap();
        assert_eq!(first.local(), second.local());
        assert_ne!(first.local().port(), 0);
    }

    #[test]
    fn addresses_survive_the_kernel_form() {
        for text in ["192.0.2.7:1", "[2001:db8::1]:65535", "0.0.0.0:7900"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SockAddr::from(address).to_std(), Some(address));
        }
        let v4: SocketAddr = "192.0.2.7:9".parse().unwrap();
        assert_eq!(SockAddr::for_socket(v4, true).to_std(), Some(v4));
    }

    #[test]
    fn loopback_is_listed_last() {
        let found = interface_addresses().unwrap();
        assert!(found.last().is_some_and(IpAddr::is_loopback));
    }
}
