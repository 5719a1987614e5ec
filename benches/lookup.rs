//! The choice of a response on a large site: path look-up, content coding and assembly, and paths
//! without a file, with and without rules that nearly match.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use httparse::Header;
use std::hint::black_box;
use uringstatic::http::coding::Coding;
use uringstatic::http::request::{Framing, Method, Persistence, Request, Target};
use uringstatic::site::conditions::Conditions;
use uringstatic::site::pattern::Pattern;
use uringstatic::site::redirects::{Effect, Redirect, Redirects};
use uringstatic::site::template::{Template, TemplateKind};
use uringstatic::site::tree::build::Builder;
use uringstatic::site::tree::rows::{CodedBody, RouteTarget};
use uringstatic::site::{Answer, PendingResponse, Prebuilt, RequestContext, ScratchPlace, Site};

/// A site with this many files, each in three codings and uncompressed.
fn site_of(files: usize) -> (Site, Vec<u8>, Vec<String>) {
    let mut builder = Builder::default();
    let fields = [("Content-Type", "text/html"), ("Vary", "Accept-Encoding")];
    let fields = builder.fields(fields.into_iter());
    let codings =
        [(Coding::Identity, 90), (Coding::Gzip, 40), (Coding::Zstd, 38), (Coding::Brotli, 35)];
    let modified = Some(784_111_777);
    let mut fixed = Vec::new();
    let mut paths = Vec::new();
    for number in 0..files {
        let path = format!("/section-{}/part-{}/page-{number}.html", number % 97, number % 1009);
        let bodies = codings
            .map(|(coding, len)| CodedBody::append(&mut fixed, coding, &vec![b'x'; len], modified));
        let file = builder.file(bodies.to_vec(), modified);
        assert!(builder.path(path.as_bytes(), RouteTarget { file, fields }));
        paths.push(path);
    }
    let (tree, layout) = builder.build(fixed.len() as u64, 64);
    fixed.resize(layout.buffer_bytes(), 0);
    (Site::of_tree(tree), fixed, paths)
}

fn request<'a>(path: &'a str, fields: &'a [Header<'a>]) -> Request<'a, 'a> {
    Request {
        head_len: 0,
        method: Method::Get,
        target: Target::Origin { path: path.as_bytes(), query: None },
        authority: None,
        persistence: Persistence::Keep,
        framing: Framing::None,
        expects_continue: false,
        selective: false,
        fields,
        after_target: b"",
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank below the number of files"
)]
fn lookup(c: &mut Criterion) {
    let fields = [
        Header { name: "Host", value: b"127.0.0.1:10001" },
        Header { name: "Accept", value: b"*/*" },
        Header { name: "Accept-Encoding", value: b"gzip, deflate, br, zstd" },
    ];
    let mut group = c.benchmark_group("site");
    group.throughput(Throughput::Elements(1));
    for files in [100, 10_000, 100_000] {
        let (site, mut fixed, paths) = site_of(files);
        // Paths in a Zipf distribution (the n-th with weight 1/n), stored in the order of use: the
        // path of a request is in the cache, since it was just received, but its file may not be.
        let mut state = 1usize;
        let mut draws = String::new();
        let mut ends = vec![0];
        for _ in 0..DRAWS {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // The inverse of the cumulative distribution, which is nearly a logarithm.
            let part = (state >> 33) as f64 / (1u64 << 31) as f64;
            let rank = (files as f64).powf(part) as usize - 1;
            // Spread the ranks, so that popular files aren't neighbours in memory.
            draws.push_str(&paths[rank * 7919 % files]);
            ends.push(draws.len());
        }
        let mut at = 0;
        let mut choose = |site: &Site, fixed: &mut [u8]| {
            at = (at + 1) % DRAWS;
            let request = request(&draws[ends[at]..ends[at + 1]], &fields);
            let mut request_context =
                RequestContext { scratch: ScratchPlace::Slot(7), fixed, draining: false };
            site.choose(black_box(&request), &mut request_context)
        };
        group.bench_function(format!("lookup and choice, {files} files"), |b| {
            b.iter(|| {
                assert!(matches!(choose(&site, &mut fixed), Answer::FileResponse(_)));
            });
        });
        group.bench_function(format!("the same, and the response, {files} files"), |b| {
            b.iter(|| {
                let answer = choose(&site, &mut fixed);
                let pending =
                    PendingResponse { answer, persistence: Persistence::Keep, head_only: false };
                let spans = site.output(pending, ScratchPlace::Slot(7), &mut fixed);
                assert!(spans.then.len > 35);
            });
        });
    }
    group.finish();
}

