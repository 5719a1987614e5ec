//! Properties that hold for every folder, all rules and all requests: the body of a fuzz target,
//! and of the test over its corpus.

use super::listing::{Listed, Listing};
use super::options::{BuildRequest, Effort, SiteLimits, SiteOptions};
use super::plan::plan;
use super::read::builder;
use super::site_plan::{RouteKind, SitePlan};
use crate::http::properties::path_by_segments;
use crate::http::request::{FieldBuffer, Parsed, Persistence, Scan, Target, parse};
use crate::http::{self, coding::Coding};
use crate::os::beneath::Resolver;
use crate::site::conditions::RequestConditions;
use crate::site::field_rules::HostScope;
use crate::site::redirects::{Effect, Redirect};
use crate::site::tree::Tree;
use crate::site::tree::rows::CodedBody;
use crate::site::{PendingResponse, RequestContext, ScratchPlace, Site};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Takes file names, `_headers`, `_redirects` and a request target, separated by 0xff, which occurs
/// in no UTF-8. The response to the request must be well-formed, its content must be in the folder,
/// and without rules it must be that of a model. No redirect leads to the requested path, no
/// response has a field that the last block removes, and nothing of a protected file shows.
///
/// # Panics
/// If a property doesn't hold.
pub fn site(data: &[u8]) {
    let mut pieces = data.splitn(4, |&octet| octet == 0xff);
    let mut piece = || pieces.next().unwrap_or_default();
    let names: BTreeSet<&[u8]> =
        piece().split(|&octet| octet == b'\n').filter(|name| is_name(name)).take(20).collect();
    let (headers, redirects) = (piece(), piece());
    let target = piece();
    let listed =
        |name: &&[u8]| Listed { name: name.to_vec(), modified: Some(1), ..Listed::default() };
    let listing = Listing { files: names.iter().map(listed).collect(), ..Listing::default() };
    let options = SiteOptions { clean_urls: true, ..SiteOptions::default() };
    let (Ok(headers_text), Ok(rules)) =
        (std::str::from_utf8(headers), std::str::from_utf8(redirects))
    else {
        return;
    };
    let headers_text = format!("{headers_text}\n{LAST_BLOCK}");
    let plan = plan(&listing, &options, Some(&headers_text), Some(rules));
    for problem in &plan.problems {
        assert!(problem.to_string().contains(": "), "{problem}");
    }
    if !plan.problems.is_empty() {
        return;
    }
    let (tree, fixed) = build_tree(&listing, &plan, options);
    let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let mut fields = FieldBuffer::new();
    let parsed = parse(&head, &mut Scan::default(), 16 * 1024, &mut fields);
    let Parsed::Request(request) = parsed else { return };
    let response = response(&request, &Site::of_tree(tree), fixed);
    let (status, body) = read(&response);
    if !matches!(status, 400 | 401 | 414) {
        let head = String::from_utf8_lossy(&response[..response.len() - body.len()]).to_lowercase();
        assert!(!REMOVED.iter().any(|name| head.contains(&format!("\n{name}:"))), "{head}");
    }
    if matches!(status, 200 | 410 | 451) {
        assert!(!is_protected(&[b"/", body].concat(), &plan), "its protection was passed by");
        assert!(names.contains(body), "{} isn't in the folder", String::from_utf8_lossy(body));
    }
    let is_named =
        |rule: &Redirect| matches!(rule.effect, Effect::Rewrite(_)) && rule.to.fixed().is_some();
    if status == 200 && !plan.redirects.rules().iter().any(is_named) {
        assert!(!is_hidden(body, &plan), "{} is hidden", String::from_utf8_lossy(body));
    }
    let (Target::Origin { path, query } | Target::Absolute { path, query }) = request.target else {
        return;
    };
    assert!(!leads_to_itself(&response, path, query, &plan), "{redirects:?}");
    let decoded = path_by_segments(path);
    if decoded.is_some_and(|decoded| is_protected(&decoded, &plan)) {
        assert_eq!(status, 401, "{}", String::from_utf8_lossy(path));
    }
    // An alias of a protected file is protected, too, and captures may be too long for a head.
    if plan.redirects.rules().is_empty() && !matches!(status, 401 | 414) {
        let expected = model(path, &names);
        let found = (status, if status == 200 { body } else { b"" });
        assert_eq!(found, (expected.0, &*expected.1), "{}", String::from_utf8_lossy(path));
    }
}

