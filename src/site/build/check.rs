//! The report of everything that a root would serve, as a table or as JSON: with every problem,
//! everything that is left out, and every warning.

use super::encodings;
use super::escape::{escape_controls, escaped, escaped_path};
use super::gather::{Gathered, gather};
use super::links;
use super::listing::Listing;
use super::load::{Loaded, Unused, UnusedReason};
use super::options::BuildRequest;
use super::rule_files::REDIRECTS;
use super::site_plan::{RouteKind, RouteReason, SitePlan};
use super::summary::nothing_to_serve;
use crate::error::Failure;
use crate::http::coding::Coding;
use crate::http::path;
use crate::os::privileges::Account;
use crate::site::conditions::RequestConditions;
use crate::site::pattern::Captures;
use crate::site::redirects::{Effect, Redirect};
use crate::site::tree::rows::CodedBody;
use crate::text::columns;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything that a root would serve. The fields are the keys of the JSON.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Name and version of this schema: `uringstatic-check/2`.
    pub schema: &'static str,
    /// Path of the root, escaped.
    pub root: String,
    /// ID of the user that read the folder for this report and would serve it.
    pub user: u32,
    /// ID of that user's group.
    pub group: u32,
    /// The paths, sorted.
    pub paths: Vec<PathRow>,
    /// The rules of `_redirects`, in the order of the file.
    pub redirects: Vec<Rule>,
    /// Every error that prevents the start, and the lack of anything to serve.
    pub problems: Vec<String>,
    /// Every line of a rule and every entry of the folder that is left out.
    pub left_out: Vec<String>,
    /// Every line of a rule and every precompressed file without effect.
    pub warnings: Vec<String>,
}

/// A path and its response.
#[derive(Debug, Serialize)]
pub struct PathRow {
    /// The decoded path. Unprintable characters and octets that aren't UTF-8 are escaped.
    pub path: String,
    /// The path as clients request it, percent-encoded.
    pub target: String,
    /// Status code.
    pub status: u16,
    /// `Content-Type`; none for a redirect.
    #[serde(rename = "type")]
    pub media_type: Option<String>,
    /// Length in bytes by coding.
    pub bytes: BTreeMap<&'static str, u64>,
    /// `Cache-Control`.
    pub cache: Option<String>,
    /// `ETag` of the identity.
    pub etag: Option<String>,
    /// Path from the root of the file, or of the folder.
    pub from: String,
    /// Convention by which the path exists.
    #[serde(rename = "because")]
    pub reason: &'static str,
    /// Line of `_redirects` with the forced rule that hides the file.
    pub rule: Option<u32>,
}

/// A rule of `_redirects`.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// Number of its line.
    pub line: u32,
    /// Status code.
    pub status: u16,
    /// Whether the rule applies to paths with a file, too.
    pub forced: bool,
    /// Text of the line.
    pub text: String,
}

/// Reads a root and reports everything that it would serve. Problems are part of the report, as is
/// everything that is left out.
///
/// # Errors
/// If the root can't be read or exceeds a limit.
pub fn check(request: &BuildRequest) -> Result<CheckReport, Failure> {
    // Problems of the plan are part of the report.
    let gathered = gather(request, &links::open(request)?, None, |_| Ok(()))?;
    Ok(report(request, &gathered))
}

/// The report of a root whose files were read.
pub(super) fn report(request: &BuildRequest, gathered: &Gathered) -> CheckReport {
    let Gathered { listing, plan, loaded } = gathered;
    let Loaded { bodies, unused, .. } = loaded;
    let name = |file: usize| escaped(&listing.files[plan.files[file].listed].name);
    let Account { uid: user, gid: group } = Account::current();
    let mut report = CheckReport {
        schema: SCHEMA,
        root: escaped_path(&request.root),
        user,
        group,
        paths: Vec::new(),
        redirects: Vec::new(),
        problems: problems(request, plan),
        left_out: left_out(listing, plan),
        warnings: warnings(listing, plan, unused),
    };
    // Rules with conditions hide a path from some requests only.
    let request_conditions = RequestConditions::default();
    for route in &plan.routes {
        let mut row = PathRow::new(&route.path, route.reason);
        let mut is_sent = |rule: &Redirect, _: &Captures<'_>| !rule.may_cycle;
        let found = plan.redirects.find(&route.path, true, &request_conditions, &mut is_sent);
        match (found.rule, &route.kind) {
            (Some((number, _)), to) => {
                let rule = &plan.redirects.rules()[number as usize];
                row.status = status(rule);
                row.rule = Some(rule.line);
                row.from = match to {
                    RouteKind::File(target) => name(target.file),
                    RouteKind::Folder => row.from,
                };
            }
            (None, RouteKind::File(target)) => {
                row.status = 200;
                row.media_type = target.fields.value("Content-Type").map(str::to_owned);
                row.bytes = lengths(&bodies[target.file]);
                row.cache = target.fields.value("Cache-Control").map(str::to_owned);
                row.etag = tag(&bodies[target.file]);
                row.from = name(target.file);
            }
            (None, RouteKind::Folder) => {}
        }
        report.paths.push(row);
    }
    report.paths.sort_by(|a, b| a.path.cmp(&b.path));
    for rule in plan.redirects.rules() {
        let (line, forced, text) = (rule.line, rule.forced, rule.text.to_string());
        report.redirects.push(Rule { line, status: status(rule), forced, text });
    }
    report
}

