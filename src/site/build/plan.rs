//! The plan of a site: the file and the fields of each path. Pure: equal listings and rules make
//! equal plans on every machine.

use super::escape::escaped;
use super::field_plan::plan_fields;
use super::headers::ParsedHeaders;
use super::hidden;
use super::listing::{Listed, Listing};
use super::options::SiteOptions;
use super::problem::Problem;
use super::redirects;
use super::rule_files::{REDIRECTS, is_rule_file};
use super::site_plan::{
    NotFoundPage, Planned, PlannedTarget, Route, RouteKind, RouteReason, SitePlan,
};
use crate::http::coding::Coding;
use crate::http::media_type::of_file;
use crate::site::redirects::{Effect, Redirect, Redirects};
use std::collections::HashMap;
use std::sync::Arc;

/// Plans the site of a listing; `headers` and `redirects` are the texts of `_headers` and
/// `_redirects`. Errors in them and in the options become [`SitePlan::problems`].
#[must_use]
pub fn plan(
    listing: &Listing,
    options: &SiteOptions,
    headers: Option<&str>,
    redirects: Option<&str>,
) -> SitePlan {
    let ParsedHeaders { rules: field_rules, left_out, problems } =
        headers.map(ParsedHeaders::parse).unwrap_or_default();
    let mut plan = SitePlan { field_rules, left_out, problems, ..SitePlan::default() };
    let served: Vec<usize> = (0..listing.files.len())
        .filter(|&index| !is_rule_file(&listing.files[index].name))
        .collect();
    let numbers: HashMap<&[u8], usize> = served
        .iter()
        .enumerate()
        .map(|(number, &index)| (&*listing.files[index].name, number))
        .collect();
    plan.files = planned_files(listing, &served, &numbers);
    let mut router = Router { options, taken: HashMap::new(), plan: &mut plan };
    for (number, &index) in served.iter().enumerate() {
        router.by_name(number, &listing.files[index]);
    }
    for (number, &index) in served.iter().enumerate() {
        router.by_convention(number, &listing.files[index]);
    }
    for &index in &served {
        router.folders(&listing.files[index].name);
    }
    if let Some(name) = &options.fallback {
        let name = name.trim_start_matches('/').as_bytes();
        if let Some(&file) = numbers.get(name) {
            router.plan.fallback = Some(target(file));
        } else {
            let why = format!("the root has no file {}", escaped(name));
            router.plan.problems.push(Problem::of("--spa", why));
        }
    }
    plan.not_found = not_found_pages(&numbers);
    plan_redirects(&mut plan, redirects);
    let hidden = hidden::hide(&mut plan, listing);
    refuse_hidden_fallback(&mut plan, listing, &hidden);
    plan_fields(&mut plan, listing, options);
    plan
}

/// The `404.html` files by folder; each answers for missing paths below its own.
fn not_found_pages(numbers: &HashMap<&[u8], usize>) -> Vec<NotFoundPage> {
    let page = |(name, &file): (&&[u8], &usize)| {
        let folder = name.strip_suffix(NOT_FOUND)?;
        let is_whole_name = folder.is_empty() || folder.ends_with(b"/");
        let folder = [b"/", folder].concat();
        is_whole_name.then(|| NotFoundPage { folder, target: target(file) })
    };
    let mut pages: Vec<_> = numbers.iter().filter_map(page).collect();
    pages.sort_by(|a, b| a.folder.cmp(&b.folder));
    pages
}

/// A file whose fields are planned later.
fn target(file: usize) -> PlannedTarget {
    PlannedTarget { file, fields: Arc::default(), is_composed: false }
}

/// The served files with the files that may be their codings.
fn planned_files(
    listing: &Listing,
    served: &[usize],
    numbers: &HashMap<&[u8], usize>,
) -> Vec<Planned> {
    let planned = |&index: &usize| {
        let name = &listing.files[index].name;
        let is_coded = listing.files[index].is_svg_in_gzip;
        let beside = |coding: Coding| {
            let extension = coding.extension().filter(|_| !is_coded)?;
            let number = numbers.get(&*[name, &b"."[..], extension.as_bytes()].concat())?;
            Some((coding, *number))
        };
        Planned {
            listed: index,
            beside: Coding::ALL.into_iter().filter_map(beside).collect(),
            media_type: of_file(name, listing.files[index].octets),
            is_coded,
        }
    };
    served.iter().map(planned).collect()
}

