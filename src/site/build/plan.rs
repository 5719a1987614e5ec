//! The plan of a site: the file and the fields of each path. Pure: equal listings and rules make
//! equal plans on every machine.

use super::cycles;
use super::escape::escaped;
use super::field_plan::plan_fields;
use super::headers::ParsedHeaders;
use super::hidden;
use super::listing::{Listed, Listing};
use super::options::SiteOptions;
use super::problem::Problem;
use super::reach;
use super::resolve;
use super::rule_files::{REDIRECTS, is_rule_file};
use super::site_plan::{
    NotFoundPage, Planned, PlannedTarget, Route, RouteKind, RouteReason, SitePlan,
};
use crate::http::coding::Coding;
use crate::http::media_type::of_file;
use crate::site::redirects::Redirect;
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
    let mut plan = SitePlan { field_rules, problems, left_out, ..SitePlan::default() };
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
    resolve::add_redirects(&mut plan, listing, redirects);
    let hidden = hidden::hide(&mut plan, listing);
    cycles::mark(&mut plan);
    reach::warn(&mut plan);
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
        assert_eq!(message.len(), 1, "{message:?}");
        assert!(message[0].contains("--spa"), "{message:?}");
        let left_out: Vec<_> = plan.left_out.iter().map(ToString::to_string).collect();
        assert_eq!(left_out.len(), 3, "{left_out:?}");
        let hints = ["_headers:1: ", "_redirects:1: /b: ", "_redirects:3: "];
        for (message, hint) in left_out.iter().zip(hints) {
            assert!(message.starts_with(hint), "{message}");
        }
        let names = ["a b\u{e4}.html"];
        let rules = [None, Some("/x /c/../a%20b%C3%A4.html 200\n/y /a%2520b%C3%A4.html 404")];
        let plan = planned(&names, &clean(), rules);
        let message: Vec<_> = plan.left_out.iter().map(ToString::to_string).collect();
        assert!(message.len() == 1 && message[0].starts_with("_redirects:2: /a%20"), "{message:?}");
    }

    #[test]
    fn rewrite_is_resolved_to_the_file_of_a_path_or_the_index_of_a_folder() {
        // Netlify, "Rewrites and proxies": a rewrite to a folder serves its index.
        let names = ["d.html", "x/index.html", "secret.html"];
        let rules = "/a /b 200\n/c /d 200\n/e/* /x/:splat 200\n/f /x 200\n/g /x/ 200\n";
        let plan = planned(&names, &clean(), [None, Some(rules)]);
        let targets: Vec<_> = plan.redirects.rules().iter().map(|rule| rule.to.fixed()).collect();
        assert_eq!(targets, [Some(&b"/d"[..]), None, Some(b"/x/"), Some(b"/x/")]);
        assert!(plan.problems.is_empty() && plan.left_out.len() == 1, "{:?}", plan.left_out);
        // Without the rule, the file would be open.
        let rules = "/secret /none 404!\n/nothing /none 404!\nsecret.html /d 301!\n";
        let plan = planned(&names, &clean(), [None, Some(rules)]);
        let message: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            message,
            [
                "_redirects:1: /none: the root has no such file; the rule hides /secret, so it \
                 can't be left out",
                "_redirects:3: secret.html: a path begins with a slash; the rule hides \
                 /secret.html, so it can't be left out",
            ]
        );
        assert_eq!(plan.left_out.len(), 1, "{:?}", plan.left_out);
    }

    #[test]
    fn rule_that_never_applies_is_a_warning() {
        let rules = "/a/* /x\n/a/b /y\n/a/:c/d /y\n/d /y\n/e /z 302 Language=de\n/e /z\n/e /q\n\
                     /:k /y\n/:m /y\n/x-:n /y\n/f/ /y 301!\n/f /z\n/g/:h /y\n/g/* /z\n";
        let plan = planned(&["d.html"], &clean(), [None, Some(rules)]);
        let message: Vec<_> = plan.warnings.iter().map(ToString::to_string).collect();
        let lines: Vec<_> =
            message.iter().map(|text| text.split(' ').next().unwrap_or_default()).collect();
        let expected = [2, 3, 4, 7, 9, 10, 12].map(|line| format!("_redirects:{line}:"));
        assert_eq!(lines, expected, "{message:?}");
        assert_eq!(message[0], "_redirects:2: /a/b never applies: line 1 covers its paths");
    }
}
