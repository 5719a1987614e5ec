//! Child processes: started in a process group and on a core of their own, awaited together with an
//! interruption, ended by signals. Knows nothing of what they do.

use super::call::checked;
use super::poll::timespec;
use super::process::set_of_core;
use super::signal::no_signals;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open,
    set_parent_process_death_signal,
};
use rustix::thread::sched_setaffinity;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::time::Duration;

/// A child process that leads a process group. If it still runs when this is dropped, the whole
/// group is killed.
pub struct Process {
    child: Child,
    pidfd: OwnedFd,
    ended: Option<ExitStatus>,
}

/// The outcome of [`Process::wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The process has ended and was reaped, and the rest of its group was killed.
    Ended(ExitStatus),
    /// The descriptor of interruptions is readable.
    Interrupted,
    /// Neither happened within the time.
    TimedOut,
}

/// The fate of a process when the thread that started it ends, so that no core stays busy with a
/// process that no other one will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphan {
    /// SIGTERM, for programs of ours that obey it.
    Terminated,
    /// SIGKILL, for any other program.
    Killed,
}

impl Process {
    /// Starts a program, pinned to `core` if there is one.
    ///
    /// # Errors
    /// If the program can't be started, or the core doesn't exist or may not be used.
    pub fn start(command: Command, core: Option<u32>, orphan: Orphan) -> io::Result<Self> {
        Self::start_with(command, core, orphan, None)
    }

