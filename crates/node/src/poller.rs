//! Waiting on many descriptors (epoll), each known by a number.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Events taken by one call.
const EVENTS: usize = 128;

/// What to wake for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Something to read, or the end.
    Read,
    /// The same, told once for all that has come in so far.
    ReadOnce,
    /// Something to read, or room to write.
    ReadWrite,
    /// Nothing but a failure.
    Paused,
}

/// What a descriptor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) id: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// A set of descriptors; itself one that can be waited on. A descriptor that is closed leaves by itself.
#[derive(Debug)]
pub(crate) struct Poller(OwnedFd);

impl Poller {
    /// # Errors
    /// The kernel's, when the process has no descriptor left.
    pub(crate) fn new() -> io::Result<Poller> {
        // SAFETY: a plain system call; the descriptor is owned from here on.
        unsafe {
            let raw = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if raw < 0 { Err(io::Error::last_os_error()) } else { Ok(Poller(OwnedFd::from_raw_fd(raw))) }
        }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// # Errors
    /// The kernel's, when it has no memory for one more.
    pub(crate) fn add(&self, fd: RawFd, id: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, id, interest)
    }

    /// # Errors
    /// The kernel's, when `fd` was never added.
    pub(crate) fn change(&self, fd: RawFd, id: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, id, interest)
    }

    /// Leaves a descriptor that goes on elsewhere.
    pub(crate) fn remove(&self, fd: RawFd) {
        // SAFETY: a plain system call; the event is not read.
        unsafe { libc::epoll_ctl(self.fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, id: u64, interest: Interest) -> io::Result<()> {
        let events = match interest {
            Interest::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Interest::ReadOnce => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET,
            Interest::ReadWrite => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLOUT,
            Interest::Paused => 0,
        };
        let mut event = libc::epoll_event { events: events as u32, u64: id };
        // SAFETY: `event` lives for the call.
        if unsafe { libc::epoll_ctl(self.fd(), operation, fd, &raw mut event) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Appends what is ready to `ready`, waiting up to `timeout` (None: for ever) when nothing is. A failure reads as readable:
    /// the read will tell.
    pub(crate) fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // Rounded up: a deadline must have passed when the call returns for it.
        let timeout = timeout.map_or(-1, |timeout| timeout.as_micros().div_ceil(1000).min(60_000) as libc::c_int);
        // SAFETY: room for EVENTS events. An interruption is as good as a wake.
        let count = unsafe { libc::epoll_wait(self.fd(), events.as_mut_ptr(), EVENTS as libc::c_int, timeout) };
        for event in events.iter().take(usize::try_from(count).unwrap_or(0)) {
            let flags = event.events as libc::c_int;
            ready.push(Ready {
                id: event.u64,
                readable: flags & !libc::EPOLLOUT != 0,
                writable: flags & libc::EPOLLOUT != 0,
            });
        }
    }
}
