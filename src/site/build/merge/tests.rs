//! Merged blocks against their application line by line, and stored fields against composed ones.

use super::super::headers::ParsedHeaders;
use super::super::listing::{Listed, Listing};
use super::super::options::SiteOptions;
use super::super::plan::plan;
use super::super::properties::request;
use super::super::read::builder;
use super::super::site_plan::{RouteKind, SitePlan};
use super::*;
use crate::http::coding::Coding;
use crate::http::request::{FieldBuffer, Parsed, Persistence, Scan, parse};
use crate::site::field_rules::HostScope;
use crate::site::pattern::Pattern;
use crate::site::template::TemplateKind;
use crate::site::tree::rows::CodedBody;
use crate::site::{PendingResponse, RequestContext, ScratchPlace, Site};
use proptest::prelude::*;
use std::path::PathBuf;

/// Blocks as (pattern, lines); a line without a value removes the field.
type Blocks = Vec<(String, Vec<(String, Option<String>)>)>;

fn text(blocks: &Blocks) -> String {
    let line = |(name, value): &(String, Option<String>)| match value {
        Some(value) => format!("  {name}: {value}\n"),
        None => format!("  ! {name}\n"),
    };
    let block = |(pattern, lines): &(String, Vec<_>)| {
        format!("{pattern}\n{}", lines.iter().map(line).collect::<Vec<_>>().concat())
    };
    blocks.iter().map(block).collect::<Vec<_>>().concat()
}

fn rules(text: &str) -> FieldRules {
    let parsed = ParsedHeaders::parse(text);
    assert_eq!((parsed.left_out, parsed.problems), (Vec::new(), Vec::new()), "{text}");
    parsed.rules
}

/// Applies the blocks line by line.
fn slow(blocks: &Blocks, paths: [&[u8]; 2], before: &FieldList) -> FieldList {
    let mut fields = before.clone();
    let mut added: Vec<String> = Vec::new();
    for (pattern, lines) in blocks {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        let Some(captures) = paths.iter().find_map(|path| pattern.matches(path)) else { continue };
        for (name, value) in lines {
            let Some(value) = value else {
                fields.remove(name);
                continue;
            };
            let template =
                Template::parse(value, &pattern, TemplateKind::Value).expect("a template");
            if !added.contains(&name.to_lowercase()) {
                fields.remove(name);
                added.push(name.to_lowercase());
            }
            fields.add(name, &filled_in(&template, &captures, &mut vec![0; 64]));
        }
    }
    fields
}

fn defaults() -> FieldList {
    let mut before = FieldList::default();
    before.set("Content-Type", "text/html");
    before.append("X-A", "first");
    before.append("x-a", "second");
    before.append("Vary", "Origin");
    before
}

fn paths<'p>(requested: &'p [u8], canonical: &'p [u8]) -> ResponsePaths<'p> {
    ResponsePaths { requested: Some(requested), canonical: Some(canonical) }
}

/// The fields of a file by a cache.
fn of(cache: &mut FieldsOf<'_, ()>, path: &[u8]) -> Result<Arc<FieldList>, Problem> {
    let paths = paths(path, path);
    let matched = cache.rules.matched(paths, HostScope::Unconditional);
    cache.of(paths, matched, (), &Arc::new(defaults()))
}

/// Rules of any names in any number of blocks.
fn any_blocks() -> impl Strategy<Value = Blocks> {
    let line = (
        "(X-A|x-a|X-B|Set-Cookie|Vary|Cache-Control|X-Content-Type-Options)",
        prop::option::of("[a-c]{1,3}|:x;|:splat;a"),
    );
    let block = ("(/\\*|/:x|/a|/a\\*|/\\*b|/:x/\\*)", prop::collection::vec(line, 1..6));
    prop::collection::vec(block, 1..6)
}

