//! The folder that is served: read once, at start, into the buffer that all responses are sent
//! from.
//!
//! `walk` lists it, `plan` decides which path has which file and with which fields, `load` reads
//! and compresses the files, and [`build`] puts the tree together. `_headers` and `_redirects` are
//! read by the modules of these names. After that, no file is opened any more.
//!
//! Knows files and HTTP's words; knows no connection and no ring.

mod beside;
mod caching;
pub mod check;
pub mod compress;
pub mod escape;
pub mod fields;
mod gather;
pub mod headers;
mod hidden;
mod load;
mod merge;
mod opened;
pub mod plan;
pub mod properties;
pub mod redirects;
pub mod walk;

use crate::cli::{Compress, RootOptions};
pub use crate::error::Failure;
use crate::http::coding::Coding;
use crate::os::beneath::Resolver;
use crate::os::pages::Pages;
use crate::site::tree::Tree;
use crate::site::tree::build::{self, Body, Builder, FieldsId, File};
use compress::Effort;
use escape::{escape_controls, escaped_path};
use fields::FieldList;
use gather::{Gathered, gather};
use load::Loaded;
use plan::{Plan, PlannedTarget, SiteOptions, To};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use walk::{Limits, Listing};

/// What is to be served, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The folder.
    pub root: PathBuf,
    /// How its paths are made.
    pub options: SiteOptions,
    /// How much it may hold.
    pub limits: Limits,
    /// How hard to compress.
    pub effort: Effort,
    /// Whether it is an error to leave something out.
    pub strict: bool,
    /// How many connections there can be.
    pub slots: u32,
    /// Whether to show on a terminal how far it is.
    pub progress: bool,
    /// How paths beneath the root are resolved.
    pub resolver: Resolver,
}

impl Request {
    /// What the command line says: `fields` are those of all files.
    #[must_use]
    pub fn new(
        root: &Path,
        options: &RootOptions,
        fields: &[(String, String)],
        slots: u32,
    ) -> Self {
        Self {
            root: root.to_owned(),
            options: SiteOptions {
                clean_urls: options.clean_urls,
                fallback: options.spa.clone(),
                health: options.health.clone(),
                fields: fields.to_vec(),
            },
            limits: Limits { files: options.site_files, bytes: options.site_bytes },
            effort: match options.compress {
                Compress::Off => Effort::Off,
                Compress::Fast => Effort::Fast,
                Compress::Good => Effort::Good,
                Compress::Best => Effort::Best,
            },
            strict: options.strict,
            slots,
            progress: false,
            resolver: Resolver::default(),
        }
    }
}

/// A root that was read.
#[derive(Debug)]
pub struct Root {
    /// The responses.
    pub tree: Tree,
    /// The buffer that they're sent from.
    pub fixed: Pages,
    /// What was planned.
    pub plan: Plan,
    /// What was listed.
    pub listing: Listing,
    /// Each file's bodies, in the order of the plan.
    pub bodies: Vec<Vec<Body>>,
    /// How much there is.
    pub summary: Summary,
}

/// How much was read, and how long it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files and bytes of each coding.
    pub coded: Vec<(Coding, usize, u64)>,
    /// Time from the first look to the last response built.
    pub took: Duration,
}

impl Root {
    /// Whether there is nothing at all: not a mistake for sure, but nearly.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files, {}", self.files, size(self.bytes))?;
        for (coding, files, bytes) in &self.coded {
            write!(f, "; {}: {files} files, {}", coding.name(), size(*bytes))?;
        }
        write!(f, "; in {:.2} s", self.took.as_secs_f64())
    }
}

/// What is said of a root that has nothing.
#[must_use]
pub fn nothing_to_serve(root: &Path) -> String {
    format!("nothing to serve in {}: every path is 404", escaped_path(root))
}

/// Bytes as people read them.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "one decimal is escaped")]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Something in the root that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: String,
    line: Option<u32>,
    why: String,
}

impl Problem {
    /// In a line of a file.
    #[must_use]
    pub fn at(file: &str, line: u32, why: String) -> Self {
        Self { place: file.to_owned(), line: Some(line), why }
    }

    /// In a file, or an option.
    #[must_use]
    pub fn of(place: &str, why: String) -> Self {
        Self { place: place.to_owned(), line: None, why }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, line, why } = self;
        match line {
            Some(line) => write!(f, "{place}:{line}: {}", escape_controls(why)),
            None => write!(f, "{place}: {}", escape_controls(why)),
        }
    }
}

/// The lines of a file of rules that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let numbered = (1..).zip(text.lines());
    numbered.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

