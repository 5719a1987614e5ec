//! What would be served, as a table for people or JSON for programs, with every problem found.

use super::escape::{escape_controls, escaped, escaped_path};
use super::gather::{Gathered, gather};
use super::load::{self, Loaded, Unused};
use super::plan::{Plan, Reason, To};
use super::walk::Listing;
use super::{Failure, Problem, Request, nothing_to_serve, redirects};
use crate::http::coding::Coding;
use crate::http::path;
use crate::os::privileges::Account;
use crate::site::redirects::{Effect, Redirect};
use crate::site::tree::build::Body;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

/// Everything that a root would serve.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name and version of this form.
    pub schema: &'static str,
    /// The folder.
    pub root: String,
    /// User ID of the user that would serve the folder, and read it for this report.
    pub user: u32,
    /// Group ID of that user.
    pub group: u32,
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
    /// The decoded path. What can't be seen in it, or isn't UTF-8, is escaped by a backslash.
    pub path: String,
    /// The path as it is asked for, percent-encoded.
    pub target: String,
    /// The status of its responses.
    pub status: u16,
    /// `Content-Type`; none for a redirect.
    #[serde(rename = "type")]
    pub media_type: Option<String>,
    /// The length in each coding.
    pub bytes: BTreeMap<&'static str, u64>,
    /// `Cache-Control`.
    pub cache: Option<String>,
    /// `ETag` of the identity.
    pub etag: Option<String>,
    /// The file, or the folder, from the root on.
    pub from: String,
    /// How the path comes from it.
    #[serde(rename = "because")]
    pub reason: &'static str,
    /// The line of `_redirects` with the forced rule that applies instead.
    pub rule: Option<u32>,
}

/// A line of `_redirects`.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// Its number.
    pub line: u32,
    /// The status of its responses.
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
    // Problems of the plan go into the report.
    let Gathered { listing, plan, loaded } = gather(request, |_| Ok(()))?;
    let Loaded { bodies, unused, .. } = loaded;
    let name = |file: usize| escaped(&listing.files[plan.files[file].listed].name);
    let Account { uid: user, gid: group } = Account::current();
    let mut report = Report {
        schema: "uringstatic-check/1",
        root: escaped_path(&request.root),
        user,
        group,
        paths: Vec::new(),
        redirects: Vec::new(),
        problems: problems(request, &listing, &plan, &unused),
    };
    for route in &plan.routes {
        let mut row = Row::new(&route.path, route.reason);
        match (plan.redirects.find(&route.path, true), &route.to) {
            (Some((rule, _)), to) => {
                row.status = status(rule);
                row.rule = Some(rule.line);
                row.from = match to {
                    To::PlannedTarget(leaf) => name(leaf.file),
                    To::Folder => row.from,
                };
            }
            (None, To::PlannedTarget(leaf)) => {
                row.status = 200;
                row.media_type = leaf.fields.value("Content-Type").map(str::to_owned);
                row.bytes = lengths(&bodies[leaf.file]);
                row.cache = leaf.fields.value("Cache-Control").map(str::to_owned);
                row.etag = tag(&bodies[leaf.file]);
                row.from = name(leaf.file);
            }
            (None, To::Folder) => {}
        }
        report.paths.push(row);
    }
    report.paths.sort_by(|a, b| a.path.cmp(&b.path));
    for rule in plan.redirects.rules() {
        let (line, forced, text) = (rule.line, rule.forced, rule.text.to_string());
        report.redirects.push(Rule { line, status: status(rule), forced, text });
    }
    Ok(report)
}

fn status(rule: &Redirect) -> u16 {
    let (Effect::Redirect(status) | Effect::Rewrite(status)) = rule.effect;
    status
}

/// Everything that is wrong or left out.
fn problems(request: &Request, listing: &Listing, plan: &Plan, unused: &[Unused]) -> Vec<String> {
    let mut problems: Vec<String> = plan.problems.iter().map(ToString::to_string).collect();
    for skipped in listing.skipped.named() {
        problems.push(format!("{}: left out: {}", escaped(&skipped.name), skipped.why));
    }
    if listing.skipped.more() > 0 {
        problems.push(format!("{} more are left out", listing.skipped.more()));
    }
    let name = |file: usize| escaped(&listing.files[plan.files[file].listed].name);
    for &Unused { file, of, coding, reason } in unused {
        if reason == load::Reason::TooLarge {
            let (file, of) = (name(file), name(of));
            let coding = coding.name();
            problems.push(format!("{file}: not used as {coding} of {of}: it saves less than 5 %"));
        }
    }
    let paths: HashSet<&[u8]> = plan.routes.iter().map(|route| &*route.path).collect();
    for rule in plan.redirects.rules().iter().filter(|rule| !rule.forced) {
        let Some(path) = literal_path(rule) else { continue };
        if paths.contains(&*path) {
            let why = format!(
                "{} is never used: the root has that path, and only ! behind the status comes \
                 before it",
                escaped(&path)
            );
            problems.push(Problem::at(redirects::NAME, rule.line, why).to_string());
        }
    }
    if plan.is_empty() {
        problems.push(nothing_to_serve(&request.root));
    }
    problems
}

/// The path that a rule without placeholders applies to, with the slash that it was written with.
fn literal_path(rule: &Redirect) -> Option<Vec<u8>> {
    let mut path = rule.from.exact()?.to_vec();
    let written = rule.text.split_ascii_whitespace().next()?;
    if written.ends_with('/') && path.len() > 1 {
        path.push(b'/');
    }
    Some(path)
}

fn target(path: &[u8]) -> String {
    let mut target = vec![0; path.len() * 3];
    let len = path::encode(path, &mut target).expect("three octets for each are enough");
    target.truncate(len);
    String::from_utf8(target).expect("what is percent-encoded is ASCII")
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
            writeln!(text, "{line:>6}  {}", escape_controls(rule)).expect(STRING);
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
        let account = Account { uid: self.user, gid: self.group };
        writeln!(text, "read as {account}").expect(STRING);
        text
    }
}

impl Row {
    /// The row of a path that redirects to the same with a slash.
    fn new(path: &[u8], reason: Reason) -> Self {
        Self {
            path: escaped(path),
            target: target(path),
            status: 308,
            media_type: None,
            bytes: BTreeMap::new(),
            cache: None,
            etag: None,
            from: escaped(&path[1..]),
            reason: self::reason(reason),
            rule: None,
        }
    }

    fn cells(&self) -> [String; 7] {
        let identity = Coding::Identity.name();
        let mut bytes: Vec<_> = self.bytes.get(identity).map(u64::to_string).into_iter().collect();
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
            match self.rule {
                None => format!("{} ({})", self.from, self.reason),
                Some(line) => {
                    let (from, reason) = (&self.from, self.reason);
                    format!("{from} ({reason}), hidden by {}:{line}", redirects::NAME)
                }
            },
        ]
    }
}

fn lengths(bodies: &[Body]) -> BTreeMap<&'static str, u64> {
    bodies.iter().map(|body| (body.coding.name(), body.span.len)).collect()
}

fn tag(bodies: &[Body]) -> Option<String> {
    let identity = bodies.iter().find(|body| body.coding == Coding::Identity)?;
    Some(escaped(&identity.tag))
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Name => "name",
        Reason::Index => "index",
        Reason::CleanUrl => "clean URL",
        Reason::Folder => "folder",
    }
}

const STRING: &str = "writing to a string does not fail";
