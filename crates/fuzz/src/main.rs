//! The search: libFuzzer over the entry point that `FUZZ_TARGET` names.
#![no_main]

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    // A session lives for many inputs: a panic leaves all of them as one, beside the last one, which libFuzzer writes.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(path) = std::env::var("FUZZ_HISTORY") {
            let _ = std::fs::write(path, fuzz::history());
        }
        // what `sfu` catches (contradictions in an offer, an association that breaks) is no find; what nobody catches ends the search
        // all the same
        let caught = |file: &str| ["/str0m-", "/sctp-proto-"].iter().any(|library| file.contains(library));
        if !panic.location().is_some_and(|place| caught(place.file())) {
            before(panic);
        }
    }));
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name)
        .unwrap_or_else(|| panic!("FUZZ_TARGET={name:?} is no entry point; see fuzz::PARSERS and fuzz::SESSIONS"))
});

/// More memory than this, resident, and a session is taken to grow without bound (64-bit systems of 4 kB pages).
const MOST_PAGES: usize = 400 << 20 >> 12;

fn resident_pages() -> usize {
    let figures = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    figures.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// CPU time of this thread: what counts when others keep the machine busy, or stop the search for a while.
fn cpu() -> Duration {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(figures.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

thread_local! {
    /// A time at most a second before the last input, and the CPU time then: asking for each input would cost more than it.
    static CHECKPOINT: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let began = Instant::now();
    let fresh = CHECKPOINT.get().filter(|(at, _)| began.duration_since(*at) < Duration::from_secs(1));
    let (_, before) = fresh.unwrap_or_else(|| (began, cpu()));
    CHECKPOINT.set(Some(fresh.unwrap_or((began, before))));
    TARGET(data);
    if began.elapsed() > Duration::from_millis(100) {
        let took = cpu().saturating_sub(before);
        assert!(took < Duration::from_secs(6), "an input took {took:?} of CPU time");
        assert!(resident_pages() < MOST_PAGES, "an input took {:?} and the memory is full", began.elapsed());
    }
});