/// Adds a problem if a forced rule hides the fallback, which would be served at every path.
fn refuse_hidden_fallback(plan: &mut SitePlan, listing: &Listing, hidden: &HashMap<usize, u32>) {
    if let Some(target) = &plan.fallback
        && let Some(&rule) = hidden.get(&target.file)
    {
        let name = escaped(&listing.files[plan.files[target.file].listed].name);
        let Redirect { line, text, .. } = &plan.redirects.rules()[rule as usize];
        let why = format!("{name} is hidden by {REDIRECTS}:{line} ({text})");
        plan.problems.push(Problem::of("--spa", why));
    }
}

/// Adds the rules, and a problem for each rewrite to a path without a file.
fn plan_redirects(plan: &mut SitePlan, text: Option<&str>) {
    let rules = match redirects::parse(text.unwrap_or_default()) {
        Ok(rules) => rules,
        Err(problems) => {
            plan.problems.extend(problems);
            return;
        }
    };
    let paths: HashMap<&[u8], &RouteKind> =
        plan.routes.iter().map(|route| (&*route.path, &route.kind)).collect();
    let mut problems = Vec::new();
    for rule in &rules {
        let Effect::Rewrite(_) = rule.effect else { continue };
        let Some(path) = rule.to.fixed() else { continue };
        if !matches!(paths.get(path), Some(RouteKind::File(_))) {
            let why = format!("{}: the root has no such file", escaped(path));
            problems.push(Problem::at(REDIRECTS, rule.line, why));
        }
    }
    plan.problems.extend(problems);
    plan.redirects = Redirects::new(rules);
}

/// Adds paths to a plan.
struct Router<'a> {
    options: &'a SiteOptions,
    taken: HashMap<Vec<u8>, usize>,
    plan: &'a mut SitePlan,
}

impl Router<'_> {
    fn by_name(&mut self, file: usize, listed: &Listed) {
        let path = [&b"/"[..], &listed.name].concat();
        self.add_file(path, file, RouteReason::Name);
    }

    /// Adds the paths of a file by convention; a file with that name takes precedence.
    fn by_convention(&mut self, file: usize, listed: &Listed) {
        let path = [&b"/"[..], &listed.name].concat();
        if let Some(folder) = path.strip_suffix(INDEX)
            && folder.ends_with(b"/")
        {
            self.add_file(folder.to_vec(), file, RouteReason::Index);
        }
        if self.options.clean_urls
            && let Some(stem) = path.strip_suffix(b".html")
            && !stem.ends_with(b"/")
        {
            self.add_file(stem.to_vec(), file, RouteReason::CleanUrl);
        }
    }

    /// Adds the redirect from the folder of an index without its slash.
    fn folders(&mut self, name: &[u8]) {
        let path = [&b"/"[..], name].concat();
        let Some(folder) = path.strip_suffix(INDEX) else { return };
        if let Some(folder @ [_, ..]) = folder.strip_suffix(b"/") {
            self.add(Route {
                path: folder.to_vec(),
                kind: RouteKind::Folder,
                reason: RouteReason::Folder,
            });
        }
    }

    fn add_file(&mut self, path: Vec<u8>, file: usize, reason: RouteReason) {
        if self.taken.contains_key(&path) {
            return;
        }
        self.add(Route { path, kind: RouteKind::File(target(file)), reason });
    }

    fn add(&mut self, route: Route) {
        if !self.taken.contains_key(&route.path) {
            self.taken.insert(route.path.clone(), self.plan.routes.len());
            self.plan.routes.push(route);
        }
    }
}