    /// Starts a program that inherits one more descriptor under its number.
    ///
    /// # Errors
    /// The errors of [`Process::start`].
    pub fn start_with(
        mut command: Command,
        core: Option<u32>,
        orphan: Orphan,
        inherits: Option<BorrowedFd<'_>>,
    ) -> io::Result<Self> {
        let inherits = inherits.into_iter().collect::<Vec<_>>();
        prepare(&mut command, core, orphan, &inherits)?;
        let mut child = command.process_group(0).spawn()?;
        let pidfd = pidfd_of(&child).inspect_err(|_| {
            // Both fail only if the child has ended.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self { child, pidfd, ended: None })
    }

    /// The process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, if the command asked for a pipe and this is the first call.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits until the process has ended, or until `interrupts` is readable.
    ///
    /// # Errors
    /// If the kernel can't wait (no memory).
    pub fn wait(
        &mut self,
        time: Duration,
        interrupts: Option<BorrowedFd<'_>>,
    ) -> io::Result<WaitOutcome> {
        if let Some(status) = self.ended {
            return Ok(WaitOutcome::Ended(status));
        }
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let pidfd = self.pidfd.as_fd();
        let mut entries = [readable(pidfd), readable(interrupts.unwrap_or(pidfd))];
        let entries = &mut entries[..=usize::from(interrupts.is_some())];
        match poll(entries, Some(&timespec(time))) {
            Err(Errno::INTR) => return Ok(WaitOutcome::TimedOut),
            outcome => outcome?,
        };
        let has_ended = !entries[0].revents().is_empty();
        let is_interrupted = entries[1..].iter().any(|entry| !entry.revents().is_empty());
        if has_ended {
            // Before it is reaped, as until then the group's number can't be another's.
            self.kill_group();
            let status = self.child.wait()?;
            self.ended = Some(status);
            return Ok(WaitOutcome::Ended(status));
        }
        Ok(if is_interrupted { WaitOutcome::Interrupted } else { WaitOutcome::TimedOut })
    }

    /// Sends SIGTERM to the process alone, which knows best what to do with its children.
    pub fn terminate(&self) {
        if self.ended.is_none() {
            // Fails only if the process has ended.
            let _ = kill_process(self.pid(), Signal::TERM);
        }
    }

    /// Sends SIGTERM to the whole group, for a leader that only waits for the others.
    pub fn terminate_group(&self) {
        if self.ended.is_none() {
            // Fails only if the process has ended.
            let _ = kill_process_group(self.pid(), Signal::TERM);
        }
    }

    /// Sends SIGKILL to the whole group.
    pub fn kill_group(&self) {
        if self.ended.is_none() {
            let _ = kill_process_group(self.pid(), Signal::KILL);
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill_group();
            let _ = self.child.wait();
        }
    }
}

/// Starts a program in a process group of its own that inherits these descriptors under their
/// numbers, and returns its ID. The caller reaps it ([`super::reaping`]); it is killed when the
/// calling thread ends.
///
/// # Errors
/// If the program can't be started.
pub fn start_heir(mut command: Command, inherits: &[BorrowedFd<'_>]) -> io::Result<u32> {
    prepare(&mut command, None, Orphan::Killed, inherits)?;
    Ok(command.process_group(0).spawn()?.id())
}

/// Has the child of a command set up what it inherits, before it becomes the program.
fn prepare(
    command: &mut Command,
    core: Option<u32>,
    orphan: Orphan,
    inherits: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let cores = core.map(set_of_core).transpose()?;
    let signal = match orphan {
        Orphan::Terminated => Signal::TERM,
        Orphan::Killed => Signal::KILL,
    };
    let inherits: Vec<_> = inherits.iter().map(AsRawFd::as_raw_fd).collect();
    let prepare = move || {
        set_parent_process_death_signal(Some(signal))?;
        reset_signals()?;
        if let Some(cores) = &cores {
            sched_setaffinity(None, cores)?;
        }
        for &number in &inherits {
            // SAFETY: the callers borrow the descriptors until `spawn` returns, and the child, in
            // which this runs, has copies of them that only this code uses.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes only system calls that are safe after
    // fork(2), reads memory of its own and allocates nothing, so it can't wait for a lock that
    // another thread of the parent held.
    unsafe { command.pre_exec(prepare) };
    Ok(())
}

/// Undoes, in a child, the signal settings that it inherits.
fn reset_signals() -> io::Result<()> {
    let none = no_signals();
    let (old, how) = (std::ptr::null_mut(), libc::SIG_SETMASK);
    // A parent that reads signals from a descriptor blocks them, and its child inherits the mask.
    // SAFETY: the set is initialised; a null pointer for the old set is allowed (sigprocmask(2)).
    let error = unsafe { libc::pthread_sigmask(how, &raw const none, old) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // Shells start background commands with SIGINT ignored, which programs inherit (POSIX, 2.12
    // Signals and Error Handling). The standard library resets SIGPIPE.
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: SIG_DFL is a valid disposition for both, and installs no handler.
        checked_signal(unsafe { libc::signal(signal, libc::SIG_DFL) })?;
    }
    Ok(())
}

fn checked_signal(previous: libc::sighandler_t) -> io::Result<()> {
    checked(if previous == libc::SIG_ERR { -1 } else { 0 }).map(drop)
}

/// A descriptor that is readable once the process has ended. The child is not reaped yet, so its
/// number can't be another's.
fn pidfd_of(child: &Child) -> io::Result<OwnedFd> {
    Ok(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ChildStdout, Stdio};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn shell(script: &str, core: Option<u32>) -> (Process, BufReader<ChildStdout>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        let mut process = Process::start(command, core, Orphan::Killed).expect("there is a shell");
        let stdout = process.child.stdout.take().expect("it is piped");
        (process, BufReader::new(stdout))
    }

    fn line(stdout: &mut BufReader<ChildStdout>) -> String {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn an_ended_process_keeps_its_status() {
        let (mut process, _stdout) = shell("exit 3", None);
        for _ in 0..2 {
            let WaitOutcome::Ended(status) = process.wait(PATIENCE, None).unwrap() else {
                panic!()
            };
            assert_eq!(status.code(), Some(3));
        }
        // No signal may reach a process that got the number since.
        process.terminate();
        process.kill_group();
    }

    #[test]
    fn a_child_runs_on_its_core_and_in_its_group() {
        let script = "grep Cpus_allowed_list /proc/self/status; cut -d' ' -f5 /proc/$$/stat";
        let (process, mut stdout) = shell(script, Some(0));
        assert_eq!(line(&mut stdout), "Cpus_allowed_list:\t0\n");
        assert_eq!(line(&mut stdout).trim(), process.id().to_string());
    }

    #[test]
    fn a_missing_core_is_refused() {
        for core in [1023, 4_000_000] {
            let started = Process::start(Command::new("true"), Some(core), Orphan::Terminated);
            let error = started.err().expect("the machine has no such core");
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
    }

    #[test]
    fn a_child_starts_with_default_signals() {
        let _signals = crate::os::signal::signals_to_end().unwrap();
        // As a shell does for background commands; blocked signals are received all the same.
        // SAFETY: SIG_IGN is a valid disposition for SIGINT.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
        let (_process, mut stdout) = shell("grep -E 'SigBlk|SigIgn' /proc/self/status", None);
        assert_eq!(line(&mut stdout), "SigBlk:\t0000000000000000\n");
        let ignored = line(&mut stdout);
        let ignored = ignored.strip_prefix("SigIgn:\t").unwrap().trim();
        let ignored = u64::from_str_radix(ignored, 16).unwrap();
        let ours = [libc::SIGPIPE, libc::SIGTERM, libc::SIGINT].map(|signal| 1 << (signal - 1));
        assert_eq!(ignored & (ours[0] | ours[1] | ours[2]), 0);
    }

    #[test]
    fn an_interruption_ends_the_wait_but_not_the_process() {
        let (mut process, mut stdout) = shell("echo here; cat /dev/zero > /dev/null", None);
        assert_eq!(line(&mut stdout), "here\n");
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let short = Duration::from_millis(1);
        assert_eq!(process.wait(short, Some(ours.as_fd())).unwrap(), WaitOutcome::TimedOut);
        theirs.write_all(b"!").unwrap();
        assert_eq!(process.wait(PATIENCE, Some(ours.as_fd())).unwrap(), WaitOutcome::Interrupted);
        process.terminate();
        let WaitOutcome::Ended(status) = process.wait(PATIENCE, None).unwrap() else { panic!() };
        assert_eq!(status.signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn the_rest_of_the_group_is_killed_at_the_end_of_its_leader() {
        // The grandchild holds the pipe open, so end of file shows that it has ended, too.
        let (mut process, mut stdout) =
            shell("cat /dev/zero > /dev/null & echo here; kill $$", None);
        assert_eq!(line(&mut stdout), "here\n");
        assert!(matches!(process.wait(PATIENCE, None).unwrap(), WaitOutcome::Ended(_)));
        assert_eq!(line(&mut stdout), "");
    }

    #[test]
    fn an_orphan_that_ignores_sigterm_is_killed() {
        let started = std::thread::spawn(|| {
            let (process, mut stdout) = shell("trap '' TERM; echo here; cat /dev/zero", None);
            assert_eq!(line(&mut stdout), "here\n");
            process
        });
        let mut process = started.join().unwrap();
        let WaitOutcome::Ended(status) = process.wait(PATIENCE, None).unwrap() else { panic!() };
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn dropping_a_process_kills_it() {
        let (process, mut stdout) = shell("trap '' TERM; echo here; cat /dev/zero", None);
        assert_eq!(line(&mut stdout), "here\n");
        let folder = format!("/proc/{}", process.id());
        drop(process);
        assert!(!std::path::Path::new(&folder).exists());
    }
}
