//! What the doctor says, as text for a person and as JSON for a program.
//!
//! The schema of the JSON is [`SCHEMA`]; a field or a check may be added without a new version,
//! but none changes its meaning.

use super::Purpose;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Name and version of the schema.
pub const SCHEMA: &str = "uringstatic-doctor/1";

/// Every check, in the order in which it is best read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What the machine was judged for.
    pub purpose: Purpose,
    /// The container this seems to be: `docker`, `podman`, `kubernetes` or none.
    pub container: Option<String>,
    /// The gravest status of all checks.
    pub status: Status,
    /// What was checked.
    pub checks: Vec<Check>,
}

/// One fact, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, which stays the same.
    pub name: String,
    /// The judgement.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// Why it matters.
    pub why: String,
    /// What mends it: any one of these, the best first. Empty if nothing needs to be mended, or
    /// nobody knows.
    #[serde(rename = "mend")]
    pub hint: Vec<Remedy>,
}

/// How grave a finding is; the later, the graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but slower or with less room than was asked for; or it isn't known.
    Warning,
    /// The server can't start, or peers can't reach it.
    Fault,
}

/// A way to fix something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The command or the line of a configuration, to the letter.
    pub command: String,
    /// Where it goes, or as whom.
    pub place: String,
}

impl Remedy {
    pub(super) fn new(command: impl Into<String>, place: impl Into<String>) -> Self {
        Self { command: command.into(), place: place.into() }
    }
}

impl Report {
    pub(super) fn new(purpose: Purpose, container: Option<&str>, checks: Vec<Check>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            purpose,
            container: container.map(str::to_owned),
            status: checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok),
            checks,
        }
    }

    /// The report for a program: one JSON object and a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("strings and numbers only");
        json.push('\n');
        json
    }

    /// The report for a person, with the status in colour if wanted.
    #[must_use]
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = String::new();
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &self.checks {
            check.write(&mut text, width, colour);
        }
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let (warnings, faults) = (count(Status::Warning), count(Status::Fault));
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let ends = (plural(faults), plural(warnings));
        push(&mut text, format_args!("{faults} fault{}, {warnings} warning{}", ends.0, ends.1));
        let Purpose { spawn, backlog, load } = self.purpose;
        let load = if load { " --load" } else { "" };
        push(&mut text, format_args!(" for --spawn {spawn} --backlog {backlog}{load}"));
        if let Some(container) = &self.container {
            push(&mut text, format_args!(", in a container, it seems ({container})"));
        }
        text.push_str(".\n");
        let mends = self.checks.iter().flat_map(|check| &check.hint);
        if mends.into_iter().any(|remedy| remedy.command.starts_with("sysctl -w ")) {
            text.push_str(SYSCTL_LASTS);
        }
        text
    }
}

impl Check {
    fn write(&self, text: &mut String, width: usize, colour: bool) {
        let (on, off) = if colour { (self.status.colour(), "\x1b[0m") } else { ("", "") };
        let Self { name, found, .. } = self;
        let status = self.status.name();
        push(text, format_args!("{on}{status:<INDENT$}{off}{name:<width$}  "));
        let column = INDENT + width + 2;
        wrap(text, found, column, column);
        text.push_str(&" ".repeat(INDENT));
        wrap(text, &self.why, INDENT, INDENT);
        for (nth, Remedy { command, place }) in self.hint.iter().enumerate() {
            let word = if nth == 0 { "mend" } else { "or" };
            // Never wrapped, so that it can be copied.
            push(text, format_args!("{:INDENT$}{word:>4}: {command}\n", ""));
            text.push_str(&" ".repeat(INDENT + 6));
            wrap(text, &format!("({place})"), INDENT + 6, INDENT + 6);
        }
        text.push('\n');
    }
}

impl Status {
    /// Its name in text and in JSON.
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

/// Writes words from a column on, further lines indented, and ends the line.
fn wrap(text: &mut String, words: &str, mut column: usize, indent: usize) {
    for (nth, word) in words.split_whitespace().enumerate() {
        let chars = word.chars().count();
        if nth > 0 && column + 1 + chars > COLUMNS {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if nth > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += chars;
    }
    text.push('\n');
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes every character");
}

const INDENT: usize = 9;
const COLUMNS: usize = 90;
const SYSCTL_LASTS: &str = "What `sysctl -w` sets is lost when the machine starts again; a file \
                            NAME.conf in /etc/sysctl.d with\nthe line after `-w` keeps it.\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let check = |name: &str, status, hint| Check {
            name: name.to_owned(),
            status,
            found: "a value and ".repeat(12),
            why: "It matters for this reason. ".repeat(5),
            hint,
        };
        let remedy = Remedy::new(format!("sysctl -w {}", "x".repeat(90)), "as root");
        let checks = vec![
            check("short", Status::Ok, vec![]),
            check("a_longer_name", Status::Warning, vec![remedy.clone(), remedy]),
        ];
        let purpose = Purpose { spawn: 1, backlog: 2, load: true };
        Report::new(purpose, Some("docker"), checks)
    }

    #[test]
    fn text_keeps_to_its_columns_but_for_commands() {
        let text = report().to_text(false);
        for line in text.lines() {
            let is_command = line.contains("mend: ") || line.contains("or: ");
            assert!(line.chars().count() <= COLUMNS + 9 || is_command, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        assert!(text.starts_with("ok       short          a value and"), "{text}");
        assert!(text.contains("\nwarning  a_longer_name  a value and"), "{text}");
        assert!(text.contains("0 faults, 1 warning for --spawn 1 --backlog 2 --load"), "{text}");
        assert!(text.contains("(docker)") && text.contains("/etc/sysctl.d"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }

    #[test]
    fn colour_is_on_the_status_alone() {
        let text = report().to_text(true);
        assert!(text.starts_with("\x1b[32mok       \x1b[0mshort "), "{text}");
        let plain = text.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "");
        assert_eq!(plain, report().to_text(false));
    }

    #[test]
    fn json_can_be_read_again() {
        let report = report();
        assert_eq!(report.status, Status::Warning);
        let json = report.to_json();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["schema"], "uringstatic-doctor/1");
        assert_eq!(value["status"], "warning");
        assert_eq!(value["checks"][1]["mend"][0]["place"], "as root");
    }
}
