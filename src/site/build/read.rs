//! The steps from a folder to a site: the files are gathered into a buffer, and a tree is built on
//! it.

use super::escape::escaped_path;
use super::fields::FieldList;
use super::gather::{Gathered, gather};
use super::handover::{MadeCodings, PreviousCodings};
use super::links;
use super::listing::Listing;
use super::load::{self, Loaded};
use super::opened::OpenRoot;
use super::options::BuildRequest;
use super::problem::Problem;
use super::site_plan::{
    DefaultFieldLists, FileFields, NotFoundPage, Planned, PlannedTarget, RouteKind, SitePlan,
};
use super::summary::Summary;
use crate::error::Failure;
use crate::os::pages::Pages;
use crate::site::layout::Layout;
use crate::site::tree::Tree;
use crate::site::tree::build::Builder;
use crate::site::tree::rows::{CodedBody, FieldsId, RouteTarget, SiteFile};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// A folder that was read.
#[derive(Debug)]
pub struct Root {
    /// The responses.
    pub tree: Tree,
    /// The buffer that responses are sent from.
    pub fixed: Pages,
    /// The files, paths and rules.
    pub plan: SitePlan,
    /// The files of the folder.
    pub listing: Listing,
    /// The bodies of each file of the plan.
    pub bodies: Vec<Vec<CodedBody>>,
    /// The codings that were made, for the loader of the next generation.
    pub codings: MadeCodings,
    /// Numbers and bytes for the operator.
    pub summary: Summary,
}

impl Root {
    /// Whether every path gets 404, which is probably a mistake.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }
}

/// Reads a folder and builds its site.
///
/// # Errors
/// If the folder can't be read, exceeds a limit, or has problems, each of which the message names.
/// With [`BuildRequest::strict`], also if a file or a line of a rule is left out.
///
/// ```
/// use uringstatic::site::build::{BuildRequest, RootOptions, read};
///
/// let folder = std::env::temp_dir().join(format!("example-{}", std::process::id()));
/// std::fs::create_dir(&folder)?;
/// std::fs::write(folder.join("index.html"), "<h1>home</h1>")?;
/// let root = read(&BuildRequest::new(&folder, &RootOptions::default(), &[], 1));
/// std::fs::remove_dir_all(&folder)?;
/// let root = root.map_err(|failure| failure.to_string())?;
/// let paths: Vec<_> = root.plan.routes.iter().map(|route| &*route.path).collect();
/// assert_eq!(paths, [&b"/index.html"[..], b"/", b"/index"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(request: &BuildRequest) -> Result<Root, Failure> {
    read_opened(request, &links::open(request)?, None)
}

/// As [`read`], of a folder that was opened before, for instance because the process may open no
/// others any more. The codings of the previous generation are taken over for unchanged files.
///
/// # Errors
/// Those of [`read`].
pub fn read_opened(
    request: &BuildRequest,
    root: &OpenRoot,
    previous: Option<PreviousCodings>,
) -> Result<Root, Failure> {
    let started = Instant::now();
    let Gathered { listing, plan, loaded } =
        gather(request, root, previous, |plan| refuse_problems(request, plan))?;
    if request.strict && !listing.skipped.is_empty() {
        let skipped: Vec<_> = listing.skipped.lines().collect();
        let hint = "remove these from the root, or start without --strict";
        return Err(unreadable(request, &skipped, hint.to_owned()));
    }
    let Loaded { fixed, image_bytes, bodies, codings, shared, unused: _ } = loaded;
    let builder = builder(&listing, &plan, &bodies, request);
    let (tree, layout) = builder.build(image_bytes, request.slots);
    let fixed = fit(fixed, layout, request)?;
    let summary = Summary { shared, took: started.elapsed(), ..Summary::of(&bodies) };
    Ok(Root { tree, fixed, plan, listing, bodies, codings, summary })
}

fn refuse_problems(request: &BuildRequest, plan: &SitePlan) -> Result<(), Failure> {
    let left_out = plan.left_out.iter().filter(|_| request.strict);
    let problems: Vec<_> = plan.problems.iter().chain(left_out).map(Problem::to_string).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let root = escaped_path(&request.root);
    let hint = format!("`uringstatic check {root}` lists every path and every problem");
    Err(unreadable(request, &problems, hint))
}

fn unreadable(request: &BuildRequest, reasons: &[String], hint: String) -> Failure {
    let what = format!("reading the root {}", escaped_path(&request.root));
    Failure::new(what, reasons.join("\n  "), hint)
}

