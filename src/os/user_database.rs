//! The databases of users and groups: numbers by names, and names by numbers.
//!
//! A program with shared libraries asks the C library, and thereby each source that
//! nsswitch.conf(5) names. A program without them reads /etc/passwd and /etc/group itself: for any
//! other source, glibc would load libraries of the machine into it, which have to be of the same
//! version of glibc (ld(1) warns of that) and are missing in an image of the program alone.

#[cfg(any(test, target_feature = "crt-static"))]
mod files;
#[cfg(not(target_feature = "crt-static"))]
mod nss;

#[cfg(target_feature = "crt-static")]
use files as source;
#[cfg(not(target_feature = "crt-static"))]
use nss as source;
use std::io;

/// An entry of the user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserEntry {
    /// Number of the user.
    pub(super) uid: u32,
    /// Number of the user's own group.
    pub(super) gid: u32,
    /// The name; octets that aren't UTF-8 are replaced.
    pub(super) name: String,
}

/// What an entry of the user database is looked up by.
#[derive(Clone, Copy, Debug)]
pub(super) enum UserKey<'a> {
    /// By the name.
    Name(&'a str),
    /// By the number.
    Number(u32),
}

/// The first entry of the user database with this key; `None` if there is none, or no database.
///
/// # Errors
/// If the database can't be read.
pub(super) fn find_user(key: UserKey<'_>) -> io::Result<Option<UserEntry>> {
    source::find_user(key)
}

/// The number of the first group with this name; `None` if there is none, or no database.
///
/// # Errors
/// If the database can't be read.
pub(super) fn find_group(name: &str) -> io::Result<Option<u32>> {
    source::find_group(name)
}

/// The source, if it is the only one that this program asks.
pub(super) const ONLY_SOURCE: Option<[&str; 2]> =
    if cfg!(target_feature = "crt-static") { Some(["/etc/passwd", "/etc/group"]) } else { None };
