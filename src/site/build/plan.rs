//! What a listing makes of paths: which file each one has, and with which fields. Pure: the same
//! listing and the same rules make the same plan on every machine.

use super::caching::caching;
use super::escape::escaped;
use super::fields::FieldList;
use super::headers::Headers;
use super::merge::FieldsOf;
use super::walk::{Listed, Listing};
use super::{Problem, headers, hidden, redirects};
use crate::http::coding::Coding;
use crate::http::media_type::of_path;
use crate::site::redirects::{Effect, Redirect, Redirects};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// How a root is to be served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteOptions {
    /// `/about` finds `about.html`.
    pub clean_urls: bool,
    /// The file, from the root on, that navigations get where there is nothing.
    pub fallback: Option<String>,
    /// The path that says whether the server is well.
    pub health: Option<String>,
    /// Fields of all files.
    pub fields: Vec<(String, String)>,
}

/// What is served, and where.
#[derive(Debug, Default)]
pub struct Plan {
    /// The files, in the order of their names.
    pub files: Vec<Planned>,
    /// The paths, in the order in which they were thought of.
    pub routes: Vec<Route>,
    /// The number of the route's file that a 404 has.
    pub not_found: Option<PlannedTarget>,
    /// The file that navigations get where there is nothing.
    pub fallback: Option<PlannedTarget>,
    /// The rules.
    pub redirects: Redirects,
    /// What is wrong: each is a reason not to start.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// Whether every path is 404.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.redirects.rules().is_empty()
    }
}

/// A file that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its number in the listing.
    pub listed: usize,
    /// Files beside it that have it in another coding, by their numbers in the plan.
    pub beside: Vec<(Coding, usize)>,
    /// Its media type.
    pub media_type: String,
    /// It is a coding by itself, of what nobody has: it is sent as that, and not coded again.
    pub is_coded: bool,
}

/// A file with the fields that responses with it have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTarget {
    /// Its number in the plan.
    pub file: usize,
    /// The fields, besides those that follow from the file. Paths with the same ones share them.
    pub fields: Arc<FieldList>,
}

/// A path that leads somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The decoded path.
    pub path: Vec<u8>,
    /// What it has.
    pub to: To,
    /// Why it is there.
    pub reason: Reason,
}

/// What a path has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A file.
    PlannedTarget(PlannedTarget),
    /// A redirect to the same path with a slash.
    Folder,
}

/// Why a path is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is the file's name.
    Name,
    /// It is the folder of an `index.html`.
    Index,
    /// It is the file's name without `.html`.
    CleanUrl,
    /// It is a folder's name without the slash.
    Folder,
}

