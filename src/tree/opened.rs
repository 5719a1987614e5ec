//! The root, opened once: all that is served is reached through its descriptor, and never by a
//! path that somebody could lead elsewhere between two looks.

use super::Failure;
use super::shown::shown_path;
use super::walk::Listed;
use crate::sys::beneath::{self, Beneath, CHANGED, Folder, Kind, Resolver, Stamp};
use crate::sys::privileges::Account;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A root whose files can be listed and read.
pub(super) struct OpenRoot {
    /// As it was named.
    named: PathBuf,
    /// Without links on the way: targets of links are compared with it.
    canonical: PathBuf,
    beneath: Beneath,
}

impl OpenRoot {
    /// Opens a root.
    pub(super) fn open(named: &Path, resolver: Resolver) -> Result<Self, Failure> {
        let opened = named.canonicalize().and_then(|canonical| {
            let beneath = Beneath::open(&canonical, resolver)?;
            Ok(Self { named: named.to_owned(), canonical, beneath })
        });
        opened.map_err(|error| unreadable(named, &error))
    }

    /// The folder itself, to be listed.
    pub(super) fn folder(&self) -> Result<Folder, Failure> {
        let folder = self.beneath.open_folder(Path::new(""));
        folder.map_err(|error| self.unreadable(&error))
    }

    /// The failure to read the root.
    pub(super) fn unreadable(&self, error: &io::Error) -> Failure {
        unreadable(&self.named, error)
    }

    /// The root as people are shown it.
    pub(super) fn shown(&self) -> String {
        shown_path(&self.named)
    }

    /// A file as people are shown it.
    pub(super) fn shown_file(&self, name: &[u8]) -> String {
        shown_path(&self.named.join(OsStr::from_bytes(name)))
    }

    /// Where a link leads to, from the root on and without any further link; or why its target
    /// isn't served.
    ///
    /// What this finds may be outdated when it is opened. That does no harm, as it's opened beneath
    /// the root and without following links.
    pub(super) fn target(&self, link: &Path) -> Result<PathBuf, String> {
        let target = match self.canonical.join(link).canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err("it is a link that leads nowhere".to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(format!("it is a link, and {}", denied("follow", &error)));
            }
            Err(error) => return Err(error.to_string()),
        };
        let Ok(path) = target.strip_prefix(&self.canonical) else {
            return Err(format!("it is a link out of the root, to {}", shown_path(&target)));
        };
        if path.components().any(|component| is_hidden(component.as_os_str().as_bytes())) {
            let path = shown_path(path);
            return Err(format!("it is a link to {path}, and dot files are not served"));
        }
        Ok(path.to_owned())
    }

    /// What is at a path from the root on.
    pub(super) fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.beneath.kind(path)
    }

    /// Opens a file by its path from the root on.
    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        self.beneath.open_file(path)
    }

    /// Opens a folder by its path from the root on.
    pub(super) fn open_folder(&self, path: &Path) -> io::Result<Folder> {
        self.beneath.open_folder(path)
    }

    /// Reads a listed file, if it still is the one that was listed; or says why it can't be served.
    pub(super) fn read(&self, listed: &Listed, place: &mut [u8]) -> Result<(), String> {
        let path = listed.path.as_deref().unwrap_or(Path::new(OsStr::from_bytes(&listed.name)));
        let mut read = || {
            let file = self.open_file(path)?;
            if Stamp::of(&file.metadata()?) != listed.stamp {
                return Err(io::Error::other(CHANGED));
            }
            beneath::read_whole(&file, &listed.stamp, place)
        };
        read().map_err(|error| why(&error))
    }
}

/// Why an entry can't be served that could not be opened or read.
pub(super) fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => {
            format!("{}; chmod(1) or chown(1) can allow it", denied("read", error))
        }
        // It was listed, and now it is gone, or something else.
        Some(libc::ENOENT | libc::ELOOP | libc::ENOTDIR | libc::EXDEV) => CHANGED.to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a name is that of a dot file, and not the one that is served (RFC 8615).
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".") && name != b".well-known"
}

fn denied(what: &str, error: &io::Error) -> String {
    format!("{} may not {what} it ({error})", Account::current())
}

fn unreadable(root: &Path, error: &io::Error) -> Failure {
    let root = shown_path(root);
    let what = format!("reading the root {root}");
    if error.kind() == io::ErrorKind::PermissionDenied {
        let mend = format!(
            "`namei -l {root}` shows which folder on the way to it refuses; chmod(1) or chown(1) \
             can allow it, and --user names another user to serve as"
        );
        return Failure::new(what, denied("enter and list", error), mend);
    }
    Failure::new(what, error, format!("`ls -ld {root}` shows what it is; it must be a folder"))
}