/// Whether a block with credentials matches a path, by a search of all blocks.
fn is_protected(path: &[u8], plan: &SitePlan) -> bool {
    let rules = &plan.field_rules;
    let scope = HostScope::Authority(Some(b"a"));
    let mut blocks = (0..).zip(rules.blocks());
    blocks.any(|(number, block)| {
        let applies = block.credentials.is_some() && scope.has(rules, number);
        applies && block.pattern.matches(path).is_some()
    })
}

/// Whether a redirect leads to the path that was requested, and to its query if rules compare that.
fn leads_to_itself(response: &[u8], path: &[u8], query: Option<&[u8]>, plan: &SitePlan) -> bool {
    let Some(location) = field(response, "Location") else { return false };
    let own = location.strip_prefix("http://a").or_else(|| location.strip_prefix("https://a"));
    let location = own.filter(|rest| rest.starts_with('/')).unwrap_or(&location);
    let location = location.split('#').next().unwrap_or_default();
    let (target, target_query) = match location.split_once('?') {
        Some((target, query)) => (target, Some(query.as_bytes())),
        None => (location, None),
    };
    let has_parameters =
        plan.redirects.rules().iter().any(|rule| !rule.conditions.query.is_empty());
    target.starts_with('/')
        && path_by_segments(target.as_bytes()) == path_by_segments(path)
        && (!has_parameters || target_query == query)
}

/// The value of the first field of a name.
fn field(response: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(response);
    let head = text.split("\r\n\r\n").next()?;
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    fields.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

/// Whether a forced rule sends one of a file's paths to another host.
fn is_hidden(name: &[u8], plan: &SitePlan) -> bool {
    let path = [b"/", name].concat();
    let folder = path.strip_suffix(b"index.html").filter(|folder| folder.ends_with(b"/"));
    let page = path.strip_suffix(b".html").filter(|page| !page.ends_with(b"/"));
    let file = |path: &[u8]| {
        let route = plan.routes.iter().find(|route| route.path == path);
        route.and_then(|route| match &route.kind {
            RouteKind::File(target) => Some(target.file),
            RouteKind::Folder => None,
        })
    };
    let own = file(&path);
    let mut paths = [Some(&*path), folder, page].into_iter().flatten();
    paths.any(|path| {
        // The name of one file may be what another has by convention.
        let is_own = file(path).is_some() && file(path) == own;
        let request = RequestConditions::default();
        let found = plan.redirects.find(path, true, &request, &mut |_, _| true).rule;
        let rule = found.map(|(number, _)| &plan.redirects.rules()[number as usize]);
        // The requests are for the host `a`, to which a redirect may not be sent.
        let is_other = |rule: &Redirect| rule.text.contains("://") && !rule.text.contains("://a");
        is_own && rule.is_some_and(is_other)
    })
}

/// The response to a request.
pub(super) fn response(
    request: &http::request::Request<'_, '_>,
    site: &Site,
    mut fixed: Vec<u8>,
) -> Vec<u8> {
    let mut request_context =
        RequestContext { scratch: ScratchPlace::Slot(1), fixed: &mut fixed, draining: false };
    let answer = site.choose(request, &mut request_context);
    let pending = PendingResponse { answer, persistence: Persistence::Keep, head_only: false };
    let spans = site.output(pending, ScratchPlace::Slot(1), &mut fixed);
    [&fixed[spans.first.range()], &fixed[spans.then.range()]].concat()
}

/// Whether a folder can have a file of this name: no segment is empty or a dot segment.
fn is_name(name: &[u8]) -> bool {
    let is_segment = |segment: &[u8]| !matches!(segment, b"" | b"." | b"..");
    name.len() < 200 && !name.contains(&0) && name.split(|&octet| octet == b'/').all(is_segment)
}

/// Builds a tree in which the content of each file is its name.
pub(super) fn build_tree(
    listing: &Listing,
    plan: &SitePlan,
    options: SiteOptions,
) -> (Tree, Vec<u8>) {
    let mut fixed = Vec::new();
    let bodies: Vec<Vec<CodedBody>> = plan
        .files
        .iter()
        .map(|file| {
            let Listed { name, modified, .. } = &listing.files[file.listed];
            vec![CodedBody::append(&mut fixed, Coding::Identity, name, *modified)]
        })
        .collect();
    let request = BuildRequest { options, ..request(PathBuf::new()) };
    let image_bytes = fixed.len() as u64;
    let builder = builder(listing, plan, &bodies, &request);
    let (tree, layout) = builder.build(image_bytes, request.slots);
    fixed.resize(layout.buffer_bytes(), 0);
    (tree, fixed)
}

/// A request for a folder, without limits and compression.
pub(super) fn request(root: PathBuf) -> BuildRequest {
    BuildRequest {
        root,
        options: SiteOptions { clean_urls: true, ..SiteOptions::default() },
        limits: SiteLimits { files: u32::MAX, bytes: u64::MAX },
        effort: Effort::Off,
        strict: false,
        slots: 2,
        progress: false,
        resolver: Resolver::default(),
        follow_links: false,
        threads: 2,
        memory: None,
    }
}

/// The status and the content of a response; asserts that its head is well-formed.
pub(super) fn read(response: &[u8]) -> (u16, &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(head)) = parsed.parse(response) else {
        panic!("a malformed head: {}", String::from_utf8_lossy(response))
    };
    let body = &response[head..];
    let status = parsed.code.expect("a status line");
    let one = |name: &str| {
        let mut values = parsed.headers.iter().filter(|field| field.name == name);
        let value = values.next().map(|field| field.value);
        assert!(values.next().is_none(), "{name} is there twice");
        value
    };
    assert_eq!(one("Content-Length"), Some(body.len().to_string().as_bytes()));
    match (one("Location"), status) {
        (Some(location), 301 | 302 | 303 | 307 | 308) => {
            let may = |octet: &u8| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(octet);
            assert!(location.iter().all(may), "{location:?}");
            assert!(!location.starts_with(b"//"), "it leads to another host");
            let is_whole = [&b"/"[..], b"http://", b"https://"];
            let is_whole = is_whole.iter().any(|start| location.starts_with(start));
            assert!(is_whole || status == 308 && is_own_folder(location), "{location:?}");
        }
        (None, 200 | 400 | 401 | 404 | 410 | 414 | 451) => {}
        (location, status) => panic!("{status} with Location {location:?}"),
    }
    (status, body)
}