/// The plan for a listing, with the texts of `_headers` and `_redirects`, if there are any.
#[must_use]
pub fn plan(
    listing: &Listing,
    options: &SiteOptions,
    headers: Option<&str>,
    redirects: Option<&str>,
) -> Plan {
    let mut plan = Plan::default();
    let headers = headers.map_or_else(|| Ok(Headers::default()), Headers::parse);
    let headers = headers.unwrap_or_else(|problems| {
        plan.problems.extend(problems);
        Headers::default()
    });
    let served: Vec<usize> =
        (0..listing.files.len()).filter(|&index| !is_rules(&listing.files[index].name)).collect();
    let numbers: HashMap<&[u8], usize> = served
        .iter()
        .enumerate()
        .map(|(number, &index)| (&*listing.files[index].name, number))
        .collect();
    for &index in &served {
        let name = &listing.files[index].name;
        let is_coded = listing.files[index].is_svg_in_gzip;
        let beside = |coding: Coding| {
            let extension = coding.extension().filter(|_| !is_coded)?;
            let number = numbers.get(&*[name, &b"."[..], extension.as_bytes()].concat())?;
            Some((coding, *number))
        };
        plan.files.push(Planned {
            listed: index,
            beside: Coding::ALL.into_iter().filter_map(beside).collect(),
            media_type: of_path(Path::new(OsStr::from_bytes(name))),
            is_coded,
        });
    }
    let fields = FieldsOf::new(&headers);
    let mut router = Router { options, fields, taken: HashMap::new(), plan: &mut plan };
    for (number, &index) in served.iter().enumerate() {
        router.by_name(number, &listing.files[index]);
    }
    for (number, &index) in served.iter().enumerate() {
        router.by_convention(number, &listing.files[index]);
    }
    for &index in &served {
        router.folders(&listing.files[index].name);
    }
    router.plan.not_found = numbers.get(NOT_FOUND).map(|&file| router.leaf(file, NOT_FOUND));
    if let Some(name) = &options.fallback {
        let name = name.trim_start_matches('/').as_bytes();
        if let Some(&file) = numbers.get(name) {
            router.plan.fallback = Some(router.leaf(file, name));
        } else {
            let why = format!("the root has no file {}", escaped(name));
            router.plan.problems.push(Problem::of("--spa", why));
        }
    }
    plan_redirects(&mut plan, redirects);
    let hidden = hidden::hide(&mut plan, listing);
    // A page that is served everywhere and one that is hidden can't be the same.
    if let Some(leaf) = &plan.fallback
        && let Some(&rule) = hidden.get(&leaf.file)
    {
        let name = escaped(&listing.files[plan.files[leaf.file].listed].name);
        let Redirect { line, text, .. } = &plan.redirects.rules()[rule as usize];
        let why = format!("{name} is hidden by {}:{line} ({text})", redirects::NAME);
        plan.problems.push(Problem::of("--spa", why));
    }
    plan
}

/// Reads the rules, and checks that rewrites lead to something.
fn plan_redirects(plan: &mut Plan, text: Option<&str>) {
    let rules = match redirects::parse(text.unwrap_or_default()) {
        Ok(rules) => rules,
        Err(problems) => {
            plan.problems.extend(problems);
            return;
        }
    };
    let paths: HashMap<&[u8], &To> =
        plan.routes.iter().map(|route| (&*route.path, &route.to)).collect();
    let mut problems = Vec::new();
    for rule in &rules {
        let Effect::Rewrite(_) = rule.effect else { continue };
        let Some(path) = rule.to.fixed() else { continue };
        if !matches!(paths.get(path), Some(To::PlannedTarget(_))) {
            let why = format!("{}: the root has no such file", escaped(path));
            problems.push(Problem::at(redirects::NAME, rule.line, why));
        }
    }
    plan.problems.extend(problems);
    plan.redirects = Redirects::new(rules);
}

struct Router<'a> {
    options: &'a SiteOptions,
    /// By what the fields without `_headers` depend on: the type, the caching, a coding of its own.
    fields: FieldsOf<'a, (String, Option<&'static str>, bool)>,
    taken: HashMap<Vec<u8>, usize>,
    plan: &'a mut Plan,
}

impl Router<'_> {
    fn by_name(&mut self, file: usize, listed: &Listed) {
        let path = [&b"/"[..], &listed.name].concat();
        self.add_leaf(path, file, Reason::Name);
    }

    /// Paths that have a file for what it is called: a file called so comes before them.
    fn by_convention(&mut self, file: usize, listed: &Listed) {
        let path = [&b"/"[..], &listed.name].concat();
        if let Some(folder) = path.strip_suffix(INDEX)
            && folder.ends_with(b"/")
        {
            self.add_leaf(folder.to_vec(), file, Reason::Index);
        }
        if self.options.clean_urls
            && let Some(stem) = path.strip_suffix(b".html")
            && !stem.ends_with(b"/")
        {
            self.add_leaf(stem.to_vec(), file, Reason::CleanUrl);
        }
    }

    /// The folder of an index is found without its slash, too.
    fn folders(&mut self, name: &[u8]) {
        let path = [&b"/"[..], name].concat();
        let Some(folder) = path.strip_suffix(INDEX) else { return };
        if let Some(folder @ [_, ..]) = folder.strip_suffix(b"/") {
            self.add(Route { path: folder.to_vec(), to: To::Folder, reason: Reason::Folder });
        }
    }

    fn add_leaf(&mut self, path: Vec<u8>, file: usize, reason: Reason) {
        if self.taken.contains_key(&path) {
            return;
        }
        let leaf = self.leaf(file, &path[1..]);
        self.add(Route { path, to: To::PlannedTarget(leaf), reason });
    }

    /// A file as responses under this path have it (which is without its first slash).
    fn leaf(&mut self, file: usize, path: &[u8]) -> PlannedTarget {
        let Planned { media_type, is_coded, .. } = &self.plan.files[file];
        let caching = caching(path, media_type);
        let before = || default_fields(self.options, media_type, caching, *is_coded);
        let key = (media_type.clone(), caching, *is_coded);
        let fields = self.fields.of(&[b"/", path].concat(), key, before);
        let fields = fields.unwrap_or_else(|problem| {
            if !self.plan.problems.contains(&problem) {
                self.plan.problems.push(problem);
            }
            Arc::default()
        });
        PlannedTarget { file, fields }
    }

    fn add(&mut self, route: Route) {
        if !self.taken.contains_key(&route.path) {
            self.taken.insert(route.path.clone(), self.plan.routes.len());
            self.plan.routes.push(route);
        }
    }
}

