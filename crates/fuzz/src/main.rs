//! The search: libFuzzer over the entry point that `FUZZ_TARGET` names.
#![no_main]

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

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let began = Instant::now();
    TARGET(data);
    if began.elapsed() > Duration::from_millis(100) {
        assert!(began.elapsed() < Duration::from_secs(5), "an input took {:?}", began.elapsed());
        assert!(resident_pages() < MOST_PAGES, "an input took {:?} and the memory is full", began.elapsed());
    }
});
