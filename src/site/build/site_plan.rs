//! The files, paths and rules of a site before any file is read.

use super::fields::FieldList;
use super::problem::Problem;
use crate::http::coding::Coding;
use crate::site::field_rules::FieldRules;
use crate::site::redirects::Redirects;
use std::sync::Arc;

/// The files, paths and rules of a site.
#[derive(Debug, Default)]
pub struct SitePlan {
    /// The served files, sorted by name.
    pub files: Vec<Planned>,
    /// The paths, each once.
    pub routes: Vec<Route>,
    /// The content of 404 responses, one for each folder that has it.
    pub not_found: Vec<NotFoundPage>,
    /// The file that navigations to missing paths get.
    pub fallback: Option<PlannedTarget>,
    /// The redirects and rewrites.
    pub redirects: Redirects,
    /// The rules for fields and protection.
    pub field_rules: FieldRules,
    /// The canonical path and the defaults of each file, by its index, if there are such rules.
    pub file_fields: Vec<FileFields>,
    /// The fields of responses without a file before rules apply.
    pub built_in_fields: DefaultFieldLists,
    /// Errors in options and rules, each of which prevents the start.
    pub problems: Vec<Problem>,
    /// Lines of rules that can't be honoured and are left out, one entry for each cause. With
    /// `--strict` they prevent the start, too.
    pub left_out: Vec<Problem>,
    /// Lines of rules without effect: a pattern that matches no path, a rule that an earlier one
    /// covers.
    pub warnings: Vec<Problem>,
}

impl SitePlan {
    /// Whether every path gets 404.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.redirects.rules().is_empty()
    }
}

/// A served file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Index in the listing.
    pub listed: usize,
    /// Files beside it that may be its codings, by their indices in the plan.
    pub beside: Vec<(Coding, usize)>,
    /// Media type.
    pub media_type: String,
    /// Whether the file is itself in a coding, as an SVG in gzip (`.svgz`) or by a rule: it is sent
    /// with that `Content-Encoding`, not compressed again, and no file beside it is its coding.
    pub is_coded: bool,
}

/// A file and the fields of its responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTarget {
    /// Index of the file in the plan.
    pub file: usize,
    /// The fields other than those derived from the file. Targets with equal fields share them.
    pub fields: Arc<FieldList>,
    /// Whether the fields depend on the host of the request, too. Then `fields` are those without
    /// rules for hosts.
    pub is_composed: bool,
}

/// A file that answers 404 for missing paths below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFoundPage {
    /// The path of the folder, with a slash at its end.
    pub folder: Vec<u8>,
    /// The file.
    pub target: PlannedTarget,
}

/// The values from which the fields of a file are composed for a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFields {
    /// `/docs/` for `docs/index.html`, `/about` for `about.html` with clean URLs, or the path of
    /// its name.
    pub canonical: Vec<u8>,
    /// The fields before rules apply.
    pub defaults: DefaultFieldLists,
    /// The numbers of the blocks that protect it.
    pub protected_by: Vec<u32>,
}

/// Fields before rules apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultFieldLists {
    /// For an open path.
    pub open: Arc<FieldList>,
    /// For a protected path.
    pub protected: Arc<FieldList>,
}

/// A path and its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The decoded path.
    pub path: Vec<u8>,
    /// The destination.
    pub kind: RouteKind,
    /// The convention by which the path exists.
    pub reason: RouteReason,
}

/// The destination of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// A file.
    File(PlannedTarget),
    /// A redirect to the same path with a slash at its end.
    Folder,
}

/// The convention by which a path exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteReason {
    /// The name of the file.
    Name,
    /// The folder of an `index.html`.
    Index,
    /// The name of the file without `.html`.
    CleanUrl,
    /// The folder of an `index.html`, without the slash.
    Folder,
}
