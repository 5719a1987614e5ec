//! What would be served, as a table for people or JSON for programs, with every problem found.

use super::load::{self, Loaded};
use super::plan::{Because, To};
use super::{Failure, Request, look};
use crate::http::coding::Coding;
use crate::site::redirects::Effect;
use crate::site::tree::build::Body;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything that a root would serve.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name and version of this form.
    pub schema: &'static str,
    /// The folder.
    pub root: String,
    /// The paths, in their order.
    pub paths: Vec<Row>,
    /// The lines of `_redirects`, in their order.
    pub redirects: Vec<Rule>,
    /// Everything that is wrong or left out.
    pub problems: Vec<String>,
}

/// A path.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The decoded path, with what isn't UTF-8 replaced.
    pub path: String,
    /// The status of its replies.
    pub status: u16,
    /// `Content-Type`; none for a redirect.
    #[serde(rename = "type")]
    pub media_type: Option<String>,
    /// The length in each coding.
    pub bytes: BTreeMap<&'static str, u32>,
    /// `Cache-Control`.
    pub cache: Option<String>,
    /// `ETag` of the identity.
    pub etag: Option<String>,
    /// The file, or the folder, from the root on.
    pub from: String,
    /// How the path comes from it.
    pub because: &'static str,
}

/// A line of `_redirects`.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// Its number.
    pub line: u32,
    /// The status of its replies.
    pub status: u16,
    /// Whether it applies where there is a file, too.
    pub forced: bool,
    /// The line.
    pub text: String,
}

/// Reads a root and reports.
///
/// # Errors
/// If it can't be read at all.
pub fn check(request: &Request) -> Result<Report, Failure> {
    let (listing, plan) = look(request)?;
    let Loaded { bodies, .. } = load::load(request, &listing, &plan)?;
    let name = |file: usize| text(&listing.files[plan.files[file].listed].name);
    let mut report = Report {
        schema: "uringstatic-check/1",
        root: request.root.display().to_string(),
        paths: Vec::new(),
        redirects: Vec::new(),
        problems: plan.problems.iter().map(ToString::to_string).collect(),
    };
    for left_out in &listing.left_out {
        report.problems.push(format!("{}: left out: {}", text(&left_out.name), left_out.why));
    }
    for (number, file) in plan.files.iter().enumerate() {
        for &(coding, beside) in &file.beside {
            if !bodies[number].iter().any(|body| body.coding == coding) {
                report.problems.push(format!(
                    "{}: not used as {} of {}: it isn't that, or saves less than 5 %",
                    name(beside),
                    coding.name(),
                    name(number)
                ));
            }
        }
    }
    for route in &plan.routes {
        report.paths.push(match &route.to {
            To::Leaf(leaf) => Row {
                path: text(&route.path),
                status: 200,
                media_type: leaf.fields.value("Content-Type").map(str::to_owned),
                bytes: lengths(&bodies[leaf.file]),
                cache: leaf.fields.value("Cache-Control").map(str::to_owned),
                etag: tag(&bodies[leaf.file]),
                from: name(leaf.file),
                because: because(route.because),
            },
            To::Folder => Row {
                path: text(&route.path),
                status: 308,
                media_type: None,
                bytes: BTreeMap::new(),
                cache: None,
                etag: None,
                from: text(&route.path[1..]),
                because: because(route.because),
            },
        });
    }
    report.paths.sort_by(|a, b| a.path.cmp(&b.path));
    for rule in plan.redirects.rules() {
        let (Effect::Redirect(status) | Effect::Rewrite(status)) = rule.effect;
        let (line, forced, text) = (rule.line, rule.forced, rule.text.to_string());
        report.redirects.push(Rule { line, status, forced, text });
    }
    Ok(report)
}

impl Report {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers can be written") + "\n"
    }

    /// As a table, with the problems below.
    #[must_use]
    pub fn to_text(&self) -> String {
        let heading =
            ["path", "status", "type", "bytes", "cache", "etag", "from"].map(str::to_owned);
        let mut rows = vec![heading];
        rows.extend(self.paths.iter().map(Row::cells));
        let mut widths = [0; 7];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(text, "{}", line.trim_end()).expect(STRING);
        }
        if !self.redirects.is_empty() {
            writeln!(text, "\n_redirects").expect(STRING);
        }
        for Rule { line, text: rule, .. } in &self.redirects {
            writeln!(text, "{line:>6}  {rule}").expect(STRING);
        }
        let problems = match self.problems.len() {
            0 => "no problems".to_owned(),
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        writeln!(text, "\n{} paths, {problems}", self.paths.len()).expect(STRING);
        for problem in &self.problems {
            writeln!(text, "  {problem}").expect(STRING);
        }
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 7] {
        let identity = Coding::Identity.name();
        let mut bytes: Vec<_> = self.bytes.get(identity).map(u32::to_string).into_iter().collect();
        let coded = self.bytes.iter().filter(|(coding, _)| **coding != identity);
        bytes.extend(coded.map(|(coding, bytes)| format!("{coding} {bytes}")));
        let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        [
            self.path.clone(),
            self.status.to_string(),
            or_dash(&self.media_type),
            bytes.join(", "),
            or_dash(&self.cache),
            or_dash(&self.etag),
            format!("{} ({})", self.from, self.because),
        ]
    }
}

fn lengths(bodies: &[Body]) -> BTreeMap<&'static str, u32> {
    bodies.iter().map(|body| (body.coding.name(), body.span.len)).collect()
}

fn tag(bodies: &[Body]) -> Option<String> {
    let identity = bodies.iter().find(|body| body.coding == Coding::Identity)?;
    Some(text(&identity.tag))
}

fn because(because: Because) -> &'static str {
    match because {
        Because::Name => "name",
        Because::Index => "index",
        Because::CleanUrl => "clean URL",
        Because::Folder => "folder",
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const STRING: &str = "writing to a string does not fail";