const INDEX: &[u8] = b"index.html";
const NOT_FOUND: &[u8] = b"404.html";

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(names: &[&str], options: &SiteOptions, rules: [Option<&str>; 2]) -> SitePlan {
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

    /// Each path and the convention by which it exists.
    fn paths(plan: &SitePlan) -> Vec<(String, RouteReason)> {
        let text = |route: &Route| String::from_utf8_lossy(&route.path).into_owned();
        let mut paths: Vec<_> =
            plan.routes.iter().map(|route| (text(route), route.reason)).collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        paths
    }

    #[test]
    fn files_have_paths_by_name_and_by_convention() {
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
    fn names_take_precedence_over_conventions() {
        let plan = planned(&["a", "a.html", "b.html", "b/index.html"], &clean(), [None, None]);
        let reason = |path: &str| {
            let paths = paths(&plan);
            paths.iter().find(|(known, _)| known == path).map(|(_, reason)| *reason)
        };
        assert_eq!(reason("/a"), Some(RouteReason::Name));
        assert_eq!(reason("/b"), Some(RouteReason::CleanUrl));
        assert_eq!(reason("/b/"), Some(RouteReason::Index));
    }

    #[test]
    fn precompressed_files_belong_to_the_file_beside_them() {
        let plan = planned(&["a.js", "a.js.br", "a.js.gz", "b.js.zst"], &clean(), [None, None]);
        let beside: Vec<_> = plan.files.iter().map(|file| file.beside.clone()).collect();
        assert_eq!(beside[0], [(Coding::Gzip, 2), (Coding::Brotli, 1)]);
        assert!(beside[1..].iter().all(Vec::is_empty));
    }

    #[test]
    fn headers_file_overrides_default_fields() {
        let rules = "/x.css\n  Cache-Control: max-age=1\n  Content-Type: text/plain\n\
                     /*\n  X-Content-Type-Options: nosniff\n";
        let names = ["index.html", "app.1f3a09bc.js", "x.css", "y.css"];
        let plan = planned(&names, &clean(), [Some(rules), None]);
        assert!(plan.problems.is_empty());
        let value = |path: &str, name: &str| {
            let route = plan.routes.iter().find(|route| route.path == path.as_bytes());
            let RouteKind::File(target) = &route.expect("the path is planned").kind else {
                panic!("a folder")
            };
            target.fields.value(name).map(str::to_owned)
        };
        let value = |path, name| value(path, name).unwrap_or_default();
        assert_eq!(value("/", "Cache-Control"), "no-cache");
        assert_eq!(
            value("/app.1f3a09bc.js", "Cache-Control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(value("/x.css", "cache-control"), "max-age=1");
        assert_eq!(value("/x.css", "Content-Type"), "text/plain");
        assert_eq!(value("/y.css", "X-Content-Type-Options"), "nosniff", "as the default");
        assert_eq!(value("/y.css", "Cache-Control"), "");
        assert_eq!(value("/y.css", "Content-Type"), "text/css; charset=utf-8");
    }

    #[test]
    fn fields_of_all_files_keep_their_order_and_case() {
        let given = [("Link", "<a>"), ("link", "<b>"), ("Cache-Control", "max-age=5")];
        let fields = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let plan = planned(&["a.html"], &SiteOptions { fields, ..clean() }, [None, None]);
        let RouteKind::File(target) = &plan.routes[0].kind else { panic!("a folder") };
        let sent: Vec<_> = target.fields.iter().skip(2).collect();
        assert_eq!(sent, given);
    }

    #[test]
    fn svgz_is_sent_with_content_encoding_gzip() {
        let plan = planned(&["a.svgz", "a.svgz.br"], &clean(), [None, None]);
        let RouteKind::File(target) = &plan.routes[0].kind else { panic!("a folder") };
        let sent: Vec<_> = target.fields.iter().collect();
        assert_eq!(sent[1..], [("Content-Type", "image/svg+xml"), ("Content-Encoding", "gzip")]);
        assert!(plan.files[0].beside.is_empty());
    }

    #[test]
    fn problems_name_their_file_or_option() {
        let options = SiteOptions { fallback: Some("app.html".to_owned()), ..clean() };
        let rules = [Some("/x\n"), Some("/a /b 200\n/c /d.html 200\n/e /d.html/:x 200")];
        let plan = planned(&["d.html"], &options, rules);
        let message: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
        assert_eq!(message.len(), 2, "{message:?}");
        for (message, hint) in message.iter().zip(["--spa", "_redirects:3"]) {
            assert!(message.contains(hint), "{message}");
        }
        let left_out: Vec<_> = plan.left_out.iter().map(ToString::to_string).collect();
        assert!(left_out.len() == 1 && left_out[0].starts_with("_headers:1: "), "{left_out:?}");
        let names = ["a b\u{e4}.html"];
        let rules = [None, Some("/x /c/../a%20b%C3%A4.html 200\n/y /a%2520b%C3%A4.html 404")];
        let plan = planned(&names, &clean(), rules);
        let message: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
        assert!(message.len() == 1 && message[0].starts_with("_redirects:2: /a%20"), "{message:?}");
        let rules = [None, Some("/a /b 200\n/c /d 200\n/e/* /x/:splat 200")];
        let plan = planned(&["d.html", "x/index.html"], &clean(), rules);
        assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    }
}
