//! Failures of the engine in the client's own terms: remedies name its options here.

use crate::engine::chosen::UndecidedError;
use crate::engine::kernel::{EngineError, Remedy};
use crate::error::Failure;
use crate::os::fork::ForkError;
use std::io;

/// There is no engine.
pub(super) fn of_engine(error: EngineError) -> Failure {
    let hint = match &error.remedy {
        Remedy::FewerConnections(max) => {
            format!("use more --processes, or at most -c {max} for each")
        }
        remedy @ Remedy::MoreMemory => format!("{remedy}: a lower -c or more --processes"),
        remedy @ (Remedy::Permission(_) | Remedy::NewerKernel(_)) => {
            format!("{remedy}; --engine auto or --engine epoll makes the load without io_uring")
        }
        remedy @ (Remedy::Unknown | Remedy::Other(_)) => remedy.to_string(),
    };
    Failure { hint, ..error.into() }
}

/// `--engine auto` didn't come to a decision.
pub(super) fn of_undecided(error: UndecidedError) -> Failure {
    let hint = match &error {
        UndecidedError::NoChild(ForkError::Refused(cause)) if is_process_limit(cause) => {
            MORE_PROCESSES
        }
        _ => "--engine io_uring or --engine epoll makes the load without a trial",
    };
    Failure::caused("trying io_uring (--engine auto)", error).with_hint(hint)
}

/// A worker process was not started.
pub(super) fn of_start(index: u32, error: io::Error) -> Failure {
    let hint = if is_process_limit(&error) { MORE_PROCESSES } else { "" };
    Failure::caused(format!("starting worker {index}"), error).with_hint(hint)
}

/// Whether a limit on the number of processes was reached (fork(2)).
fn is_process_limit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}

/// The limit of a cgroup causes the same error as that of the user (kernel: `cgroup-v2.rst`, PID).
const MORE_PROCESSES: &str = "the user may start no more processes (RLIMIT_NPROC): raise \
                              `ulimit -u`, or pids.max of the container, or use fewer --processes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_beyond_the_limit_have_a_remedy_and_other_failures_none() {
        let error = io::Error::from_raw_os_error;
        assert!(of_start(3, error(libc::EAGAIN)).hint.contains("`ulimit -u`"));
        assert_eq!(of_start(3, error(libc::ENOENT)).hint, "");
        let refused = |errno| UndecidedError::NoChild(ForkError::Refused(error(errno)));
        assert!(of_undecided(refused(libc::EAGAIN)).hint.contains("--processes"));
        assert!(of_undecided(refused(libc::ENOMEM)).hint.contains("without a trial"));
    }

    #[test]
    fn remedies_of_the_engine_name_the_options_of_the_client() {
        let remedies = [
            (Remedy::FewerConnections(7), "-c 7"),
            (Remedy::MoreMemory, "a lower -c or more --processes"),
            (Remedy::Permission("found".to_owned()), "found; --engine auto"),
            (Remedy::NewerKernel("run Linux 6.1".to_owned()), "run Linux 6.1; --engine auto"),
        ];
        for (remedy, expected) in remedies {
            let failure = of_engine(EngineError::new("creating it", "no", remedy));
            assert!(failure.hint.contains(expected), "{failure}");
            let of_server = ["--spawn", "--user"];
            assert!(!of_server.iter().any(|name| failure.hint.contains(name)), "{failure}");
        }
    }
}
