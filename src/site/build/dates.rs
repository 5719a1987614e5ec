//! Modification times that say something about the content. Tools for reproducible builds set all
//! of them to a constant: then a changed file has the date of the former one, and a cache that
//! compares only dates keeps the former one for ever (RFC 9110 8.8.2.2). Such a file has no
//! `Last-Modified`; its entity tag is compared in any case.

use crate::os::beneath::Stamp;

/// The modification time of a file in seconds since the Unix epoch, unless it is before the epoch
/// or a constant of a packer.
#[must_use]
pub fn last_modified(stamp: &Stamp) -> Option<u64> {
    meaningful(u64::try_from(stamp.modified().0).ok()?)
}

fn meaningful(seconds: u64) -> Option<u64> {
    let is_constant = CONSTANTS.iter().any(|&(constant, zone)| seconds.abs_diff(constant) <= zone);
    (!is_constant).then_some(seconds)
}

/// A time that several files have in common, to the nanosecond, because it was set: that of a
/// commit, an image or a package. The time of a file that was written is that of its last change,
/// too (inode(7)); small files that are written at once can have the same time, as the kernel's
/// clock for them ticks every few milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CommonTime {
    files: usize,
    first: Option<(i64, i64)>,
    /// Whether a file has another time, or one that wasn't set.
    is_other: bool,
}

impl CommonTime {
    /// Adds a file.
    pub(super) fn add(&mut self, stamp: &Stamp) {
        self.add_times(stamp.modified(), stamp.changed());
    }

    fn add_times(&mut self, modified: (i64, i64), changed: (i64, i64)) {
        // Most formats and tools know whole seconds only, and the clock hits hardly any.
        let was_set = modified.1 == 0 || modified != changed;
        self.is_other |= !was_set || *self.first.get_or_insert(modified) != modified;
        self.files += 1;
    }

    /// Whether at least two files have the time, and none has another.
    pub(super) const fn is_common(&self) -> bool {
        self.files >= 2 && !self.is_other
    }
}

/// The constants, and the most seconds by which a time zone moves them: from UTC-12 to UTC+14.
const CONSTANTS: [(u64, u64); 7] = [
    // The epoch: ostree, tar with SOURCE_DATE_EPOCH=0.
    (0, 0),
    // Nix and Guix (nix-store(1): "the time stamp 1").
    (1, 0),
    // The first date of a zip file (APPNOTE.TXT 4.4.6), in local time.
    (315_532_800, ZONE),
    // Gradle's zip files: 1 February 1980, since some zones would move the first date to 1979.
    (318_211_200, ZONE),
    // Yarn's zip files: 22 June 1984, 21:50 UTC.
    (456_789_000, 0),
    // npm's packages: 26 October 1985, 08:15 UTC.
    (499_162_500, 0),
    // Cargo's packages: 24 July 2006, 01:21:28 UTC.
    (1_153_704_088, 0),
];
const ZONE: u64 = 14 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    /// Times as `date --date TEXT +%s` prints them.
    #[test]
    fn constants_of_packers_are_no_modification_times() {
        for (seconds, what) in [
            (0, "the epoch"),
            (1, "Nix"),
            (315_532_800, "zip, UTC"),
            (315_532_800 - 14 * 3600, "zip, Pacific/Kiritimati"),
            (315_532_800 + 12 * 3600, "zip, Etc/GMT+12"),
            (315_532_802, "zip, whose resolution is 2 s"),
            (318_211_200 - 3600, "Gradle, Europe/Berlin"),
            (499_162_500, "npm"),
        ] {
            assert_eq!(meaningful(seconds), None, "{what}");
        }
        for (seconds, what) in [
            (2, "two seconds"),
            (316_000_000, "6 January 1980"),
            (784_111_777, "the example of RFC 9110 5.6.7"),
            (1_700_000_000, "2023"),
        ] {
            assert_eq!(meaningful(seconds), Some(seconds), "{what}");
        }
    }

    #[test]
    fn time_is_common_if_it_was_set_for_at_least_two_files_and_none_has_another() {
        const CHANGED: (i64, i64) = (9, 123);
        for (times, expected) in [
            (&[][..], false),
            (&[(5, 0)], false),
            (&[(5, 0), (5, 0)], true),
            (&[(5, 7), (5, 7), (5, 7)], true),
            (&[(5, 0), (5, 1)], false),
            (&[(5, 0), (6, 0), (5, 0), (5, 0)], false),
            (&[(5, 0), (5, 0), (6, 0)], false),
            // Written within one tick of the clock.
            (&[CHANGED, CHANGED], false),
        ] {
            let mut common = CommonTime::default();
            for &time in times {
                common.add_times(time, CHANGED);
            }
            assert_eq!(common.is_common(), expected, "{times:?}");
        }
    }
}
