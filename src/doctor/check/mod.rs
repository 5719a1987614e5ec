//! The checks: pure functions from facts to findings.

mod cause;
mod engine;
mod kernel;
mod limits;
mod load;
mod queues;
mod sandbox;
mod tcp;
#[cfg(test)]
mod tests;

use super::Workload;
use super::facts::{Container, MachineFacts, UnknownCause, UnknownFact};
use super::report::{DoctorReport, Finding, Fix, Severity};
use crate::os::process::parse_version;

/// Rates the facts for a workload.
#[must_use]
pub fn examine(workload: &Workload, facts: &MachineFacts) -> DoctorReport {
    let of_ring = [
        kernel::release(facts),
        kernel::disabled(facts),
        kernel::seccomp(facts),
        kernel::ring(workload, facts),
    ];
    let mut checks = of_ring.map(|it| engine::if_needed(workload, facts, it)).to_vec();
    checks.extend([
        engine::engine(workload, facts),
        sandbox::lockdown(facts),
        limits::open_files(workload, facts),
        limits::locked_memory(workload, facts),
        queues::somaxconn(workload, facts),
        queues::tcp_max_syn_backlog(workload, facts),
        tcp::orphans(workload, facts),
        tcp::fast_open(facts),
    ]);
    if let Some(load) = &facts.load {
        checks.extend([
            queues::tcp_syncookies(facts),
            load::local_ports(workload, facts, load),
            load::tcp_tw_reuse(facts, load),
            load::conntrack(workload, facts, load),
            load::governor(facts, load),
        ]);
    }
    let findings = cause::attributed(checks);
    DoctorReport::new(*workload, facts.container.map(Container::name), findings)
}

impl Finding {
    fn ok(name: &str, found: impl Into<String>, why: impl Into<String>) -> Self {
        let (name, found, why) = (name.to_owned(), found.into(), why.into());
        Self { name, status: Severity::Ok, cause: None, found, why, fixes: Vec::new() }
    }

    fn warning(self, fixes: Vec<Fix>) -> Self {
        Self { status: Severity::Warning, fixes, ..self }
    }

    fn fault(self, fixes: Vec<Fix>) -> Self {
        Self { status: Severity::Fault, fixes, ..self }
    }

    /// The finding as one that follows from another check's, unless that turns out to be ok.
    fn follows(self, cause: &str) -> Self {
        Self { cause: Some(cause.to_owned()), ..self }
    }

    /// An unknown fact: a warning, whose fix shows the file.
    fn unknown(name: &str, fact: &UnknownFact, why: impl Into<String>) -> Self {
        if fact.cause == UnknownCause::Hidden {
            let finding = Self::ok(name, fact.to_string(), why).warning(Vec::new());
            return finding.follows(cause::HIDDEN);
        }
        let look = Fix::new(format!("cat {}", fact.path), "shows the file");
        let fixes = if fact.path.starts_with('/') { vec![look] } else { Vec::new() };
        Self::ok(name, fact.to_string(), why).warning(fixes)
    }
}

/// The scope of a kernel setting.
#[derive(Clone, Copy)]
enum Scope {
    /// One per network namespace, and therefore per container.
    Network,
    /// One per machine.
    Machine,
}

/// The ways to change a setting; `value` is quoted for a shell.
fn sysctl(facts: &MachineFacts, scope: Scope, name: &str, value: &str) -> Vec<Fix> {
    let here = format!("sysctl -w {name}={value}");
    let run = |program: &str| {
        Fix::new(
            format!("{program} run --sysctl {name}={value}"),
            "when the container is started, because it has settings of its own",
        )
    };
    match (facts.container, scope) {
        (None, _) => vec![Fix::new(here, "as root")],
        (Some(_), Scope::Machine) => vec![Fix::new(here, "as root, on the container's host")],
        (Some(Container::Docker), Scope::Network) => {
            vec![run("docker"), Fix::new(here, "as root, in a privileged container")]
        }
        (Some(Container::Podman), Scope::Network) => {
            vec![run("podman"), Fix::new(here, "as root, in a privileged container")]
        }
        (Some(Container::Kubernetes), Scope::Network) => vec![Fix::new(
            format!("sysctls: [{{name: {name}, value: \"{}\"}}]", value.trim_matches('\'')),
            "in the pod's securityContext; the kubelet may need --allowed-unsafe-sysctls for it",
        )],
    }
}

/// Major and minor version of the running kernel, if its release has them.
fn version(facts: &MachineFacts) -> Option<(u32, u32)> {
    let release = facts.release.as_ref().ok()?;
    Some(parse_version(release)).filter(|&version| version != (0, 0))
}
