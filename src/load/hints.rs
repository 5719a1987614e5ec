//! Failures of the engine in the client's own terms: remedies name its options here.

use crate::engine::chosen::UndecidedError;
use crate::engine::kernel::{EngineError, Remedy};
use crate::error::Failure;

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
    Failure::caused("trying io_uring (--engine auto)", error)
        .with_hint("--engine io_uring or --engine epoll makes the load without a trial")
}

#[cfg(test)]
mod tests {
    use super::*;

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
