//! The doctor's report, as text for people and as JSON for programs.
//!
//! [`SCHEMA`] names the schema of the JSON: fields and checks may be added to it, but none changes
//! its meaning without a new version.

use super::Workload;
use crate::text::paragraph;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Name and version of the JSON schema.
pub const SCHEMA: &str = "uringstatic-doctor/1";

/// All findings, in reading order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// [`SCHEMA`].
    pub schema: String,
    /// The load that the machine was checked for.
    #[serde(rename = "purpose")]
    pub workload: Workload,
    /// The container runtime, if this seems to be a container: `docker`, `podman` or `kubernetes`.
    pub container: Option<String>,
    /// The highest severity of all findings.
    pub status: Severity,
    /// One finding per check, of which several may have one cause.
    #[serde(rename = "checks")]
    pub findings: Vec<Finding>,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The name of the check, which is stable.
    pub name: String,
    /// The rating.
    pub status: Severity,
    /// The name of the finding that this one follows from, which has the fixes of both.
    #[serde(default)]
    pub cause: Option<String>,
    /// The value that was found, and its consequence.
    pub found: String,
    /// Why the value matters: one sentence.
    pub why: String,
    /// Alternative ways to fix it, the best first. Empty if nothing has to be fixed, or no way is
    /// known.
    #[serde(rename = "mend")]
    pub fixes: Vec<Fix>,
}

/// The rating of a finding, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No limitation.
    Ok,
    /// The server works, but slower or with less capacity than requested; or the fact is unknown.
    Warning,
    /// The server can't start, or clients can't connect.
    Fault,
}

/// A way to fix a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// A command or a line of a configuration file, ready to be copied.
    pub command: String,
    /// Where to enter it, and as which user.
    pub place: String,
}

impl Fix {
    pub(super) fn new(command: impl Into<String>, place: impl Into<String>) -> Self {
        Self { command: command.into(), place: place.into() }
    }
}

impl DoctorReport {
    pub(super) fn new(workload: Workload, container: Option<&str>, findings: Vec<Finding>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            workload,
            container: container.map(str::to_owned),
            status: findings.iter().map(|finding| finding.status).max().unwrap_or(Severity::Ok),
            findings,
        }
    }

    /// The findings that don't follow from another one.
    fn causes(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.cause.is_none())
    }

    /// The report for programs: one JSON object and a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("strings and numbers only");
        json.push('\n');
        json
    }

    /// The report for people; `colour` colours each severity.
    #[must_use]
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = String::new();
        let width = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
        for cause in self.causes() {
            let follows = |it: &&Finding| it.cause.as_ref() == Some(&cause.name);
            let effects: Vec<_> = self.findings.iter().filter(follows).collect();
            cause.write(&mut text, width, colour, &effects);
        }
        let of = |status| self.causes().filter(|finding| finding.status == status).count();
        let counted = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        let faults = counted(of(Severity::Fault), "fault");
        let warnings = counted(of(Severity::Warning), "warning");
        let Workload { spawn, backlog, workers, engine, load } = self.workload;
        let workers = if workers > 1 { format!(" --workers {workers}") } else { String::new() };
        let engine =
            engine.kind().map_or(String::new(), |kind| format!(" --engine {}", kind.name()));
        let load = if load { " --load" } else { "" };
        let mut summary = format!(
            "{faults}, {warnings} for --spawn {spawn} --backlog {backlog}{workers}{engine}{load}"
        );
        if let Some(container) = &self.container {
            push(&mut summary, format_args!("; this seems to be a container ({container})"));
        }
        summary.push('.');
        text.push_str(&paragraph("", 0, &summary, COLUMNS));
        let mut fixes = self.findings.iter().flat_map(|finding| &finding.fixes);
        if fixes.any(|fix| fix.command.starts_with("sysctl -w ")) {
            text.push_str(&paragraph("", 0, SYSCTL_LASTS, COLUMNS));
        }
        text
    }
}

impl Finding {
    /// Writes the finding, with names padded to `width`, and those that follow from it.
    fn write(&self, text: &mut String, width: usize, colour: bool, effects: &[&Self]) {
        let (on, off) = if colour { (self.status.colour(), "\x1b[0m") } else { ("", "") };
        let (status, name) = (self.status.name(), &self.name);
        let start = format!("{on}{status:<INDENT$}{off}{name:<width$}  ");
        text.push_str(&paragraph(&start, INDENT + width + 2, &self.found, COLUMNS));
        text.push_str(&paragraph(&" ".repeat(INDENT), INDENT, &self.why, COLUMNS));
        for Self { name, found, .. } in effects {
            let effect = format!("therefore {name}: {found}");
            text.push_str(&paragraph(&" ".repeat(INDENT), INDENT, &effect, COLUMNS));
        }
        for (nth, Fix { command, place }) in self.fixes.iter().enumerate() {
            let word = if nth == 0 { "fix" } else { "or" };
            // Never wrapped, so that it can be copied.
            push(text, format_args!("{:INDENT$}{word:>3}: {command}\n", ""));
            let indent = INDENT + 5;
            text.push_str(&paragraph(&" ".repeat(indent), indent, &format!("({place})"), COLUMNS));
        }
        text.push('\n');
    }
}

