//! Waking: an eventfd to wait on, and a bounded inbox that wakes its reader once a burst.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;

/// A counter that `poll` sees as readable once it was raised.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// # Errors
    /// The kernel's, when the process has no descriptor left.
    pub fn new() -> io::Result<Wake> {
        // SAFETY: a plain system call; the descriptor is owned from here on.
        unsafe {
            let raw = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if raw < 0 { Err(io::Error::last_os_error()) } else { Ok(Wake(OwnedFd::from_raw_fd(raw))) }
        }
    }

    /// Makes the descriptor readable; from any thread.
    pub fn raise(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes are read from `one`. It fails only when the counter is full, and then the reader wakes anyway.
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    /// Makes it unreadable again.
    pub fn lower(&self) {
        let mut count = 0_u64;
        // SAFETY: eight bytes are written to `count`. "Nothing to read" is what we want.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }

    /// The descriptor, to wait on.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A bounded queue without locks from any thread to one worker.
#[derive(Debug)]
pub struct Inbox<T> {
    queue: ArrayQueue<T>,
    wake: Wake,
    /// The reader is awake or about to be: no need to raise the eventfd again.
    awake: AtomicBool,
    overflows: AtomicU64,
}

impl<T> Inbox<T> {
    /// # Errors
    /// The kernel's, when the process has no descriptor left.
    pub fn new(capacity: usize) -> io::Result<Inbox<T>> {
        Ok(Inbox {
            queue: ArrayQueue::new(capacity),
            wake: Wake::new()?,
            awake: AtomicBool::new(true),
            overflows: AtomicU64::new(0),
        })
    }

    /// Puts `item` in. Gives it back when the reader is so late that the queue is full, which is counted.
    pub fn push(&self, item: T) -> Result<(), T> {
        let result = self.queue.push(item);
        if result.is_err() {
            self.overflows.fetch_add(1, Ordering::Relaxed);
        }
        if !self.awake.swap(true, Ordering::SeqCst) {
            self.wake.raise();
        }
        result
    }

    /// The oldest item.
    pub fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// How many items found no room, ever.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// To be called by the reader before it waits on [`Inbox::fd`]. False: something came in the meantime, don't wait.
    pub fn rest(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        if self.queue.is_empty() {
            return true;
        }
        self.awake.store(true, Ordering::SeqCst);
        false
    }

    /// To be called by the reader after it waited.
    pub fn rise(&self) {
        self.awake.store(true, Ordering::SeqCst);
        self.wake.lower();
    }

    /// The descriptor to wait on, after [`Inbox::rest`] has said yes.
    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn readable(fd: RawFd, timeout_ms: i32) -> bool {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
    }

    #[test]
    fn a_burst_of_pushes_wakes_once() {
        let inbox = Inbox::new(8).unwrap();
        assert!(inbox.rest());
        for item in 0..3 {
            inbox.push(item).unwrap();
        }
        assert!(readable(inbox.fd(), 0));
        inbox.rise();
        assert!(!readable(inbox.fd(), 0), "one read takes the wake of all three");
        assert_eq!((inbox.pop(), inbox.pop(), inbox.pop(), inbox.pop()), (Some(0), Some(1), Some(2), None));
    }

    #[test]
    fn no_item_is_slept_over() {
        let inbox = Arc::new(Inbox::new(1024).unwrap());
        let writer = {
            let inbox = Arc::clone(&inbox);
            std::thread::spawn(move || {
                for mut item in 0..20_000_u32 {
                    while let Err(back) = inbox.push(item) {
                        item = back;
                        std::thread::yield_now();
                    }
                }
            })
        };
        let mut next = 0;
        while next < 20_000 {
            while let Some(item) = inbox.pop() {
                assert_eq!(item, next);
                next += 1;
            }
            if next < 20_000 && inbox.rest() {
                assert!(readable(inbox.fd(), 5_000), "asleep with {next} items read");
                inbox.rise();
            }
        }
        writer.join().unwrap();
    }

    #[test]
    fn a_full_inbox_gives_the_item_back_and_counts() {
        let inbox = Inbox::new(1).unwrap();
        inbox.push('a').unwrap();
        assert_eq!(inbox.push('b'), Err('b'));
        assert_eq!(inbox.overflows(), 1);
    }
}
