//! One cause is one finding: the checks name the finding that theirs follows from, and here each is
//! attributed to the first of its chain.

use super::{Finding, Fix, Severity};

/// The findings, with [`Finding::cause`] set for those that follow from another one, whose fixes
/// become those of the cause. A cause must be at least as severe as its effect: a lesser finding
/// doesn't explain it.
pub(super) fn attributed(mut findings: Vec<Finding>) -> Vec<Finding> {
    let is_hidden = |finding: &Finding| finding.cause.as_deref() == Some(HIDDEN);
    let hidden = findings.iter().filter(|finding| is_hidden(finding)).count();
    if hidden > 0 {
        findings.insert(0, settings_are_hidden());
    }
    let causes: Vec<Option<String>> =
        findings.iter().map(|finding| first_cause(&findings, finding)).collect();
    for (nth, cause) in causes.into_iter().enumerate() {
        let of_cause =
            cause.as_ref().and_then(|cause| findings.iter().position(|it| it.name == *cause));
        if let Some(of_cause) = of_cause {
            for fix in std::mem::take(&mut findings[nth].fixes) {
                let fixes = &mut findings[of_cause].fixes;
                if !fixes.iter().any(|known| known.command == fix.command) {
                    fixes.push(fix);
                }
            }
        }
        findings[nth].cause = cause;
    }
    findings
}

/// The name of the finding at the start of the chain; `None` for a cause itself.
fn first_cause(findings: &[Finding], effect: &Finding) -> Option<String> {
    let mut at = effect;
    // A chain has each finding once at most, unless two checks name each other.
    for _ in findings {
        let Some(name) = &at.cause else { break };
        let is_cause = |it: &&Finding| {
            it.name == *name && it.status != Severity::Ok && it.status >= effect.status
        };
        let Some(cause) = findings.iter().find(is_cause) else { break };
        at = cause;
    }
    let is_effect = effect.status != Severity::Ok && at.name != effect.name;
    is_effect.then(|| at.name.clone())
}

/// The one finding about all settings that can't be seen.
fn settings_are_hidden() -> Finding {
    let why = "The kernel's settings are files in /proc/sys. A /proc that is mounted with \
               subset=pid (proc(5)), as ProcSubset=pid in a systemd unit has it, shows processes \
               only: a server runs there, but nothing can be said about the settings.";
    let found = "not known: the kernel's settings can't be seen here";
    Finding::ok(HIDDEN, found, why).warning(vec![
        Fix::new("ProcSubset=all", "in the systemd unit, while the doctor runs in it"),
        Fix::new("mount -t proc proc /proc", "as root, in the container or chroot that lacks it"),
    ])
}

/// The check of whether the settings can be seen, which is listed only if they can't.
pub(super) const HIDDEN: &str = "proc";

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, status: Severity, cause: Option<&str>) -> Finding {
        let cause = cause.map(str::to_owned);
        let fixes = vec![Fix::new("a", "b")];
        Finding { status, cause, fixes, ..Finding::ok(name, "found", "why") }
    }

    fn causes(findings: Vec<Finding>) -> Vec<Option<String>> {
        attributed(findings).into_iter().map(|finding| finding.cause).collect()
    }

    #[test]
    fn an_effect_is_attributed_to_the_first_finding_of_its_chain() {
        use Severity::{Fault, Ok, Warning};
        let a = || Some("a".to_owned());
        let found = attributed(vec![
            finding("c", Warning, Some("b")),
            Finding { fixes: vec![Fix::new("c", "d")], ..finding("b", Fault, Some("a")) },
            finding("a", Fault, None),
        ]);
        assert_eq!(found.iter().map(|it| it.cause.clone()).collect::<Vec<_>>(), [a(), a(), None]);
        assert_eq!(found.iter().map(|it| it.fixes.len()).collect::<Vec<_>>(), [0, 0, 2]);
        // A finding that is ok causes nothing and has no cause, and a lesser one doesn't suffice.
        let with = |a, b| causes(vec![finding("a", a, None), finding("b", b, Some("a"))]);
        assert_eq!(with(Ok, Fault), [None, None]);
        assert_eq!(with(Warning, Ok), [None, None]);
        assert_eq!(with(Warning, Fault), [None, None]);
        assert_eq!(with(Warning, Warning), [None, a()]);
        assert_eq!(causes(vec![finding("b", Fault, Some("a"))]), [None]);
    }

    #[test]
    fn hidden_settings_are_one_finding() {
        use Severity::{Ok, Warning};
        let hidden = attributed(vec![
            finding("kernel", Warning, Some(HIDDEN)),
            finding("ring", Ok, None),
            finding("somaxconn", Warning, Some(HIDDEN)),
        ]);
        let causes: Vec<_> = hidden.iter().filter(|it| it.cause.is_none()).collect();
        assert_eq!(causes.iter().map(|it| &*it.name).collect::<Vec<_>>(), [HIDDEN, "ring"]);
        // Two of its own, and that of its effects.
        assert_eq!((causes[0].status, causes[0].fixes.len()), (Warning, 3));
    }
}
