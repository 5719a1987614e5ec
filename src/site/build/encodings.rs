//! The encodings of text files: what was presumed before the files were read is corrected, and
//! files in another encoding than UTF-8 are reported.

use super::escape::escaped;
use super::listing::Listing;
use super::site_plan::SitePlan;
use crate::http::media_type::{OctetsKind, depends_on_octets, of_file};

/// Notes the kinds of the octets in the listing. Returns whether a file has another media type than
/// the plan, so that the site has to be planned anew: its fields and the choice of what is
/// compressed depend on media types.
pub(super) fn note(
    listing: &mut Listing,
    plan: &SitePlan,
    octets: impl Iterator<Item = (usize, OctetsKind)>,
) -> bool {
    let mut is_other = false;
    for (file, kind) in octets {
        let planned = &plan.files[file];
        let listed = &mut listing.files[planned.listed];
        listed.octets = kind;
        is_other |= !planned.is_coded
            && depends_on_octets(&listed.name)
            && of_file(&listed.name, kind) != planned.media_type;
    }
    is_other
}

/// A warning for each text file that isn't UTF-8.
pub(super) fn warnings(listing: &Listing, plan: &SitePlan) -> Vec<String> {
    let is_other = |listed: usize| {
        let file = &listing.files[listed];
        !file.octets.is_utf8() && of_file(&file.name, OctetsKind::Text).ends_with(CHARSET)
    };
    let texts = plan.files.iter().filter(|file| !file.is_coded);
    let others = texts.map(|file| file.listed).filter(|&listed| is_other(listed));
    let others: Vec<usize> = others.collect();
    let name = |&listed: &usize| escaped(&listing.files[listed].name);
    let named = others.iter().take(NAMED_MAX).map(|file| format!("{}: {OTHER}", name(file)));
    let mut warnings: Vec<String> = named.collect();
    if others.len() > NAMED_MAX {
        warnings.push(format!("{} more text files are not in UTF-8", others.len() - NAMED_MAX));
    }
    warnings
}

const CHARSET: &str = "; charset=utf-8";
const OTHER: &str = "it is not in UTF-8, so it is sent without charset, and browsers go by what \
                     it declares itself";
/// Most files that are named.
const NAMED_MAX: usize = 100;