/// Fits the length of the buffer to the layout. Its pages behind the bodies were never written to,
/// so excess room costs no memory. The room suffices unless a file was left out and its path went
/// to another file with more fields.
fn fit(mut fixed: Pages, layout: Layout, request: &BuildRequest) -> Result<Pages, Failure> {
    if fixed.len() < layout.buffer_bytes() {
        let larger = Pages::zeroed(layout.buffer_bytes())
            .map_err(|_| load::too_large(request, layout.buffer_bytes() as u64))?;
        let bodies = std::mem::replace(&mut fixed, larger);
        fixed[layout.image().range()].copy_from_slice(&bodies[layout.image().range()]);
    }
    fixed.truncate(layout.buffer_bytes());
    Ok(fixed)
}

/// Adds files, paths and rules of a plan to a tree.
pub(super) fn builder(
    listing: &Listing,
    plan: &SitePlan,
    bodies: &[Vec<CodedBody>],
    request: &BuildRequest,
) -> Builder {
    let mut builder = Builder::default();
    let mut files = add_files(&mut builder, listing, plan, bodies);
    let has_rules = !plan.field_rules.is_empty() || !request.options.fields.is_empty();
    if has_rules {
        let DefaultFieldLists { open, protected } = &plan.built_in_fields;
        builder.field_rules(plan.field_rules.clone(), [open.iter(), protected.iter()]);
        for (file, fields) in files.iter_mut().zip(&plan.file_fields) {
            if !fields.protected_by.is_empty() {
                builder.protect(file, &fields.protected_by);
            }
        }
    }
    let mut targets = Targets { files, bodies, known: HashMap::new() };
    for route in &plan.routes {
        let is_new = match &route.kind {
            RouteKind::File(target) => {
                let target = targets.add(&mut builder, target, false);
                builder.path(&route.path, target)
            }
            RouteKind::Folder => builder.folder(&route.path),
        };
        assert!(is_new, "a plan has each path once");
    }
    // With a fallback, `Accept` selects between the two responses for a missing path.
    let is_by_accept = plan.fallback.is_some();
    for NotFoundPage { folder, target } in &plan.not_found {
        let target = targets.add(&mut builder, target, is_by_accept);
        builder.not_found(folder, target);
    }
    if let Some(target) = &plan.fallback {
        let target = targets.add(&mut builder, target, is_by_accept);
        builder.fallback(target);
    }
    if let Some(path) = &request.options.health {
        builder.health(path.as_bytes());
    }
    builder.redirects(plan.redirects.clone());
    add_file_fields(&mut builder, plan);
    builder
}

/// Adds the values from which the fields of each file are composed, if there are rules for fields.
fn add_file_fields(builder: &mut Builder, plan: &SitePlan) {
    // Files with equal defaults share them.
    let mut known = HashMap::new();
    for FileFields { canonical, defaults, .. } in &plan.file_fields {
        let DefaultFieldLists { open, protected } = defaults;
        let id = known
            .entry(Arc::as_ptr(open))
            .or_insert_with(|| builder.defaults([open.iter(), protected.iter()]));
        builder.composed_file(canonical, *id);
    }
}

fn add_files(
    builder: &mut Builder,
    listing: &Listing,
    plan: &SitePlan,
    bodies: &[Vec<CodedBody>],
) -> Vec<SiteFile> {
    let files = plan.files.iter().zip(bodies);
    let add = |(file, bodies): (&Planned, &Vec<CodedBody>)| {
        builder.file(bodies.clone(), listing.files[file.listed].modified)
    };
    files.map(add).collect()
}

/// Adds the targets of a plan to a tree. Fields that targets share are added once, identified by
/// their address in the plan.
struct Targets<'a> {
    files: Vec<SiteFile>,
    bodies: &'a [Vec<CodedBody>],
    known: HashMap<(*const FieldList, bool, bool), FieldsId>,
}

impl Targets<'_> {
    fn add(
        &mut self,
        builder: &mut Builder,
        target: &PlannedTarget,
        is_by_accept: bool,
    ) -> RouteTarget {
        let file = self.files[target.file];
        if target.is_composed {
            return RouteTarget { file, fields: FieldsId::AT_REQUEST };
        }
        let is_coded = self.bodies[target.file].len() > 1;
        let key = (Arc::as_ptr(&target.fields), is_by_accept, is_coded);
        let fields = *self.known.entry(key).or_insert_with(|| {
            let mut fields = (*target.fields).clone();
            if is_by_accept {
                fields.vary_by("Accept");
            }
            if is_coded {
                fields.vary_by("Accept-Encoding");
            }
            builder.fields(fields.iter())
        });
        RouteTarget { file, fields }
    }
}
