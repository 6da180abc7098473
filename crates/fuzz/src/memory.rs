//! What is allocated, counted: a session may hold so much and no more, whatever its peer does.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count of what is held beyond what was given back, for each thread.
struct Counting;

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // a thread that is going away counts nothing
    let _ = WATCHING.try_with(|watching| {
        if watching.get() {
            HELD.with(|held| held.set(held.get() + bytes));
        }
    });
}

// SAFETY: hands every call on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Does `work`; bytes that it has allocated and not given back, below zero where it gave back more.
pub(crate) fn held<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = HELD.with(Cell::get);
    let outer = WATCHING.with(|watching| watching.replace(true));
    let result = work();
    WATCHING.with(|watching| watching.set(outer));
    (result, HELD.with(Cell::get) - before)
}