fn status(rule: &Redirect) -> u16 {
    let (Effect::Redirect(status) | Effect::Rewrite(status)) = rule.effect;
    status
}

/// Every error that prevents the start, and the lack of anything to serve.
fn problems(request: &BuildRequest, plan: &SitePlan) -> Vec<String> {
    let mut problems: Vec<String> = plan.problems.iter().map(ToString::to_string).collect();
    if plan.is_empty() {
        problems.push(nothing_to_serve(&request.root));
    }
    problems
}

/// The lines of rules and the entries of the folder that are left out.
fn left_out(listing: &Listing, plan: &SitePlan) -> Vec<String> {
    plan.left_out.iter().map(ToString::to_string).chain(listing.skipped.lines()).collect()
}

/// The lines of rules and the precompressed files without effect, and text in another encoding than
/// UTF-8.
fn warnings(listing: &Listing, plan: &SitePlan, unused: &[Unused]) -> Vec<String> {
    let mut warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(encodings::warnings(listing, plan));
    let name = |file: usize| escaped(&listing.files[plan.files[file].listed].name);
    for &Unused { file, of, coding, reason } in unused {
        if reason == UnusedReason::TooLarge {
            let (file, of) = (name(file), name(of));
            let coding = coding.name();
            warnings.push(format!("{file}: not used as {coding} of {of}: it saves less than 5 %"));
        }
    }
    warnings
}

fn target(path: &[u8]) -> String {
    let mut target = vec![0; path.len() * 3];
    let len = path::encode(path, &mut target).expect("each octet takes three at most");
    target.truncate(len);
    String::from_utf8(target).expect("percent-encoding yields ASCII")
}

impl CheckReport {
    /// The report as JSON, with a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers have a form in JSON") + "\n"
    }

    /// Whether the server serves the folder as it is: without a problem, and without leaving
    /// anything out. Warnings don't count.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty() && self.left_out.is_empty()
    }

    /// The report as a table, followed by rules, problems, what is left out, and warnings.
    #[must_use]
    pub fn to_text(&self) -> String {
        let heading =
            ["path", "status", "type", "bytes", "cache", "etag", "from"].map(str::to_owned);
        let mut rows = vec![heading];
        rows.extend(self.paths.iter().map(PathRow::cells));
        let mut text = String::new();
        for line in columns(&rows) {
            writeln!(text, "{line}").expect(STRING);
        }
        if !self.redirects.is_empty() {
            writeln!(text, "\n_redirects").expect(STRING);
        }
        for Rule { line, text: rule, .. } in &self.redirects {
            writeln!(text, "{line:>6}  {}", escape_controls(rule)).expect(STRING);
        }
        writeln!(text, "\n{}", self.totals()).expect(STRING);
        let lists = [
            ("problems", &self.problems),
            ("left out", &self.left_out),
            ("warnings", &self.warnings),
        ];
        for (heading, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            writeln!(text, "\n{heading}").expect(STRING);
            for line in list {
                writeln!(text, "  {line}").expect(STRING);
            }
        }
        let account = Account { uid: self.user, gid: self.group };
        writeln!(text, "\nread as {account}").expect(STRING);
        text
    }
}

impl CheckReport {
    /// The numbers of paths, problems, things left out, and warnings.
    fn totals(&self) -> String {
        let counted = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        };
        let problems = counted(self.problems.len(), "problem", "problems");
        let parts = [
            Some(format!("{} paths", self.paths.len())),
            problems.or_else(|| Some("no problems".to_owned())),
            counted(self.left_out.len(), "left out", "left out"),
            counted(self.warnings.len(), "warning", "warnings"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl PathRow {
    /// The row of a path that redirects to the same path with a slash.
    fn new(path: &[u8], reason: RouteReason) -> Self {
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
                    format!("{from} ({reason}), hidden by {REDIRECTS}:{line}")
                }
            },
        ]
    }
}

fn lengths(bodies: &[CodedBody]) -> BTreeMap<&'static str, u64> {
    bodies.iter().map(|body| (body.coding.name(), body.span.len)).collect()
}

fn tag(bodies: &[CodedBody]) -> Option<String> {
    let identity = bodies.iter().find(|body| body.coding == Coding::Identity)?;
    Some(escaped(&identity.tag))
}

fn reason(reason: RouteReason) -> &'static str {
    match reason {
        RouteReason::Name => "name",
        RouteReason::Index => "index",
        RouteReason::CleanUrl => "clean URL",
        RouteReason::Folder => "folder",
    }
}

/// The schema of the JSON. Version 2 has `left_out` and `warnings` beside `problems`.
const SCHEMA: &str = "uringstatic-check/2";
const STRING: &str = "writing to a string doesn't fail";