/// A path without a file. With rules, the time must be at most three times the time without.
fn miss(c: &mut Criterion) {
    let mut group = c.benchmark_group("miss");
    group.throughput(Throughput::Elements(1));
    let fields = [Header { name: "Host", value: b"127.0.0.1:10001" }];
    let long = "a".repeat(7000);
    let many = "/a".repeat(3500);
    let nested = format!("/{}{}/x", "a".repeat(200), "-".repeat(200));
    let paths = [
        ("a short path", "/section-1/part-2/page-3.html".to_owned()),
        ("a long segment", format!("/{long}.ht001ml/y")),
        ("two long segments", format!("/{long}/old-x")),
        ("many segments", many),
        ("nested names", nested),
    ];
    for (kind, rules) in RULES {
        let (site, mut fixed) = with_rules(*rules);
        for (name, path) in &paths {
            let request = request(path, &fields);
            group.bench_function(format!("{kind}, {name}"), |b| {
                b.iter(|| {
                    let request_context = &mut RequestContext {
                        scratch: ScratchPlace::Slot(7),
                        fixed: &mut fixed,
                        draining: false,
                    };
                    let answer = site.choose(black_box(&request), request_context);
                    assert!(matches!(answer, Answer::Whole(Prebuilt::NotFound)));
                });
            });
        }
    }
    group.finish();
}

/// The pattern of a rule by its number.
type Rule = fn(usize) -> String;

/// Sets of 200 rules.
const RULES: &[(&str, Option<Rule>)] = &[
    ("no rules", None),
    ("prefixes", Some(|number| format!("/old-{number}/:id"))),
    ("splats", Some(|number| format!("/old-{number}/*"))),
    ("suffixes in a segment", Some(|number| format!("/:page.ht{number:03}ml/z"))),
    ("the same, open", Some(|number| format!("/:page.ht{number:03}ml/z/*"))),
    ("the same, with text and *", Some(|number| format!("/:page.ht{number:03}ml*"))),
    ("second segments", Some(|number| format!("/:lang/old-{number}/:id"))),
    ("ends behind a splat", Some(|number| format!("/*/old-{number}"))),
    ("middles behind a splat", Some(|number| format!("/*/old-{number}/:id"))),
    ("nested prefixes", Some(|number| format!("/{}*z", "a".repeat(number + 1)))),
    ("nested suffixes", Some(|number| format!("/:x{}/y", "-".repeat(number + 1)))),
    ("several in a segment", Some(|number| format!("/:page.x{number}-:y/z"))),
    ("placeholders", Some(|number| format!("/:a/:b/:c/:d/y{number}"))),
];

fn with_rules(pattern: Option<Rule>) -> (Site, Vec<u8>) {
    let mut builder = Builder::default();
    if let Some(pattern) = pattern {
        let rule = |number| {
            let text = pattern(number);
            let from = Pattern::parse(&text).expect("a pattern");
            let to = Template::parse("/to", &from, TemplateKind::Location).expect("a template");
            let effect = Effect::Redirect(301);
            Redirect {
                from,
                to,
                effect,
                forced: false,
                conditions: Conditions::default(),
                may_cycle: false,
                line: 1,
                text: text.into(),
            }
        };
        builder.redirects(Redirects::new((0..200).map(rule).collect()));
    }
    let (tree, layout) = builder.build(0, 64);
    (Site::of_tree(tree), vec![0; layout.buffer_bytes()])
}

const DRAWS: usize = 1 << 20;

criterion_group!(benches, lookup, miss);
criterion_main!(benches);
