//! Placeholders within one segment of a path: `/user/@:name`, `/:year-:month-:day`.
//!
//! Each placeholder takes as many octets as it can, the first one first, as the regular expression
//! `([^/]+)-([^/]+)-([^/]+)` does. That division is found without backtracking: from the end on,
//! each text is searched at its last position that leaves the placeholder behind it an octet. A
//! later position of one text never takes room from the texts before it, so a division is found
//! whenever there is one, and all texts in it have the last positions that any division gives them.

use super::captures::Captures;
use memchr::memmem::FinderRev;

/// A segment with placeholders: a text, then placeholders, each followed by a text.
#[derive(Clone, Debug)]
pub(in crate::site) struct Segment {
    /// The text before the first placeholder.
    prefix: FinderRev<'static>,
    /// The texts behind the placeholders, each of which takes at least one octet.
    texts: Box<[FinderRev<'static>]>,
}

impl Segment {
    /// A segment of a text and of the texts behind its placeholders, at least one.
    pub(super) fn new(prefix: &[u8], texts: &[Vec<u8>]) -> Self {
        let finder = |text: &[u8]| FinderRev::new(text).into_owned();
        Self { prefix: finder(prefix), texts: texts.iter().map(|text| finder(text)).collect() }
    }

    /// The text before the first placeholder.
    pub(in crate::site) fn prefix(&self) -> &[u8] {
        self.prefix.needle()
    }

    /// The text behind the last placeholder.
    pub(in crate::site) fn suffix(&self) -> &[u8] {
        self.texts.last().map_or(b"", FinderRev::needle)
    }

    /// The texts behind the placeholders.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.texts.iter().map(FinderRev::needle)
    }

    /// Adds the captures of a whole segment if it matches.
    pub(super) fn matches<'p>(&self, segment: &'p [u8], captures: &mut Captures<'p>) -> bool {
        let rest = segment.strip_prefix(self.prefix());
        let Some(rest) = rest.and_then(|rest| rest.strip_suffix(self.suffix())) else {
            return false;
        };
        if let [_] = &*self.texts {
            if !rest.is_empty() {
                captures.add(rest);
            }
            return !rest.is_empty();
        }
        if segment.len() > SEGMENT_BYTES_MAX {
            return false;
        }
        let mut behind = Captures::default();
        let Some(end) = self.divide(rest, &mut behind).filter(|&end| end > 0) else {
            return false;
        };
        captures.add(&rest[..end]);
        captures.add_reversed(&behind);
        true
    }

    /// The number of octets that the segment takes of a text that a splat continues.
    pub(super) fn matches_front<'p>(
        &self,
        text: &'p [u8],
        captures: &mut Captures<'p>,
    ) -> Option<usize> {
        if text.len() > SEGMENT_BYTES_MAX {
            return None;
        }
        let rest = text.strip_prefix(self.prefix())?;
        let at = self.texts.last()?.rfind(rest)?;
        let mut behind = Captures::default();
        let end = self.divide(&rest[..at], &mut behind).filter(|&end| end > 0)?;
        captures.add(&rest[..end]);
        captures.add_reversed(&behind);
        Some(self.prefix().len() + at + self.suffix().len())
    }

    /// The offset at which the segment begins in a text that a splat begins. The captures are found
    /// from the end on.
    pub(super) fn matches_back<'p>(
        &self,
        text: &'p [u8],
        reversed: &mut Captures<'p>,
    ) -> Option<usize> {
        if text.len() > SEGMENT_BYTES_MAX {
            return None;
        }
        let rest = text.strip_suffix(self.suffix())?;
        let end = self.divide(rest, reversed)?;
        let before = end.checked_sub(1)?;
        // A search for an empty text finds the end.
        let at = self.prefix.rfind(&rest[..before])?;
        reversed.add(&rest[at + self.prefix().len()..end]);
        Some(at)
    }

    /// Divides a text without prefix and suffix among the placeholders, the last one first, and
    /// returns the end of the first one, whose capture is not added.
    fn divide<'p>(&self, text: &'p [u8], reversed: &mut Captures<'p>) -> Option<usize> {
        let mut end = text.len();
        let between = &self.texts[..self.texts.len() - 1];
        for finder in between.iter().rev() {
            let at = finder.rfind(&text[..end.checked_sub(1)?])?;
            reversed.add(&text[at + finder.needle().len()..end]);
            end = at;
        }
        Some(end)
    }
}

/// Longest segment in which texts between placeholders are searched: the longest name of a file
/// (`NAME_MAX`, limits.h). Without this bound, each such rule costs a search of the whole path.
const SEGMENT_BYTES_MAX: usize = 255;
