//! Which engine the server has on this machine.

use super::{Finding, Severity};
use crate::doctor::Workload;
use crate::doctor::facts::MachineFacts;
use crate::engine::chosen::{Chosen, EngineChoice};
use crate::engine::kernel::EngineKind;

/// The engine, and why it is that one.
pub(super) fn engine(workload: &Workload, facts: &MachineFacts) -> Finding {
    let why = "The server serves by io_uring, with less than one system call for a request, or by \
               epoll, with two, which takes up to a tenth more CPU time; --engine=auto takes epoll \
               only where io_uring is not available.";
    let finding = |found: String| Finding::ok("engine", found, why);
    let kind = in_use(workload, facts);
    let (connections, max) = (workload.worker_spawn(), Chosen::connections_max(kind));
    if kind == EngineKind::Epoll && connections > max {
        let found = format!("epoll: {connections} connections of a worker are over {max}");
        return finding(found).fault(Vec::new());
    }
    let choice = workload.engine;
    match (choice, &facts.auto) {
        (EngineChoice::Auto, Ok(decision)) => match &decision.why {
            None => finding(format!("auto: {}", kind.name())),
            Some(why) => {
                let found = format!("auto: {}, as {why}", kind.name());
                finding(found).warning(Vec::new()).follows(refused_by(facts))
            }
        },
        (EngineChoice::Auto, Err(error)) => {
            finding(format!("auto comes to no decision: {error}")).fault(Vec::new())
        }
        (EngineChoice::IoUring, Ok(decision)) if decision.why.is_some() => {
            let why = decision.why.iter().map(ToString::to_string).collect::<String>();
            let found = format!("io_uring is not available: {why}");
            finding(found).fault(Vec::new()).follows(refused_by(facts))
        }
        (EngineChoice::IoUring | EngineChoice::Epoll, _) => {
            finding(format!("{}, as --engine asks for", kind.name()))
        }
    }
}

/// The check that finds why a server has no ring: where the doctor can create one, the refusal is
/// for the user that the server becomes.
pub(super) fn refused_by(facts: &MachineFacts) -> &'static str {
    if facts.ring.is_ok() && facts.smallest_ring.is_ok() { "io_uring_disabled" } else { "ring" }
}

/// The kind of the engines that the server would have.
pub(super) fn in_use(workload: &Workload, facts: &MachineFacts) -> EngineKind {
    let auto = || facts.auto.as_ref().map_or(EngineKind::IoUring, |decision| decision.kind);
    workload.engine.kind().unwrap_or_else(auto)
}

/// A finding about `io_uring`, with the severity that it has for the engine in use: without a ring
/// the server is slower where `auto` fell back to epoll, and as it should be where epoll is asked
/// for.
pub(super) fn if_needed(workload: &Workload, facts: &MachineFacts, finding: Finding) -> Finding {
    match (in_use(workload, facts), workload.engine, finding.status) {
        (EngineKind::Epoll, EngineChoice::Auto, Severity::Fault) => {
            Finding { status: Severity::Warning, ..finding }
        }
        (EngineKind::Epoll, EngineChoice::Epoll, _) => {
            Finding { status: Severity::Ok, fixes: Vec::new(), ..finding }
        }
        _ => finding,
    }
}