/// Whether a reference is relative and leads from a path to the same path with a slash.
fn is_own_folder(location: &[u8]) -> bool {
    let path = location.split(|&octet| octet == b'?').next().unwrap_or_default();
    let name = path.strip_prefix(b"./").unwrap_or(path);
    let segment = name.strip_suffix(b"/").unwrap_or_default();
    let has_scheme = name.len() == path.len() && name.contains(&b':');
    !segment.is_empty() && !segment.contains(&b'/') && !has_scheme
}

/// The status and content of a path, by search of the names.
fn model(path: &[u8], names: &BTreeSet<&[u8]>) -> (u16, Vec<u8>) {
    let Some(path) = path_by_segments(path) else { return (400, Vec::new()) };
    let name = &path[1..];
    let is_rules = |name: &[u8]| name == b"_headers" || name == b"_redirects";
    let has = |name: &[u8]| names.contains(name) && !is_rules(name);
    let index = [name, b"index.html"].concat();
    let page = [name, b".html"].concat();
    let folder = [name, b"/index.html"].concat();
    let stem_is_empty = name.is_empty() || name.ends_with(b"/");
    if has(name) {
        (200, name.to_vec())
    } else if stem_is_empty && has(&index) {
        (200, index)
    } else if !stem_is_empty && has(&page) {
        (200, page)
    } else if !stem_is_empty && has(&folder) {
        (308, Vec::new())
    } else {
        (404, Vec::new())
    }
}

