//! The threads' view of the operating system: waiting, processor time, cores, randomness.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::RawFd;
use std::time::Duration;

/// Waits until one of the descriptors is readable, or `timeout` (None: for ever) has passed.
pub(crate) fn wait<const COUNT: usize>(descriptors: [RawFd; COUNT], timeout: Option<Duration>) {
    let mut descriptors = descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: COUNT valid descriptors' entries and a timespec or null. An interruption is as good as a wake.
    unsafe { libc::ppoll(descriptors.as_mut_ptr(), COUNT as libc::nfds_t, timeout, std::ptr::null()) };
}

/// Processor time that the calling thread has used.
pub(crate) fn cpu_of_this_thread() -> Duration {
    // SAFETY: the clock exists on every Linux; `time` lives for the call.
    let time = unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Keeps the calling thread on one core. A refusal (a container's cpuset) leaves it free.
pub(crate) fn pin_to_core(core: usize) {
    // SAFETY: a zeroed set is an empty one; CPU_SET checks the index against its size.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Puts the calling thread before the ordinary ones: a packet is late after a millisecond, a picture that is being rendered
/// after 40. Without the privilege it stays an ordinary one.
pub(crate) fn hurry() {
    const NICENESS: libc::c_int = -10;
    // SAFETY: a plain system call; on Linux it changes the calling thread only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}

/// 32 bytes from the operating system.
pub(crate) fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    // SAFETY: the buffer has the length given. Up to 256 bytes come whole (getrandom(2)).
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if count == bytes.len() as isize { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}
