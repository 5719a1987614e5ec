//! The processes of the service: several workers behind one port, reloads, and the deaths of its
//! processes.

mod deaths;
mod ending;
mod faulty;
mod manager;
mod passed;
mod reload;
mod signals;
mod workers;

use crate::common::processes::{Process, signal, until};
use crate::common::{Client, GET, Server, TemporaryFile, TemporaryFolder};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use uringstatic::os::privileges::is_root;

/// A copy of the program, which a test replaces.
struct Program {
    folder: TemporaryFolder,
}

impl Program {
    fn copy() -> Self {
        let folder = TemporaryFolder::with(&[]);
        let path = Path::new(folder.path()).join("uringstatic");
        // By another process: no program can be started while a process has it open for writing
        // (ETXTBSY, execve(2)), as the child of another test would between its fork and its exec.
        let copied = Command::new("cp").args([Path::new(ORIGINAL), &path]).status();
        assert!(copied.is_ok_and(|status| status.success()), "the program was built");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        Path::new(self.folder.path()).join("uringstatic")
    }

    fn start(&self, options: &[&str]) -> Server {
        let path = self.path();
        let path = path.to_str().expect("the path is text");
        Server::start_program(&[path], &["127.0.0.1:0"], options)
    }

    /// Puts a shell script in its place, in one step, as an installation does. A script that ends
    /// with `exec "$original" "$@"` becomes the original program.
    fn replace(&self, script: &str) {
        self.folder.add("new", format!("#!/bin/sh\noriginal={ORIGINAL}\n{script}\n").as_bytes());
        let new = Path::new(self.folder.path()).join("new");
        std::fs::set_permissions(&new, Permissions::from_mode(0o755)).expect("the file is ours");
        std::fs::rename(&new, self.path()).expect("the folder is ours");
    }

    /// Has each loader from now on wait before it begins.
    fn hold_loaders(&self) -> Gate {
        let pipe = TemporaryFile::vacant("pipe");
        let made = Command::new("mkfifo").arg(pipe.path()).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo(1) makes a named pipe");
        let script = format!("read -r _ < {}\nexec \"$original\" \"$@\"", pipe.path());
        self.replace(&script);
        Gate { pipe }
    }
}

/// A named pipe that a loader opens before it begins.
struct Gate {
    pipe: TemporaryFile,
}

impl Gate {
    /// Waits until a loader has come, which begins when the result is dropped.
    fn await_loader(&self) -> File {
        OpenOptions::new().write(true).open(&self.pipe.0).expect("it is a pipe")
    }
}

/// The body of a response, and whether it is the last of its connection.
fn body(client: &mut Client) -> (Vec<u8>, bool) {
    client.send(GET);
    let response = client.response();
    assert_eq!(response.status, 200, "{}", response.head);
    (response.body.clone(), response.closes())
}

/// Reloads, and waits until the new generation serves.
fn reload(server: &mut Server) -> String {
    server.signal("HUP");
    server.await_line("reloaded")
}

/// Sends a signal to a process.
fn kill(name: &str, pid: u32) {
    signal(name, pid.into());
}

/// Waits until none of these processes exists.
fn all_gone(processes: &[u32]) {
    until("all processes are gone", || {
        let is_gone = |&pid: &u32| Process::of(pid).is_none_or(|process| process.is_zombie());
        processes.iter().all(is_gone).then_some(())
    });
}

/// The IDs of all processes of a server.
fn all_processes(server: &Server) -> Vec<u32> {
    let children = Process::children_of(server.id()).into_iter().map(|process| process.pid);
    std::iter::once(server.id()).chain(children).collect()
}

/// The options by which the reader of the content is a user that isn't root.
fn as_a_user() -> &'static [&'static str] {
    if is_root() { &["--user", "54321"] } else { &[] }
}

/// The program as it was built.
const ORIGINAL: &str = env!("CARGO_BIN_EXE_uringstatic");
