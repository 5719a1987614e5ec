//! Work on several threads that borrow what they work on.

use std::thread;

/// Does the same work on `count` threads, one of which is the calling one, until all have returned.
pub(super) fn on_threads(count: usize, work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 1..count {
            scope.spawn(&work);
        }
        work();
    });
}
