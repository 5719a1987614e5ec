//! Children by their process IDs: signals to them, and their ends. A parent that reaps every child
//! by itself knows that an ID stays that of the child until then.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, set_parent_process_death_signal,
    wait, waitid,
};
use std::fmt;
use std::io;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
}

impl fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Killed(signal) => match signal_name(signal) {
                Some(name) => f.write_str(name),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

/// The name of a signal that ends processes.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGKILL => "SIGKILL (an administrator's, or the kernel's for want of memory)",
        libc::SIGABRT => "SIGABRT (a failed assertion)",
        libc::SIGSYS => "SIGSYS (a system call that its sandbox forbids)",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGBUS => "SIGBUS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        _ => return None,
    })
}

/// Reaps a child that has ended, if there is one: also one that this process inherited, as the
/// first process of a container does.
#[must_use]
pub fn reap() -> Option<(u32, ProcessEnd)> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let end = match (status.exit_status(), status.terminating_signal()) {
                    (Some(status), _) => ProcessEnd::Exited(status),
                    (None, Some(signal)) => ProcessEnd::Killed(signal),
                    // Stopped or continued, which wasn't asked for.
                    (None, None) => continue,
                };
                return Some((pid.as_raw_nonzero().get().unsigned_abs(), end));
            }
            Err(Errno::INTR) => {}
            // ECHILD: there is no child.
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Whether this ID is that of a child, which may have ended but was not reaped.
#[must_use]
pub fn is_child(id: u32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    pid(id).is_some_and(|pid| waitid(WaitId::Pid(pid), options).is_ok())
}

/// Sends a signal to a child that was not reaped. One that has ended takes no notice.
///
/// # Errors
/// `EPERM` if the child has become another user, and this process may not signal that one.
///
/// # Panics
/// If there is no such signal.
pub fn signal_child(id: u32, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal).expect("the signal has a name");
    let Some(pid) = pid(id).filter(|_| is_child(id)) else { return Ok(()) };
    Ok(kill_process(pid, signal)?)
}

/// Has the kernel kill this process when its parent ends (`PR_SET_PDEATHSIG`, prctl(2)). A copy
/// made by [`fork_sibling`](super::fork::fork_sibling) has to call it anew.
///
/// # Errors
/// If the parent has ended already.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let current = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if current == Some(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_a_child_is_signalled() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(is_child(child.id()));
        assert!(!is_child(1) && !is_child(0) && !is_child(u32::MAX));
        signal_child(child.id(), libc::SIGKILL).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
        assert!(!is_child(child.id()));
        signal_child(child.id(), libc::SIGKILL).expect("it was reaped, so nothing is signalled");
    }

    #[test]
    fn an_end_is_described_by_its_cause() {
        assert_eq!(ProcessEnd::Exited(3).to_string(), "exit status 3");
        assert!(ProcessEnd::Killed(libc::SIGSYS).to_string().contains("sandbox"));
        assert_eq!(ProcessEnd::Killed(64).to_string(), "signal 64");
    }
}
