//! Failures of the other rooms in the server's own terms: remedies name its options here.

use crate::engine::chosen::UndecidedError;
use crate::engine::kernel::{EngineError, Remedy};
use crate::error::Failure;
use crate::os::net::{Endpoint, ListenError, PassedError};
use crate::os::privileges::UnknownName;
use crate::os::process::ThreadsError;
use crate::sandbox::{OffReason, SandboxError};
use std::fmt::Display;
use std::io;

/// The sandbox can't be entered.
pub(super) fn of_sandbox(error: SandboxError) -> Failure {
    let without = "--no-lockdown serves without it";
    match error {
        SandboxError::UnknownAccount { text, error } => of_name("--user", &text, &error),
        SandboxError::RootAccount { text } => Failure::new(
            format!("serving as --user {text}"),
            "it is root, or in root's group",
            "name another user; nothing needs root once the sockets are bound. --allow-root serves \
             as root nevertheless",
        ),
        SandboxError::NullDevice(why) => {
            Failure::new("opening /dev/null", why, "`ls -l /dev/null`; mknod(1)")
        }
        SandboxError::Descriptors(why) => of_inherited(why),
        SandboxError::Exceptions(why) => Failure::new(
            "opening /, /dev/null and the folders of the socket files for Landlock",
            why,
            without,
        ),
        SandboxError::Threads(error) => {
            let hint = match error {
                ThreadsError::Unreadable(_) => MOUNT_PROC,
                ThreadsError::Several(_) => {
                    "please report this, and use --no-lockdown until it is fixed"
                }
            };
            Failure::new("waiting for the other threads to end before the sandbox", error, hint)
        }
        SandboxError::Privileges(error) => {
            let hint = "start the server as root, or as the user that is to serve and without \
                        --user; where root is the only user, as in some user namespaces, \
                        --allow-root serves as root";
            Failure::new(format!("giving up privileges: {}", error.step), error, hint)
        }
        SandboxError::Landlock(error) => {
            Failure::new("denying itself files and connections by Landlock", error, without)
        }
        SandboxError::Filter(error) => {
            Failure::new("installing the filter of system calls (seccomp)", error, without)
        }
        SandboxError::Engine(error) => of_engine(error),
        SandboxError::Incomplete { layer, why } => Failure::new(
            format!("locking down: {}", layer.name()),
            why,
            "--lockdown=on serves with the other layers, and `uringstatic lockdown` lists them",
        ),
        SandboxError::Program(failure) => failure,
    }
}

/// The inherited descriptors can't be listed.
pub(super) fn of_inherited(why: io::Error) -> Failure {
    Failure::new("reading /proc/self/fd", why, MOUNT_PROC)
}

/// There is no engine.
pub(super) fn of_engine(error: EngineError) -> Failure {
    let hint = match &error.remedy {
        Remedy::FewerConnections(max) => {
            format!("use --spawn {max} or less, and a second server for the rest")
        }
        remedy @ Remedy::MoreMemory => format!("{remedy}: a lower --spawn"),
        remedy @ Remedy::Permission(_) => {
            format!("{remedy}; --user selects a user of the permitted group; {WITHOUT_IO_URING}")
        }
        remedy @ Remedy::NewerKernel(_) => format!("{remedy}; {WITHOUT_IO_URING}"),
        remedy @ (Remedy::Unknown | Remedy::Other(_)) => remedy.to_string(),
    };
    Failure { hint, ..error.into() }
}

const WITHOUT_IO_URING: &str = "--engine auto or --engine epoll serves without io_uring";

/// `--engine auto` didn't come to a decision.
pub(super) fn of_undecided(error: UndecidedError) -> Failure {
    Failure::caused("trying io_uring (--engine auto)", error)
        .with_hint("--engine io_uring or --engine epoll serves without a trial")
}

