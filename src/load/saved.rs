//! Reports that were written by `--json`, read back for `compare` and `merge`.

use super::report::{Latency, LoadReport, SCHEMA};
use crate::error::Failure;
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A report, and where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedReport {
    /// The file, followed by the number of the report if the file has several: `pods.json (2)`.
    pub name: String,
    /// The report.
    pub report: LoadReport,
}

/// Reads the reports of these files; `-` is standard input. A file may have several reports one
/// after another, as the log of several pods has.
///
/// # Errors
/// If a file can't be read, or anything in it isn't a report of the schema [`SCHEMA`].
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<SavedReport>, Failure> {
    let mut reports = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        let text =
            if is_stdin { text_of(io::stdin().lock()) } else { File::open(path).and_then(text_of) };
        let text = text.map_err(|error| {
            let hint = "name the files that --json wrote; - is standard input";
            Failure::caused(format!("reading {name}"), error).with_hint(hint)
        })?;
        let found = parse(&text).map_err(|complaint| {
            let (why, hint) = complaint.into_parts();
            Failure::new(format!("{name} isn't a report of uringload"), why, hint)
        })?;
        let is_alone = found.len() == 1;
        reports.extend((1..).zip(found).map(|(number, report)| {
            let name = if is_alone { name.clone() } else { format!("{name} ({number})") };
            SavedReport { name, report }
        }));
    }
    Ok(reports)
}

/// The text of a file of at most [`FILE_BYTES_MAX`].
fn text_of(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// The reason for which a text is no report.
#[derive(Debug, PartialEq, Eq)]
enum NoReport {
    /// It isn't JSON, or not of this form.
    Malformed(String),
    /// It has the schema of an older version.
    Older,
    /// Its figures contradict each other.
    Contradictory(String),
}

impl NoReport {
    /// The reason, and its remedy.
    fn into_parts(self) -> (String, &'static str) {
        match self {
            Self::Malformed(why) => (why, "name files that uringload --json wrote"),
            Self::Older => (
                "it has the schema uringload/1, whose rates include the wait for late responses, \
                 and whose percentiles leave out requests without a response"
                    .to_owned(),
                "measure again with this version: figures of the two can't be compared",
            ),
            Self::Contradictory(why) => (why, "the file was changed or cut; measure again"),
        }
    }
}

/// The reports in a text: one JSON document after another, at least one.
fn parse(text: &str) -> Result<Vec<LoadReport>, NoReport> {
    let mut reports = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let document = document.map_err(|error| NoReport::Malformed(error.to_string()))?;
        reports.push(report_of(document)?);
    }
    if reports.is_empty() {
        return Err(NoReport::Malformed("it is empty".to_owned()));
    }
    Ok(reports)
}

fn report_of(document: Value) -> Result<LoadReport, NoReport> {
    match document.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => {}
        Some("uringload/1") => return Err(NoReport::Older),
        Some(other) => {
            return Err(NoReport::Malformed(format!("its schema is {other:?}, not {SCHEMA}")));
        }
        None => return Err(NoReport::Malformed("it has no schema".to_owned())),
    }
    let report = LoadReport::deserialize(document)
        .map_err(|error| NoReport::Malformed(error.to_string()))?;
    check(&report).map_err(NoReport::Contradictory)?;
    Ok(report)
}

/// Checks what later computations rely on.
fn check(report: &LoadReport) -> Result<(), String> {
    if report.runs.is_empty() {
        return Err("it has no run".to_owned());
    }
    for (number, run) in (1..).zip(&report.runs) {
        let latencies: [(&str, &Latency); 4] = [
            ("connect_us", &run.connect_us),
            ("handshake_us", &run.handshake_us),
            ("response_us", &run.response_us),
            ("error_us", &run.error_us),
        ];
        for (field, latency) in latencies {
            latency.check().map_err(|why| format!("{field} of run {number} {why}"))?;
        }
        if !run.seconds.is_finite() || run.seconds < 0.0 {
            return Err(format!("run {number} took {} seconds", run.seconds));
        }
    }
    Ok(())
}

/// A run has some 100 KB of JSON; this is room for the runs of a thousand machines.
const FILE_BYTES_MAX: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::Run;

    fn text(change: impl FnOnce(&mut LoadReport)) -> String {
        let mut report = LoadReport {
            schema: SCHEMA.to_owned(),
            label: String::new(),
            url: "http://a/".to_owned(),
            load: "GET".to_owned(),
            engine: "epoll".to_owned(),
            runs: vec![Run { due: 3, ..Run::default() }],
            limit: None,
        };
        change(&mut report);
        serde_json::to_string_pretty(&report).expect("a report is JSON")
    }

    #[test]
    fn several_reports_of_one_text_are_read_in_order() {
        let texts = ["a", "b", "c"].map(|label| text(|report| report.label = label.to_owned()));
        let found = parse(&texts.join("\n")).expect("all are reports");
        let labels: Vec<_> = found.iter().map(|report| report.label.as_str()).collect();
        assert_eq!(labels, ["a", "b", "c"]);
    }

    #[test]
    fn text_that_is_no_report_is_refused_with_the_reason() {
        let older = text(|report| report.schema = "uringload/1".to_owned());
        assert_eq!(parse(&older), Err(NoReport::Older));
        let sweep = text(|report| report.schema = "uringload-sweep/1".to_owned());
        let cut = &text(|_| {})[..99];
        let bucket = text(|report| {
            report.runs[0].response_us.histogram = vec![(1000, 1)];
        });
        for (text, reason) in [
            ("", "it is empty"),
            ("[]", "it has no schema"),
            ("{\"schema\":3}", "it has no schema"),
            (&sweep, "its schema is \"uringload-sweep/1\", not uringload/2"),
            ("requests 3\n", "at line 1 column 1"),
            (cut, "EOF while parsing"),
            (&format!("{}\nwarning: slow\n", text(|_| {})), "expected value at line"),
            ("{\"schema\":\"uringload/2\"}", "missing field `url`"),
            (&text(|report| report.runs.clear()), "it has no run"),
            (&bucket, "response_us of run 1 has 1 latencies in its buckets, and 0 as their count"),
        ] {
            let (found, hint) = parse(text).expect_err(reason).into_parts();
            assert!(found.contains(reason), "{text}: {found}");
            assert!(!hint.is_empty());
        }
    }

    #[test]
    fn missing_files_are_named() {
        let failure = read(&["/nonexistent/a.json"]).expect_err("there is no such file");
        assert!(failure.to_string().starts_with("reading /nonexistent/a.json: "), "{failure}");
    }
}