/// Reads a root.
///
/// # Errors
/// If it can't be read, or has problems: each is said with its place.
pub fn read(request: &Request) -> Result<Root, Failure> {
    let started = Instant::now();
    let root = escaped_path(&request.root);
    let no_problems = |plan: &Plan| {
        if plan.problems.is_empty() {
            return Ok(());
        }
        let said: Vec<_> = plan.problems.iter().map(Problem::to_string).collect();
        let what = format!("reading the root {root}");
        let hint = format!("`uringstatic check {root}` shows all that would be served");
        Err(Failure::new(what, said.join("\n  "), hint))
    };
    let Gathered { listing, plan, loaded } = gather(request, no_problems)?;
    if request.strict && !listing.skipped.is_empty() {
        let said: Vec<_> = listing.skipped.lines().collect();
        let what = format!("reading the root {root}");
        let hint = "take these out of the root, or leave --strict out";
        return Err(Failure::new(what, said.join("\n  "), hint));
    }
    let Loaded { mut fixed, body_bytes, bodies, unused: _ } = loaded;
    let builder = builder(&listing, &plan, &bodies, request);
    let (tree, layout) = builder.build(body_bytes, request.slots);
    // The pages behind the bodies were never written to, so unused room costs nothing. The room
    // suffices unless a file was left out and its path went to another one with more fields.
    if fixed.len() < layout.buffer_bytes() {
        let larger = Pages::zeroed(layout.buffer_bytes())
            .map_err(|_| load::too_large(request, layout.buffer_bytes() as u64))?;
        let bodies = std::mem::replace(&mut fixed, larger);
        fixed[layout.image().range()].copy_from_slice(&bodies[layout.image().range()]);
    }
    fixed.truncate(layout.buffer_bytes());
    let mut summary = summarise(&bodies);
    summary.took = started.elapsed();
    Ok(Root { tree, fixed, plan, listing, bodies, summary })
}

/// Puts the tree together.
fn builder(listing: &Listing, plan: &Plan, bodies: &[Vec<Body>], request: &Request) -> Builder {
    let mut builder = Builder::default();
    // A file can't have been modified later than now (RFC 9110 8.8.2.1).
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let files: Vec<File> = plan
        .files
        .iter()
        .zip(bodies)
        .map(|(file, bodies)| {
            let modified = listing.files[file.listed].modified.map(|modified| modified.min(now));
            builder.file(bodies.clone(), modified)
        })
        .collect();
    // Fields that paths share are added once; the plan keeps them where they are.
    let mut known: HashMap<(*const FieldList, bool, bool), FieldsId> = HashMap::new();
    let mut leaf = |builder: &mut Builder, leaf: &PlannedTarget, is_by_accept: bool| {
        let is_coded = bodies[leaf.file].len() > 1;
        let key = (Arc::as_ptr(&leaf.fields), is_by_accept, is_coded);
        let fields = *known.entry(key).or_insert_with(|| {
            let mut fields = (*leaf.fields).clone();
            if is_by_accept {
                fields.vary_by("Accept");
            }
            if is_coded {
                fields.vary_by("Accept-Encoding");
            }
            builder.fields(fields.iter())
        });
        build::RouteTarget { file: files[leaf.file], fields }
    };
    for route in &plan.routes {
        let is_new = match &route.to {
            To::PlannedTarget(to) => {
                let to = leaf(&mut builder, to, false);
                builder.path(&route.path, to)
            }
            To::Folder => builder.folder(&route.path),
        };
        assert!(is_new, "a plan has each path once");
    }
    // Where there is nothing, it's for `Accept` to say which of the two is served.
    let is_by_accept = plan.fallback.is_some();
    if let Some(to) = &plan.not_found {
        let to = leaf(&mut builder, to, is_by_accept);
        builder.not_found(to);
    }
    if let Some(to) = &plan.fallback {
        let to = leaf(&mut builder, to, is_by_accept);
        builder.fallback(to);
    }
    if let Some(path) = &request.options.health {
        builder.health(path.as_bytes());
    }
    builder.redirects(plan.redirects.clone());
    builder
}

fn summarise(bodies: &[Vec<Body>]) -> Summary {
    let mut summary = Summary { files: bodies.len(), ..Summary::default() };
    for coding in Coding::ALL {
        let coded: Vec<u64> = bodies
            .iter()
            .flatten()
            .filter(|body| body.coding == coding)
            .map(|body| body.span.len)
            .collect();
        let bytes = coded.iter().sum();
        match coding {
            Coding::Identity => summary.bytes = bytes,
            Coding::Gzip | Coding::Zstd | Coding::Brotli if coded.is_empty() => {}
            Coding::Gzip | Coding::Zstd | Coding::Brotli => {
                summary.coded.push((coding, coded.len(), bytes));
            }
        }
    }
    summary
}
