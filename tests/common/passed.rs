//! The program, started as a service manager does that passes sockets (`sd_listen_fds(3)`).

use super::{Exit, Server};
use std::os::fd::OwnedFd;

impl Server {
    /// Starts the program as a service manager does that passes two sockets under these names,
    /// separated by a colon, and waits until it is ready.
    pub(crate) fn start_passed(names: &str, sockets: [OwnedFd; 2], options: &[&str]) -> Self {
        Self::spawn_passed(names, sockets, options).ready()
    }

    /// Runs the program as a service manager does, with options that make it end by itself.
    pub(crate) fn run_passed(names: &str, sockets: [OwnedFd; 2], options: &[&str]) -> Exit {
        Self::spawn_passed(names, sockets, options).wait()
    }

    fn spawn_passed(names: &str, sockets: [OwnedFd; 2], options: &[&str]) -> Self {
        let names = format!("LISTEN_FDNAMES={names}");
        let shell = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";
        let shell = ["sh", "-c", shell, env!("CARGO_BIN_EXE_uringstatic")];
        let words = [&["env", &names, "LISTEN_FDS=2"][..], &shell].concat();
        Self::spawn(&words, options.iter().copied(), sockets)
    }
}
