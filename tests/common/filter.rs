//! Filters of system calls, as container runtimes have them, around a part of a test.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::panic::resume_unwind;

/// Runs a part of a test in a thread whose system calls of these numbers come to `action`, and so
/// do those of the programs that it starts (seccomp(2)): a filter is inherited.
pub(crate) fn with_filter<T: Send>(
    calls: &[i64],
    action: SeccompAction,
    part: impl FnOnce() -> T + Send,
) -> T {
    let rules = calls.iter().map(|&call| (call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into().expect("the compiler of filters knows it");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch);
    let program: BpfProgram = filter.expect("the actions differ").try_into().expect("it is short");
    std::thread::scope(|scope| {
        let part = scope.spawn(|| {
            apply_filter(&program).expect("the kernel has filters");
            part()
        });
        part.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The system calls of `io_uring`.
pub(crate) const RING_CALLS: [i64; 3] =
    [libc::SYS_io_uring_setup, libc::SYS_io_uring_register, libc::SYS_io_uring_enter];

/// Has `io_uring_setup(2)` fail with this error, as a container's profile does.
pub(crate) fn without_rings<T: Send>(errno: i32, part: impl FnOnce() -> T + Send) -> T {
    with_filter(&RING_CALLS[..1], SeccompAction::Errno(errno.unsigned_abs()), part)
}