impl Severity {
    /// The name in text and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Fault => "\x1b[31m",
        }
    }
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String can't fail");
}

/// The width of the severity column: the longest name and two spaces.
const INDENT: usize = 9;
const COLUMNS: usize = 90;
const SYSCTL_LASTS: &str = "Settings made by `sysctl -w` are lost at reboot; a file NAME.conf in \
                            /etc/sysctl.d with the text after `-w` makes them permanent.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::chosen::EngineChoice;

    fn report() -> DoctorReport {
        let finding = |name: &str, status, fixes| Finding {
            name: name.to_owned(),
            status,
            cause: None,
            found: "a value and ".repeat(12),
            why: "It matters for this reason. ".repeat(5),
            fixes,
        };
        let fix = Fix::new(format!("sysctl -w {}", "x".repeat(90)), "as root");
        let findings = vec![
            finding("short", Severity::Ok, vec![]),
            finding("a_longer_name", Severity::Warning, vec![fix.clone(), fix]),
        ];
        let engine = EngineChoice::Epoll;
        let workload = Workload { spawn: 1, backlog: 2, workers: 3, engine, load: true };
        DoctorReport::new(workload, Some("docker"), findings)
    }

    #[test]
    fn text_is_wrapped_at_90_columns_except_commands() {
        let text = report().to_text(false);
        for line in text.lines() {
            let is_command = line.contains("fix: ") || line.contains("or: ");
            assert!(line.chars().count() <= COLUMNS || is_command, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        assert!(text.starts_with("ok       short          a value and"), "{text}");
        assert!(text.contains("\nwarning  a_longer_name  a value and"), "{text}");
        assert!(text.contains("\n         fix: sysctl -w xxx"), "{text}");
        assert!(text.contains("\n          or: sysctl -w xxx"), "{text}");
        assert!(
            text.contains("1 warning for --spawn 1 --backlog 2 --workers 3 --engine epoll --load"),
            "{text}"
        );
        assert!(text.contains("(docker)") && text.contains("/etc/sysctl.d"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }

    #[test]
    fn findings_of_one_cause_are_printed_and_counted_as_one() {
        let mut report = report();
        let cause = Some("a_longer_name".to_owned());
        let found = "no effect".to_owned();
        let effect =
            Finding { name: "ring".to_owned(), cause, found, ..report.findings[1].clone() };
        report.findings.insert(1, Finding { fixes: Vec::new(), ..effect });
        let text = report.to_text(false);
        let cause = text.find("warning  a_longer_name").expect("the cause is there");
        let effect = text.find("         therefore ring: no effect\n").expect("the effect, too");
        let fix = text.find("fix: ").expect("the cause has fixes");
        assert!(cause < effect && effect < fix, "{text}");
        assert_eq!((text.matches("reason.").count(), text.matches("fix: ").count()), (10, 1));
        assert!(text.contains("0 faults, 1 warning for"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(value["checks"][1]["cause"], "a_longer_name");
        assert!(value["checks"][2]["cause"].is_null(), "{value:#}");
    }

    #[test]
    fn only_the_severity_is_coloured() {
        let text = report().to_text(true);
        assert!(text.starts_with("\x1b[32mok       \x1b[0mshort "), "{text}");
        let plain = text.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "");
        assert_eq!(plain, report().to_text(false));
    }

    #[test]
    fn json_round_trips_and_keeps_its_keys() {
        let report = report();
        assert_eq!(report.status, Severity::Warning);
        let json = report.to_json();
        assert_eq!(serde_json::from_str::<DoctorReport>(&json).unwrap(), report);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["schema"], "uringstatic-doctor/1");
        assert_eq!(value["purpose"]["spawn"], 1);
        assert_eq!(value["purpose"]["workers"], 3);
        assert_eq!(value["purpose"]["engine"], "epoll");
        assert_eq!(value["status"], "warning");
        assert_eq!(value["checks"][1]["mend"][0]["place"], "as root");
    }
}