proptest! {
    /// Merged blocks and blocks applied line by line make equal fields.
    #[test]
    fn merged_blocks_agree_with_line_by_line_application(
        blocks in any_blocks(),
        requests in prop::collection::vec(
            ("/[ab]{0,2}(/[ab]{0,2})?", "/[ab]{0,2}(/[ab]{0,2})?"),
            1..6,
        ),
    ) {
        let rules = rules(&text(&blocks));
        let mut cache = FieldsOf::new(&rules);
        for (requested, canonical) in requests.iter().chain(&requests) {
            let both = paths(requested.as_bytes(), canonical.as_bytes());
            let matched = rules.matched(both, HostScope::Unconditional);
            let found = cache.of(both, matched, (), &Arc::new(defaults()));
            let expected = slow(&blocks, [requested, canonical].map(String::as_bytes), &defaults());
            prop_assert_eq!(&*found.expect("the fields are short"), &expected, "{}", text(&blocks));
        }
    }

    /// The fields of a path that were stored at start, and those composed for a request to it, are
    /// the same octets, for whole files, parts of them and responses without content.
    #[test]
    fn composed_fields_agree_with_stored_ones(
        blocks in any_blocks(),
        header in prop::option::of("(X-A|Vary|Cache-Control|X-Content-Type-Options)"),
        (clean_urls, spa, coded) in any::<(bool, bool, bool)>(),
    ) {
        let names = ["a", "a.html", "ab/index.html", "b.css", "404.html", "b/a"];
        let mut listing = Listing::default();
        for name in names {
            let (name, modified) = (name.into(), Some(1));
            listing.files.push(Listed { name, modified, ..Listed::default() });
        }
        listing.files.sort_by(|a, b| a.name.cmp(&b.name));
        let options = SiteOptions {
            clean_urls,
            fallback: spa.then(|| "a.html".to_owned()),
            fields: header.map(|name| (name, "h".to_owned())).into_iter().collect(),
            ..SiteOptions::default()
        };
        let stored = plan(&listing, &options, Some(&text(&blocks)), None);
        prop_assert!(stored.problems.is_empty());
        let mut composed = plan(&listing, &options, Some(&text(&blocks)), None);
        for route in &mut composed.routes {
            if let RouteKind::File(target) = &mut route.kind {
                target.is_composed = true;
            }
        }
        let site = |plan: &SitePlan| SiteOfPlan::new(&listing, plan, &options, coded);
        let mut sites = [site(&stored), site(&composed)];
        for route in &stored.routes {
            let path = String::from_utf8_lossy(&route.path);
            for field in ["A: b", "If-None-Match: *", "Range: bytes=0-0", "Accept-Encoding: br"] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
                let [stored, composed] = sites.each_mut().map(|site| site.response(&request));
                prop_assert_eq!(stored, composed, "{}", request);
            }
        }
    }
}

/// A site in which the content of each file is its name.
struct SiteOfPlan {
    site: Site,
    fixed: Vec<u8>,
}

impl SiteOfPlan {
    fn new(listing: &Listing, plan: &SitePlan, options: &SiteOptions, coded: bool) -> Self {
        let mut fixed = Vec::new();
        let bodies = plan.files.iter().map(|file| {
            let Listed { name, modified, .. } = &listing.files[file.listed];
            let mut body =
                |coding, content| CodedBody::append(&mut fixed, coding, content, *modified);
            let mut bodies = vec![body(Coding::Identity, name)];
            if coded && name.len() > 3 {
                bodies.push(body(Coding::Brotli, b"br"));
            }
            bodies
        });
        let bodies: Vec<_> = bodies.collect();
        let request = super::super::options::BuildRequest {
            options: options.clone(),
            ..request(PathBuf::new())
        };
        let (tree, layout) =
            builder(listing, plan, &bodies, &request).build(fixed.len() as u64, request.slots);
        fixed.resize(layout.buffer_bytes(), 0);
        Self { site: Site::of_tree(tree), fixed }
    }

    fn response(&mut self, head: &str) -> String {
        let mut fields = FieldBuffer::new();
        let parsed = parse(head.as_bytes(), &mut Scan::default(), 16 * 1024, &mut fields);
        let Parsed::Request(request) = parsed else { panic!("{head}") };
        let (scratch, fixed) = (ScratchPlace::Slot(1), &mut self.fixed);
        let mut request_context = RequestContext { scratch, fixed, draining: false };
        let answer = self.site.choose(&request, &mut request_context);
        let pending = PendingResponse { answer, persistence: Persistence::Keep, head_only: false };
        let spans = self.site.output(pending, scratch, &mut self.fixed);
        let bytes = [&self.fixed[spans.first.range()], &self.fixed[spans.then.range()]].concat();
        String::from_utf8(bytes).expect("these responses are text")
    }
}

#[test]
fn paths_with_equal_blocks_share_their_fields() {
    let rules = rules("/*\n  X-A: 1\n/a/*\n  X-B: 2\n/b/:id\n  X-C: :id\n");
    let mut cache = FieldsOf::new(&rules);
    let mut of = |path: &[u8]| of(&mut cache, path).expect("the fields are short");
    assert!(Arc::ptr_eq(&of(b"/x"), &of(b"/y")));
    assert!(Arc::ptr_eq(&of(b"/a/x"), &of(b"/a/y")));
    assert_eq!(of(b"/b/x").value("X-C"), Some("x"));
    assert_eq!(of(b"/b/y").value("X-C"), Some("y"));
}

/// The limits aren't checked again for each path, and a long file takes no square of its length.
#[test]
fn excess_fields_name_the_line_beyond_the_limit() {
    for line in ["  A: 1\n", "  A: :splat\n"] {
        let rules = rules(&format!("/*\n{}", line.repeat(10_000)));
        let mut cache = FieldsOf::new(&rules);
        for number in 0..100 {
            let path = format!("/{number}");
            let problem = of(&mut cache, path.as_bytes()).expect_err("too much");
            assert!(problem.to_string().starts_with("_headers:514: "), "{problem}");
        }
    }
}