/// The fields of a file without `_headers`.
fn default_fields(
    options: &SiteOptions,
    media_type: &str,
    caching: Option<&str>,
    is_coded: bool,
) -> FieldList {
    let mut fields = FieldList::default();
    fields.set("Content-Type", media_type);
    if let Some(caching) = caching {
        fields.set("Cache-Control", caching);
    }
    for (name, _) in &options.fields {
        fields.remove(name);
    }
    for (name, value) in &options.fields {
        fields.append(name, value);
    }
    if is_coded {
        fields.set("Content-Encoding", Coding::Gzip.name());
    }
    fields
}

pub(super) fn is_rules(name: &[u8]) -> bool {
    name == headers::NAME.as_bytes() || name == redirects::NAME.as_bytes()
}

const INDEX: &[u8] = b"index.html";
const NOT_FOUND: &[u8] = b"404.html";

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(names: &[&str], options: &SiteOptions, rules: [Option<&str>; 2]) -> Plan {
        let mut listing = Listing::default();
        for name in names {
            let name = name.as_bytes().to_vec();
            let is_svg_in_gzip = name.ends_with(b".svgz");
            listing.files.push(Listed { name, bytes: 1, is_svg_in_gzip, ..Listed::default() });
        }
        listing.files.sort_by(|a, b| a.name.cmp(&b.name));
        plan(&listing, options, rules[0], rules[1])
    }

    fn clean() -> SiteOptions {
        SiteOptions { clean_urls: true, ..SiteOptions::default() }
    }

    /// Each path and why it is there.
    fn paths(plan: &Plan) -> Vec<(String, Reason)> {
        let text = |route: &Route| String::from_utf8_lossy(&route.path).into_owned();
        let mut paths: Vec<_> =
            plan.routes.iter().map(|route| (text(route), route.reason)).collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        paths
    }

    #[test]
    fn files_are_found_by_their_names_and_by_convention() {
        let names = ["index.html", "about.html", "docs/index.html", "a.png", "_headers"];
        let plan = planned(&names, &clean(), [None, None]);
        let found: Vec<_> = paths(&plan).into_iter().map(|(path, _)| path).collect();
        assert_eq!(
            found,
            [
                "/",
                "/a.png",
                "/about",
                "/about.html",
                "/docs",
                "/docs/",
                "/docs/index",
                "/docs/index.html",
                "/index",
                "/index.html"
            ]
        );
        let without = planned(&names, &SiteOptions::default(), [None, None]);
        assert!(paths(&without).iter().all(|(path, _)| path != "/about"));
    }

    #[test]
    fn names_come_before_conventions() {
        let plan = planned(&["a", "a.html", "b.html", "b/index.html"], &clean(), [None, None]);
        let reason = |path: &str| {
            let paths = paths(&plan);
            paths.iter().find(|(known, _)| known == path).map(|(_, reason)| *reason)
        };
        assert_eq!(reason("/a"), Some(Reason::Name));
        assert_eq!(reason("/b"), Some(Reason::CleanUrl));
        assert_eq!(reason("/b/"), Some(Reason::Index));
    }

    #[test]
    fn files_beside_a_file_are_its_codings() {
        let plan = planned(&["a.js", "a.js.br", "a.js.gz", "b.js.zst"], &clean(), [None, None]);
        let beside: Vec<_> = plan.files.iter().map(|file| file.beside.clone()).collect();
        assert_eq!(beside[0], [(Coding::Gzip, 2), (Coding::Brotli, 1)]);
        assert!(beside[1..].iter().all(Vec::is_empty));
    }

    #[test]
    fn fields_have_defaults_that_rules_change() {
        let rules = "/x.css\n  Cache-Control: max-age=1\n  Content-Type: text/plain\n\
                     /*\n  X-Content-Type-Options: nosniff\n";
        let names = ["index.html", "app.1f3a09bc.js", "x.css", "y.css"];
        let plan = planned(&names, &clean(), [Some(rules), None]);
        assert!(plan.problems.is_empty());
        let value = |path: &str, name: &str| {
            let route = plan.routes.iter().find(|route| route.path == path.as_bytes());
            let To::PlannedTarget(leaf) = &route.expect("it is there").to else {
                panic!("a folder")
            };
            leaf.fields.value(name).map(str::to_owned)
        };
        let value = |path, name| value(path, name).unwrap_or_default();
        assert_eq!(value("/", "Cache-Control"), "no-cache");
        assert_eq!(
            value("/app.1f3a09bc.js", "Cache-Control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(value("/x.css", "cache-control"), "max-age=1");
        assert_eq!(value("/x.css", "Content-Type"), "text/plain");
        assert_eq!(value("/y.css", "X-Content-Type-Options"), "", "every response has it");
        assert_eq!(value("/y.css", "Cache-Control"), "");
        assert_eq!(value("/y.css", "Content-Type"), "text/css; charset=utf-8");
    }

    #[test]
    fn fields_of_all_files_are_sent_as_they_were_given() {
        let given = [("Link", "<a>"), ("link", "<b>"), ("Cache-Control", "max-age=5")];
        let fields = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let plan = planned(&["a.html"], &SiteOptions { fields, ..clean() }, [None, None]);
        let To::PlannedTarget(leaf) = &plan.routes[0].to else { panic!("a folder") };
        let sent: Vec<_> = leaf.fields.iter().skip(1).collect();
        assert_eq!(sent, given);
    }

    #[test]
    fn a_picture_in_gzip_is_sent_as_that() {
        let plan = planned(&["a.svgz", "a.svgz.br"], &clean(), [None, None]);
        let To::PlannedTarget(leaf) = &plan.routes[0].to else { panic!("a folder") };
        let sent: Vec<_> = leaf.fields.iter().collect();
        assert_eq!(sent, [("Content-Type", "image/svg+xml"), ("Content-Encoding", "gzip")]);
        assert!(plan.files[0].beside.is_empty());
    }

    #[test]
    fn problems_are_found() {
        let options = SiteOptions { fallback: Some("app.html".to_owned()), ..clean() };
        let rules = [Some("/x\n"), Some("/a /b 200\n/c /d.html 200\n/e /d.html/:x 200")];
        let plan = planned(&["d.html"], &options, rules);
        let said: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        for (said, hint) in said.iter().zip(["_headers:1", "--spa", "_redirects:3"]) {
            assert!(said.contains(hint), "{said}");
        }
        let names = ["a b\u{e4}.html"];
        let rules = [None, Some("/x /c/../a%20b%C3%A4.html 200\n/y /a%2520b%C3%A4.html 404")];
        let plan = planned(&names, &clean(), rules);
        let said: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].starts_with("_redirects:2: /a%20"), "{said:?}");
        let rules = [None, Some("/a /b 200\n/c /d 200\n/e/* /x/:splat 200")];
        let plan = planned(&["d.html", "x/index.html"], &clean(), rules);
        assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    }
}
