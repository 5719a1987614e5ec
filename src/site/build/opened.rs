//! The root, opened once. Every file and folder of the site is opened beneath its descriptor; no
//! path is resolved from `/` again, where a renamed folder or a new link could redirect it.

use super::escape::escaped_path;
use super::listing::Listed;
use crate::error::Failure;
use crate::os::beneath::{self, Beneath, CHANGED, FileKind, OpenFolder, Resolver, Stamp};
use crate::os::privileges::Account;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An open root, whose files can be listed and read. Its descriptor is that of the folder.
pub struct OpenRoot {
    /// The path that the operator gave, for messages.
    named: PathBuf,
    /// The same path with all links resolved: the prefix of link targets within the root.
    canonical: PathBuf,
    beneath: Beneath,
}

impl OpenRoot {
    /// Opens the folder that the operator named. Links on the way to it are resolved here, once.
    ///
    /// # Errors
    /// If it can't be entered, or isn't a folder.
    pub fn open(named: &Path, resolver: Resolver) -> Result<Self, Failure> {
        let opened = named.canonicalize().and_then(|canonical| {
            let beneath = Beneath::open(&canonical, resolver)?;
            Ok(Self { named: named.to_owned(), canonical, beneath })
        });
        opened.map_err(|error| unreadable(named, &error))
    }

    pub(super) fn folder(&self) -> Result<OpenFolder, Failure> {
        let folder = self.beneath.open_folder(Path::new(""));
        folder.map_err(|error| self.unreadable(&error))
    }

    pub(super) fn unreadable(&self, error: &io::Error) -> Failure {
        unreadable(&self.named, error)
    }

    /// The path of the root, for messages.
    pub(super) fn escaped(&self) -> String {
        escaped_path(&self.named)
    }

    /// The path of a file, for messages.
    pub(super) fn shown_file(&self, name: &[u8]) -> String {
        escaped_path(&self.named.join(OsStr::from_bytes(name)))
    }

    /// The target of a link as a path from the root with all links resolved; or the reason why the
    /// target is not served.
    ///
    /// The target may have changed by the time it is opened. That is harmless: it is opened beneath
    /// the root and without following links.
    pub(super) fn target(&self, link: &Path) -> Result<PathBuf, String> {
        let target = match self.canonical.join(link).canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err("it is a link that leads nowhere".to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(format!("it is a link, and {}", denied("follow it", &error)));
            }
            Err(error) => return Err(error.to_string()),
        };
        let Ok(path) = target.strip_prefix(&self.canonical) else {
            return Err(format!("it is a link out of the root, to {}", escaped_path(&target)));
        };
        if has_hidden(path) {
            let path = escaped_path(path);
            return Err(format!("it is a link to {path}, and dot files are not served"));
        }
        Ok(path.to_owned())
    }

    /// The kind of the entry at a path from the root.
    pub(super) fn kind(&self, path: &Path) -> io::Result<FileKind> {
        self.beneath.kind(path)
    }

    /// Opens a file by its path from the root.
    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        self.beneath.open_file(path)
    }

    /// Opens a folder by its path from the root.
    pub(super) fn open_folder(&self, path: &Path) -> io::Result<OpenFolder> {
        self.beneath.open_folder(path)
    }

    /// Reads a listed file. The error is the reason why the file is not served; one reason is that
    /// another file has taken its place.
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

impl AsFd for OpenRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.beneath.as_fd()
    }
}

/// The reason why an entry that could not be opened or read is not served.
pub(super) fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => {
            format!("{}; chmod(1) or chown(1) changes that", denied("read it", error))
        }
        // The entry existed when it was listed; now it is gone or of another kind.
        Some(libc::ENOENT | libc::ELOOP | libc::ENOTDIR | libc::EXDEV) => CHANGED.to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a path leads to a dot file or through one. Names below `.well-known` may begin with a dot.
fn has_hidden(path: &Path) -> bool {
    let mut names = path.iter().map(OsStr::as_bytes).take_while(|name| *name != WELL_KNOWN);
    names.any(is_hidden)
}

/// Whether a path from the root lies in a folder `.well-known`, or is one.
pub(super) fn is_well_known(path: &[u8]) -> bool {
    path.split(|&octet| octet == b'/').any(|name| name == WELL_KNOWN)
}

/// Whether a name is that of a dot file. `.well-known` is served (RFC 8615).
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".") && name != WELL_KNOWN
}

const WELL_KNOWN: &[u8] = b".well-known";

fn denied(what: &str, error: &io::Error) -> String {
    format!("{} can't {what} ({error})", Account::current())
}

fn unreadable(root: &Path, error: &io::Error) -> Failure {
    let root = escaped_path(root);
    let what = format!("reading the root {root}");
    if error.kind() == io::ErrorKind::PermissionDenied {
        let hint = format!(
            "`namei -l {root}` shows which folder on the way to it refuses; chmod(1) or chown(1) \
             changes that, or let a user serve who may enter it"
        );
        return Failure::new(what, denied("enter and list it", error), hint);
    }
    Failure::new(what, error, format!("`ls -ld {root}` shows what it is; it must be a folder"))
}
