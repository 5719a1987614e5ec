//! The site of a folder: read once, at start, into the buffer that all responses are sent from.
//! After that, no file is opened.
//!
//! ```text
//! walk ──> listing ──> plan ──> site_plan ──> load ──> gather ──> read ──> tree
//!          names,      paths, fields          bodies   repeats            responses
//!          lengths     and rules              and      the steps if
//!                      (_headers, _redirects) codings  files change
//! ```
//!
//! [`check::check`] reports the same without serving it, and [`check_root`] also hands out the
//! files, for a copy of the root that serves the same. Knows files and HTTP; knows no connection
//! and no engine.

mod beside;
mod caching;
pub mod check;
mod checked;
pub mod compress;
mod copies;
mod cycles;
pub mod dates;
mod effects;
mod encoded;
mod encodings;
pub mod escape;
#[cfg(test)]
mod field_files;
mod field_plan;
pub mod fields;
mod gather;
mod handover;
mod hash;
pub mod headers;
mod hidden;
mod lines;
mod links;
pub mod listing;
mod load;
mod make;
mod merge;
mod opened;
mod options;
pub mod plan;
mod problem;
pub mod properties;
mod protection;
mod reach;
mod read;
pub mod redirects;
mod resolve;
mod rule_files;
pub mod site_plan;
mod summary;
mod threads;
mod walk;

pub use crate::error::Failure;
pub use checked::{CheckedRoot, check_root};
pub use handover::{MadeCodings, PreviousCodings};
pub use links::open;
pub use make::Shared;
pub use opened::OpenRoot;
pub use options::{BuildRequest, Effort, RootOptions, SiteLimits, SiteOptions};
pub use problem::Problem;
pub use read::{Root, read, read_opened};
pub use summary::{Summary, nothing_to_serve};
