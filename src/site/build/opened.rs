//! The root, opened once. Every file and folder of the site is opened beneath its descriptor; no
//! path is resolved from `/` again, where a renamed folder or a new link could redirect it.

use super::escape::escaped_path;
use super::listing::Listed;
use crate::error::Failure;
use crate::os::beneath::{self, Beneath, CHANGED, FileKind, OpenFolder, Resolver, Stamp};
use crate::os::landlock::{FileAccess, Hierarchy, open_path};
use crate::os::privileges::Account;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An open root, whose files can be listed and read. Its descriptor is that of the folder.
pub struct OpenRoot {
    /// The path that the operator gave, for messages.
    named: PathBuf,
    /// The same path with all links resolved: the prefix of link targets within the root.
    canonical: PathBuf,
    beneath: Beneath,
    follows_links: bool,
    /// Targets of links out of the root with their paths, or the reasons why they aren't open.
    outside: Vec<(PathBuf, Result<OutsideTarget, String>)>,
}

/// The target of a link out of the root, open.
enum OutsideTarget {
    Folder(Beneath),
    File {
        /// The folder that it lies in, of which nothing else is opened.
        parent: Beneath,
        /// Open without permission to read it.
        fd: OwnedFd,
    },
}

impl OutsideTarget {
    fn open(path: &Path, resolver: Resolver) -> io::Result<Self> {
        if path.metadata()?.is_dir() {
            return Ok(Self::Folder(Beneath::open(path, resolver)?));
        }
        let parent = path.parent().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self::File { parent: Beneath::open(parent, resolver)?, fd: open_path(path)? })
    }

    fn beneath(&self) -> &Beneath {
        match self {
            Self::Folder(folder) => folder,
            Self::File { parent, .. } => parent,
        }
    }

    fn hierarchy(&self) -> Hierarchy<'_> {
        match self {
            Self::Folder(folder) => Hierarchy { fd: folder.as_fd(), access: FileAccess::Read },
            Self::File { fd, .. } => Hierarchy { fd: fd.as_fd(), access: FileAccess::ReadFile },
        }
    }
}

/// The reason why a link isn't followed.
pub(super) enum LinkError {
    /// Its target isn't served, for this reason.
    Refused(String),
    /// Its target is out of the root and isn't open.
    Outside(PathBuf),
}

impl OpenRoot {
    /// Opens the folder that the operator named. Links on the way to it are resolved here, once.
    ///
    /// # Errors
    /// If it can't be entered, or isn't a folder.
    pub fn open(named: &Path, resolver: Resolver) -> Result<Self, Failure> {
        let opened = named.canonicalize().and_then(|canonical| {
            let beneath = Beneath::open(&canonical, resolver)?;
            let named = named.to_owned();
            Ok(Self { named, canonical, beneath, follows_links: false, outside: Vec::new() })
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

    /// Permits links out of the root to those targets that [`OpenRoot::add_outside`] opens.
    pub(super) fn follow_links(&mut self) {
        self.follows_links = true;
    }

    /// Opens the target of a link out of the root, a path with all links resolved. If that fails,
    /// the links to it are left out for that reason.
    pub(super) fn add_outside(&mut self, path: &Path, resolver: Resolver) {
        let target = OutsideTarget::open(path, resolver);
        let target = target.map_err(|error| format!("it is a link, and {}", why(&error)));
        self.outside.push((path.to_owned(), target));
    }

    /// What may be read by this root: the root, and the targets out of it.
    #[must_use]
    pub fn hierarchies(&self) -> Vec<Hierarchy<'_>> {
        let outside = self.outside.iter().filter_map(|(_, target)| target.as_ref().ok());
        let own = Hierarchy { fd: self.as_fd(), access: FileAccess::Read };
        std::iter::once(own).chain(outside.map(OutsideTarget::hierarchy)).collect()
    }

    /// The target of a link as a path with all links resolved, from the root or from `/`.
    ///
    /// The target may have changed by the time it is opened. That is harmless: it is opened beneath
    /// the root, or beneath a target that was opened before, and without following links.
    pub(super) fn target(&self, link: &Path) -> Result<PathBuf, LinkError> {
        let refused = |why| Err(LinkError::Refused(why));
        let target = match self.canonical.join(link).canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return refused("it is a link that leads nowhere".to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return refused(format!("it is a link, and {}", denied("follow it", &error)));
            }
            Err(error) => return refused(error.to_string()),
        };
        let within = target.strip_prefix(&self.canonical).ok();
        if within.is_none() && !self.follows_links {
            let target = escaped_path(&target);
            return refused(format!("it is a link out of the root, to {target}"));
        }
        let below = within.unwrap_or_else(|| below_common(&self.canonical, &target));
        if has_hidden(below) {
            let path = escaped_path(within.unwrap_or(&target));
            return refused(format!("it is a link to {path}, and dot files are not served"));
        }
        if let Some(path) = within {
            return Ok(path.to_owned());
        }
        match self.outside(&target) {
            Some((_, Ok(_))) => Ok(target),
            Some((_, Err(why))) => refused(why.clone()),
            None => Err(LinkError::Outside(target)),
        }
    }

    /// The target out of the root that a path is, or lies beneath.
    fn outside(&self, path: &Path) -> Option<&(PathBuf, Result<OutsideTarget, String>)> {
        // A target that is open counts before one that isn't.
        let mut known = self.outside.iter().filter(|(known, _)| path.starts_with(known));
        let first = known.next()?;
        Some(std::iter::once(first).chain(known).find(|(_, it)| it.is_ok()).unwrap_or(first))
    }

    /// The open folder beneath which a path lies, and the rest of the path.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(&Beneath, &'p Path)> {
        if path.is_relative() {
            return Ok((&self.beneath, path));
        }
        let found =
            self.outside(path).and_then(|(known, target)| Some((known, target.as_ref().ok()?)));
        let Some((known, target)) = found else { return Err(io::Error::other(CHANGED)) };
        let rest = match target {
            OutsideTarget::Folder(_) => path.strip_prefix(known).ok(),
            OutsideTarget::File { .. } => path.file_name().map(Path::new),
        };
        let rest = rest.ok_or_else(|| io::Error::other(CHANGED))?;
        Ok((target.beneath(), rest))
    }

    /// The kind of the entry at a path that [`OpenRoot::target`] returned.
    pub(super) fn kind(&self, path: &Path) -> io::Result<FileKind> {
        let (beneath, path) = self.place(path)?;
        beneath.kind(path)
    }

    /// Opens a file by its path from the root, or by that of a target out of the root.
    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        let (beneath, path) = self.place(path)?;
        beneath.open_file(path)
    }

    /// The stamp of a file by its path from the root, or by that of a target out of the root. The
    /// file can be opened.
    pub(super) fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let metadata = self.open_file(path)?.metadata()?;
        let stamp = metadata.is_file().then(|| Stamp::of(&metadata));
        stamp.ok_or_else(|| io::Error::other(CHANGED))
    }

    /// Opens a folder by its path from the root, or by that of a target out of the root.
    pub(super) fn open_folder(&self, path: &Path) -> io::Result<OpenFolder> {
        let (beneath, path) = self.place(path)?;
        beneath.open_folder(path)
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

/// The part of a path below the folders that it has in common with the root: the root itself may
/// lie beneath a dot folder.
fn below_common<'p>(root: &Path, path: &'p Path) -> &'p Path {
    let mut common = root.ancestors();
    common.find_map(|folder| path.strip_prefix(folder).ok()).unwrap_or(path)
}

/// Whether a path leads to a dot file or through one, those below `.well-known` aside.
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
