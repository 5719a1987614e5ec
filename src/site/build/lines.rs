//! The lines before the bodies of files: their length, which is known before a file is read, and
//! their place.

use super::listing::Listing;
use super::site_plan::SitePlan;
use crate::http::coding::Coding;
use crate::site::tree::lines::BodyLines;
use crate::site::tree::rows::CodedBody;

/// The lines of a body of a file, in a coding and with a length.
pub(super) fn of(
    listing: &Listing,
    plan: &SitePlan,
    file: usize,
    coding: Coding,
    len: u64,
) -> BodyLines {
    BodyLines { coding, len, modified: listing.files[plan.files[file].listed].modified }
}

/// The bytes to reserve for lines before each file: its own, or those of the file that it is the
/// coding of.
pub(super) fn room(listing: &Listing, plan: &SitePlan) -> Vec<usize> {
    let lengths: Vec<u64> =
        plan.files.iter().map(|file| listing.files[file.listed].bytes).collect();
    let identity = |(file, &len)| of(listing, plan, file, Coding::Identity, len).bytes();
    let mut room: Vec<usize> = lengths.iter().enumerate().map(identity).collect();
    for (file, planned) in plan.files.iter().enumerate() {
        for &(coding, beside) in &planned.beside {
            let own = of(listing, plan, file, coding, lengths[beside]).bytes();
            room[beside] = room[beside].max(own);
        }
    }
    room
}

/// Writes the lines before the bodies that were read.
pub(super) fn write(
    listing: &Listing,
    plan: &SitePlan,
    bodies: &[Vec<CodedBody>],
    identity: &mut [u8],
) {
    for (number, bodies) in bodies.iter().enumerate() {
        for &CodedBody { coding, span, tag, .. } in bodies.iter().filter(|body| body.has_lines) {
            let lines = of(listing, plan, number, coding, span.len);
            let end = span.range().start;
            lines.write(&tag, &mut identity[end - lines.bytes()..end]);
        }
    }
}