/// A socket doesn't listen.
pub(super) fn of_listener(error: ListenError) -> Failure {
    let is_taken_port = error.error.kind() == io::ErrorKind::AddrInUse
        && matches!(error.endpoint, Endpoint::Tcp(_));
    let mut failure = Failure::from(error);
    if is_taken_port {
        failure.hint.push_str(" with --listen");
    }
    failure
}

/// The sockets of a service manager can't be taken.
pub(super) fn of_passed_sockets(why: impl Display) -> Failure {
    let hint = "sd_listen_fds(3) describes the variables; `env -u LISTEN_FDS` starts without them";
    Failure::new("taking the sockets that LISTEN_FDS announces", why, hint)
}

/// A socket of a service manager can't be served from.
pub(super) fn of_passed_socket(name: &str, error: &PassedError) -> Failure {
    let what = format!("taking the socket '{name}' of the service manager");
    Failure::new(what, error, error.hint())
}

/// The name of a socket selects no address.
pub(super) fn of_socket_name(name: &str) -> Failure {
    let what = format!("taking the socket '{name}' of the service manager");
    let hint = "set FileDescriptorName= to http, proxy, health or admin, in place of --listen \
                ADDR, --listen ADDR,proxy, --health-listen and --admin; http-NAME and proxy-NAME \
                will do, too";
    Failure::new(what, "its name selects no address", hint)
}

/// An address comes from an option and from a service manager.
pub(super) fn of_two_sources(option: &str, name: &str) -> Failure {
    let what = format!("taking the socket '{name}' of the service manager");
    let hint = format!("remove {option}, or the socket unit that passes '{name}'");
    Failure::new(what, format!("{option} names an address besides"), hint)
}

/// A service manager has passed several sockets of which one is used.
pub(super) fn of_several_sockets(name: &str) -> Failure {
    let what = format!("taking the socket '{name}' of the service manager");
    Failure::new(what, "it passed two sockets of that name", "leave one ListenStream= of them")
}

/// The admin address can't be bound.
pub(super) fn of_admin(error: ListenError) -> Failure {
    let mut failure = Failure::from(error);
    failure.hint.push_str(" with --admin");
    failure
}

/// An option names a user or group that doesn't exist.
pub(super) fn of_name(option: &str, value: &str, error: &UnknownName) -> Failure {
    let database = error.database.name();
    let hint = format!("`getent {database}` lists the existing ones; a number is accepted, too");
    Failure::new(format!("looking up {option} {value}"), error, hint)
}

/// This thread can't be pinned to a core.
pub(super) fn of_core(core: u32, error: &impl Display) -> Failure {
    let hint = "`taskset -pc $$` shows the cores that this process may use";
    Failure::new(format!("pinning the server to core {core} (--cpu)"), error, hint)
}

/// Why a layer of the sandbox is off.
pub(super) fn off_reason(reason: &OffReason) -> String {
    match reason {
        OffReason::Disabled => "--no-lockdown".to_owned(),
        OffReason::Excluded => "excluded by --without".to_owned(),
        OffReason::Unavailable(why) => why.clone(),
    }
}

const MOUNT_PROC: &str = "mount /proc (`mount -t proc proc /proc`), or use --no-lockdown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_of_the_engine_name_the_options_of_the_server() {
        let remedies = [
            (Remedy::FewerConnections(7), "--spawn 7"),
            (Remedy::MoreMemory, "a lower --spawn"),
            (Remedy::Permission("found".to_owned()), "found; --user"),
            (Remedy::Permission("found".to_owned()), "; --engine auto or --engine epoll"),
            (Remedy::NewerKernel("run Linux 6.1".to_owned()), "run Linux 6.1; --engine auto"),
        ];
        for (remedy, expected) in remedies {
            let failure = of_engine(EngineError::new("creating it", "no", remedy));
            assert!(failure.hint.contains(expected), "{failure}");
            assert!(!failure.hint.contains("--processes"), "{failure}");
        }
    }
}