/// Removes these fields from every response.
const LAST_BLOCK: &str = "/*\n! X-Content-Type-Options\n! Cache-Control\n! X-A\n! Vary\n";
const REMOVED: [&str; 3] = ["x-content-type-options", "cache-control", "x-a"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use url::{Origin, Url};

    const OWN: &str = "https://own.example/r/x";

    /// The `Location` of a rule for a request; none if the rule is refused.
    fn location(to: &str, target: &str) -> Option<String> {
        let rules = format!("/r/:a/* {to} 302\n");
        let plan = plan(&Listing::default(), &SiteOptions::default(), None, Some(&rules));
        if !plan.problems.is_empty() {
            return None;
        }
        let (tree, fixed) = build_tree(&Listing::default(), &plan, SiteOptions::default());
        let head = format!("GET {target} HTTP/1.1\r\nHost: own.example\r\n\r\n");
        let mut fields = FieldBuffer::new();
        let parsed = parse(head.as_bytes(), &mut Scan::default(), 16 * 1024, &mut fields);
        let Parsed::Request(request) = parsed else { return None };
        let response = response(&request, &Site::of_tree(tree), fixed);
        let (status, _) = read(&response);
        let text = String::from_utf8(response).expect("a redirect is text");
        let location = text.lines().find_map(|line| line.strip_prefix("Location: "));
        assert_eq!(status == 302, location.is_some(), "{text}");
        location.map(str::to_owned)
    }

    fn origin(location: &str) -> Option<Origin> {
        let own = Url::parse(OWN).expect("a valid URL");
        own.join(location).ok().map(|url| url.origin())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// The property of the fuzz target, with rules that are likely to match each other.
        #[test]
        fn any_two_rule_files_keep_the_property_of_sites(
            names in "(a\\.html\n)?(b/index\\.html\n)?(a/b\\.html\n)?(x-y\n)?(404\\.html\n)?",
            headers in "((/\\*|/a|/:x|/a/\\*|https://a/\\*)\n\
                        (  A: (1|:x|:splat)\n|  ! A\n|  X-Frame-Options: D\n|\
                        \x20 ! X-Content-Type-Options\n|  Cache-Control: no-store\n){0,3}){0,4}",
            redirects in "((/a|/b|/a/b|/:x|/:x/:y|/\\*|/a/\\*|/b/|/:x-:y|//a/b|https://a/\\*|b)\
                          \x20(x=1 |x=:q )?\
                          (/a|/b|/:x|/:y/:x|/:splat|/a/:splat|/b/\\./:x|/:q|/a/|\
                          https://a/:splat|https://b/:splat|https://a/a)\
                          ( 30[12]!?| 200!?| 404)?( Language=de)?\n){0,6}",
            target in "/(a|b|a/b|x-y|c|%61|b/)?(/[abc])?(\\?x=[12a])?",
        ) {
            let pieces = [names.trim_end(), &headers, &redirects, &target].map(str::as_bytes);
            site(&pieces.join(&0xff));
        }

        /// No request selects the host of a redirect, as browsers parse it.
        #[test]
        fn redirect_leads_to_the_origin_of_its_rule(
            to in "(https?://|/|//|https?:/|https?:///)?\
                   (:splat|:a|good\\.example|@|:|\\.|/|80|\\?q=|#|%40|%5C|x){1,6}",
            value in "((@|:|/|\\.|\\.\\.|evil\\.example|\
                      %5C|%09|%0D%0A|%23|%3F|%40|%2E|\
                      %25|%E3%80%82|%EF%BC%8F|\\[|\\]|80|\\?y=//z){1,6}/?){1,3}",
        ) {
            let target = format!("/r/{value}");
            let Some(location) = location(&to, &target) else { return Ok(()) };
            let harmless = to.replace(":splat", "x").replace(":a", "x");
            let expected = origin(if to.starts_with('/') { OWN } else { &harmless });
            prop_assert_eq!(origin(&location), expected, "{} {} {}", to, target, location);
        }
    }

    #[test]
    fn redirect_to_a_path_stays_on_its_origin() {
        for (to, target, expected) in [
            ("/:splat", "/r/x//evil.example/", "/evil.example/"),
            ("/:splat", "/r/x/%5C%5Cevil.example/", "/%5C%5Cevil.example/"),
            (
                "https://good.example/:splat",
                "/r/x/@evil.example",
                "https://good.example/@evil.example",
            ),
        ] {
            let location = location(to, target).expect("the rule is valid");
            assert_eq!(location, expected);
        }
        for to in ["https://good.example:splat", "https://:splat", "https://:a.good.example/"] {
            assert_eq!(location(to, "/r/x/y"), None, "{to}");
        }
    }
}
