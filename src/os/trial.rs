//! Work that is tried in a child process, because it may end the process or change it for good: a
//! system call that a filter kills for, the loss of privileges.

use super::fork::{ForkError, ForkSide, fork_child};
use super::poll::wait_readable;
use super::process;
use super::reaping::{ProcessEnd, die_with_parent};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The end of a trial.
#[derive(Debug)]
pub enum TrialEnd {
    /// The child has done its work; these bytes are its report.
    Reported(Vec<u8>),
    /// The child ended without a report.
    Ended(ProcessEnd),
    /// The child didn't end in time, and was killed.
    TimedOut,
}

/// Does `work` in a child process, which reports at most [`REPORT_BYTES_MAX`] bytes, and waits for
/// its end, at most for `limit`. The child ends without destructors: nothing of its copy of this
/// process is torn down.
///
/// # Errors
/// If there are several threads, or the kernel refuses a child or a pipe.
pub fn in_child(limit: Duration, work: impl FnOnce() -> Vec<u8>) -> Result<TrialEnd, ForkError> {
    let (reader, writer) = io::pipe().map_err(ForkError::Refused)?;
    let parent = std::process::id();
    match fork_child()? {
        ForkSide::Copy => {
            drop(reader);
            be_child(parent, writer, work)
        }
        ForkSide::Original { copy } => {
            drop(writer);
            Ok(await_end(copy, reader, limit))
        }
    }
}

/// The longest report: a pipe takes it at once, whether or not it is read (`PIPE_BUF`, pipe(7)).
pub const REPORT_BYTES_MAX: usize = super::poll::PIPE_BUF;

fn be_child(parent: u32, mut writer: io::PipeWriter, work: impl FnOnce() -> Vec<u8>) -> ! {
    /// Ends the child where a panic would go on in its copy of the parent's stack.
    struct EndOnPanic;
    impl Drop for EndOnPanic {
        fn drop(&mut self) {
            process::end(PANICKED);
        }
    }
    let _end = EndOnPanic;
    if die_with_parent(parent).is_err() {
        process::end(1);
    }
    let mut report = work();
    report.truncate(REPORT_BYTES_MAX);
    let sent = writer.write_all(&report);
    process::end(sent.is_err().into())
}

/// The exit status of Rust programs that panic.
const PANICKED: u8 = 101;

fn await_end(child: u32, mut reader: PipeReader, limit: Duration) -> TrialEnd {
    let started = Instant::now();
    let mut report = Vec::new();
    let mut place = [0; REPORT_BYTES_MAX];
    loop {
        let left = limit.saturating_sub(started.elapsed());
        match wait_readable(reader.as_fd(), left) {
            Ok(true) => match reader.read(&mut place) {
                Ok(0) => break,
                Ok(len) => report.extend_from_slice(&place[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A pipe has no other error.
                Err(_) => break,
            },
            Ok(false) => {
                kill(child);
                reap(child);
                return TrialEnd::TimedOut;
            }
            // An interruption.
            Err(_) => {}
        }
    }
    match reap(child) {
        // `None`: it was reaped elsewhere, which takes a wait with `__WALL`; no part makes one.
        Some(ProcessEnd::Exited(0)) | None => TrialEnd::Reported(report),
        Some(end) => TrialEnd::Ended(end),
    }
}

fn kill(child: u32) {
    // Not reaped yet, so that the ID is that of the child.
    let _ = pid(child).map(|pid| kill_process(pid, Signal::KILL));
}

/// Waits for the end of a child whose pipe is closed or which was killed.
fn reap(child: u32) -> Option<ProcessEnd> {
    let any_exit_signal = WaitOptions::from_bits_retain(libc::__WALL.unsigned_abs());
    loop {
        match waitpid(pid(child), any_exit_signal) {
            Ok(Some((_, status))) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => return Some(ProcessEnd::Exited(status)),
                (None, Some(signal)) => return Some(ProcessEnd::Killed(signal)),
                // Stopped or continued, which wasn't asked for.
                (None, None) => {}
            },
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

fn pid(child: u32) -> Option<Pid> {
    i32::try_from(child).ok().and_then(Pid::from_raw)
}
