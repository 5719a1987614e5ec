//! Precompressed copies of files, by their names: `page.html.br` lies beside `page.html`.

use super::listing::Listing;
use super::site_plan::SitePlan;
use crate::http::coding::Coding;
use std::collections::HashMap;

/// A file and the one that it is a copy of by its name, as indices in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrecompressedCopy {
    pub(super) file: usize,
    pub(super) original: usize,
}

/// The copies among the files of a plan, even those that don't decode to their original: they may
/// be copies of an older version. A copy of a copy follows the copy, since a name sorts before the
/// names that it begins.
pub(super) fn copies(plan: &SitePlan, listing: &Listing) -> Vec<PrecompressedCopy> {
    let name = |file: usize| &*listing.files[plan.files[file].listed].name;
    let numbers: HashMap<&[u8], usize> =
        (0..plan.files.len()).map(|file| (name(file), file)).collect();
    let copy = |file: usize| {
        let original = Coding::ALL.into_iter().find_map(|coding| {
            name(file).strip_suffix(coding.extension()?.as_bytes())?.strip_suffix(b".")
        })?;
        Some(PrecompressedCopy { file, original: *numbers.get(original)? })
    };
    (0..plan.files.len()).filter_map(copy).collect()
}
