//! The search: libFuzzer over the entry point that `FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    // A session lives for many inputs: a panic leaves all of them as one, beside the last one, which libFuzzer writes.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(path) = std::env::var("FUZZ_HISTORY") {
            let _ = std::fs::write(path, fuzz::history());
        }
        before(panic);
    }));
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name:?} is no entry point; see fuzz::TARGETS"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
