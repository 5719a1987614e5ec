//! Other programs as processes of ours: started in a group and on a core of their own, waited for
//! together with an interruption, ended by signals. Knows nothing of what they do.

use super::call::checked;
use super::process::only_core;
use super::signal::no_signals;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::time::Duration;

/// A process that we started, and the leader of its process group. If it still runs when this is
/// dropped, the whole group is killed.
pub struct Process {
    child: Child,
    pidfd: OwnedFd,
    ended: Option<ExitStatus>,
}

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The process is over; it was reaped, and what was left of its group killed.
    Ended(ExitStatus),
    /// There is something to read where interruptions come from.
    Interrupted,
    /// Neither within the time.
    TimedOut,
}

/// What becomes of a process when the thread that started it ends, so that nothing keeps a core
/// busy once nobody is there to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphan {
    /// It is asked to end, by SIGTERM, and trusted to do so.
    Asked,
    /// It is killed, whoever wrote it.
    Killed,
}

impl Process {
    /// Starts a program, on one core if one is named.
    ///
    /// # Errors
    /// If the program can't be started, or the core is none that it may use.
    pub fn start(mut command: Command, core: Option<u32>, orphan: Orphan) -> io::Result<Self> {
        let cores = core.map(only_core).transpose()?;
        let at_our_end = match orphan {
            Orphan::Asked => libc::SIGTERM,
            Orphan::Killed => libc::SIGKILL,
        };
        let none = no_signals();
        let prepare = move || {
            // SAFETY: prctl with PR_SET_PDEATHSIG takes numbers only.
            checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, at_our_end) })?;
            // Who reads signals from a descriptor has them blocked, and a child would inherit that.
            // SAFETY: the set is initialised; a null old set is allowed.
            let set = unsafe {
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
            };
            if set != 0 {
                return Err(io::Error::from_raw_os_error(set));
            }
            // A shell has SIGINT ignored in what it runs in the background, and programs inherit
            // that (POSIX, 2.12 Signals and Error Handling). The standard library sees to SIGPIPE.
            for signal in [libc::SIGTERM, libc::SIGINT] {
                // SAFETY: the default is a valid disposition for both.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            if let Some(cores) = &cores {
                // SAFETY: the set is initialised and its size is given.
                checked(unsafe { libc::sched_setaffinity(0, size_of_val(cores), cores) })?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec this makes five system calls at most, reads memory of its
        // own and allocates nothing: all of it is allowed to a child of a process with threads.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.process_group(0).spawn()?;
        let pidfd = open_pidfd(&child).inspect_err(|_| {
            // Both can only fail if it is over, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self { child, pidfd, ended: None })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, if the command asked for a pipe and this is the first call.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits until it is over, or until there is something to read from `interrupts`.
    ///
    /// # Errors
    /// If the kernel can't wait (no memory).
    pub fn wait(&mut self, time: Duration, interrupts: Option<BorrowedFd<'_>>) -> io::Result<Wait> {
        if let Some(status) = self.ended {
            return Ok(Wait::Ended(status));
        }
        let interrupts = interrupts.map_or(NO_FD, |fd| fd.as_raw_fd());
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut entries = [entry(self.pidfd.as_raw_fd()), entry(interrupts)];
        let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: poll reads and writes two entries, and is given two.
        let polled = checked(unsafe { libc::poll(entries.as_mut_ptr(), 2, millis) });
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Wait::TimedOut),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        if entries[0].revents != 0 {
            // Before it is reaped, as the group's number is still its own until then.
            self.kill_group();
            let status = self.child.wait()?;
            self.ended = Some(status);
            return Ok(Wait::Ended(status));
        }
        Ok(if entries[1].revents == 0 { Wait::TimedOut } else { Wait::Interrupted })
    }

    /// Asks it to end: SIGTERM to the process alone, which knows best what to do with its children.
    pub fn terminate(&self) {
        if self.ended.is_none() {
            // Fails only if it is over, which is as well.
            let _ = send(self.pid(), libc::SIGTERM);
        }
    }

    /// SIGKILL to all of its group.
    pub fn kill_group(&self) {
        if self.ended.is_none() {
            let _ = send(-self.pid(), libc::SIGKILL);
        }
    }

    fn pid(&self) -> libc::pid_t {
        self.child.id().cast_signed()
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

/// A descriptor that is readable once the process is over. The child is not reaped yet, so its
/// number can't be another's.
fn open_pidfd(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let fd = checked(fd as libc::c_int)?;
    // SAFETY: pidfd_open returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn send(pid: libc::pid_t, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: kill takes numbers only.
    checked(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// poll(2) skips an entry with a negative descriptor.
const NO_FD: RawFd = -1;

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
    fn an_end_is_seen_with_its_status_and_stays() {
        let (mut process, _stdout) = shell("exit 3", None);
        for _ in 0..2 {
            let Wait::Ended(status) = process.wait(PATIENCE, None).unwrap() else { panic!() };
            assert_eq!(status.code(), Some(3));
        }
        // To whom would it go now?
        process.terminate();
        process.kill_group();
    }

    #[test]
    fn it_runs_on_its_core_and_in_its_group() {
        let script = "grep Cpus_allowed_list /proc/self/status; cut -d' ' -f5 /proc/$$/stat";
        let (process, mut stdout) = shell(script, Some(0));
        assert_eq!(line(&mut stdout), "Cpus_allowed_list:\t0\n");
        assert_eq!(line(&mut stdout).trim(), process.id().to_string());
    }

    #[test]
    fn a_core_that_is_not_there_is_refused() {
        for core in [1023, 4_000_000] {
            let started = Process::start(Command::new("true"), Some(core), Orphan::Asked);
            let error = started.err().expect("there is no such core");
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
    }

    #[test]
    fn it_has_no_signal_blocked_or_ignored_though_we_have() {
        let _signals = crate::os::signal::signals_to_end().unwrap();
        // As a shell does in the background. Blocked as it is, it is no less received by us.
        // SAFETY: ignoring is a valid disposition for SIGINT.
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
    fn an_interruption_ends_the_wait_and_nothing_else() {
        let (mut process, mut stdout) = shell("echo here; cat /dev/zero > /dev/null", None);
        assert_eq!(line(&mut stdout), "here\n");
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let short = Duration::from_millis(1);
        assert_eq!(process.wait(short, Some(ours.as_fd())).unwrap(), Wait::TimedOut);
        theirs.write_all(b"!").unwrap();
        assert_eq!(process.wait(PATIENCE, Some(ours.as_fd())).unwrap(), Wait::Interrupted);
        process.terminate();
        let Wait::Ended(status) = process.wait(PATIENCE, None).unwrap() else { panic!() };
        assert_eq!(status.signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn an_end_takes_the_rest_of_the_group_along() {
        // The child holds the pipe open: reading on past its parent's end shows its own end.
        let (mut process, mut stdout) =
            shell("cat /dev/zero > /dev/null & echo here; kill $$", None);
        assert_eq!(line(&mut stdout), "here\n");
        assert!(matches!(process.wait(PATIENCE, None).unwrap(), Wait::Ended(_)));
        assert_eq!(line(&mut stdout), "");
    }

    #[test]
    fn an_orphan_is_killed_though_it_would_not_end_by_itself() {
        let started = std::thread::spawn(|| {
            let (process, mut stdout) = shell("trap '' TERM; echo here; cat /dev/zero", None);
            assert_eq!(line(&mut stdout), "here\n");
            process
        });
        let mut process = started.join().unwrap();
        let Wait::Ended(status) = process.wait(PATIENCE, None).unwrap() else { panic!() };
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn what_is_dropped_is_killed() {
        let (process, mut stdout) = shell("trap '' TERM; echo here; cat /dev/zero", None);
        assert_eq!(line(&mut stdout), "here\n");
        let folder = format!("/proc/{}", process.id());
        drop(process);
        assert!(!std::path::Path::new(&folder).exists());
    }
}
