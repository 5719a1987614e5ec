//! Files and folders beneath an open folder. A path is resolved from the folder's descriptor, may
//! not leave the folder and follows no symbolic link, so that a user who may write to the folder
//! can't make the program read anything else, whatever is renamed or replaced in the meantime.
//!
//! `openat2(2)` (Linux 5.6) does that in one call. Where the kernel or a seccomp filter refuses it,
//! the components are opened one after the other with `O_NOFOLLOW`.

use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

/// The way in which a path of several components is resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolver {
    /// By `openat2(2)`, or by component if the kernel or a filter refuses that call.
    #[default]
    Openat2,
    /// By component always.
    ByComponent,
}

/// An open folder, the root of every path that is opened through it.
#[derive(Debug)]
pub struct Beneath {
    fd: OwnedFd,
    by_component: AtomicBool,
}

impl Beneath {
    /// Opens a folder that the operator named, so symbolic links in its path are followed.
    ///
    /// # Errors
    /// If it can't be opened, or isn't a folder.
    pub fn open(folder: &Path, resolver: Resolver) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::open(folder, flags, Mode::empty()))?;
        Ok(Self { fd, by_component: AtomicBool::new(resolver == Resolver::ByComponent) })
    }

    /// Opens a file for reading. The file may be of any kind but a symbolic link, so the caller
    /// checks its metadata. Opening never blocks, not even on a FIFO or a device.
    ///
    /// # Errors
    /// The kernel's: `ELOOP` or `ENOTDIR` if a component is a symbolic link, `EXDEV` if the path
    /// leaves the folder.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        Ok(self.open_beneath(path, READ_FILE)?.into())
    }

    /// Opens a folder to list its entries.
    ///
    /// # Errors
    /// As [`Beneath::open_file`].
    pub fn open_folder(&self, path: &Path) -> io::Result<OpenFolder> {
        OpenFolder::new(self.open_beneath(path, READ_FOLDER)?)
    }

    /// The kind of the entry at a path. The entry is not opened for reading.
    ///
    /// # Errors
    /// As [`Beneath::open_file`].
    pub fn kind(&self, path: &Path) -> io::Result<FileKind> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let stat = rustix::fs::fstat(self.open_beneath(path, flags)?)?;
        Ok(FileKind::of(FileType::from_raw_mode(stat.st_mode)))
    }

    fn open_beneath(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if !path.components().all(|component| matches!(component, Component::Normal(_))) {
            return Err(Errno::XDEV.into());
        }
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        if !self.by_component.load(Ordering::Relaxed) {
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            let opened = retry_on_intr(|| {
                rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve)
            });
            match opened {
                // Kernels before 5.6, and container runtimes whose seccomp filter lacks the call.
                Err(Errno::NOSYS | Errno::PERM) => self.by_component.store(true, Ordering::Relaxed),
                opened => return Ok(opened?),
            }
        }
        let mut folder = None;
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            let flags = if names.peek().is_some() { PASS_FOLDER } else { flags };
            let within = folder.as_ref().unwrap_or(&self.fd);
            folder = Some(open_entry(within.as_fd(), &c_string(name.as_bytes())?, flags)?);
        }
        Ok(folder.expect("a path has a component, the last of which was opened"))
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An open folder with a position in its listing.
pub struct OpenFolder(Dir);

impl OpenFolder {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self(Dir::new(fd)?))
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.0.fd()?)
    }

    /// The next entry in the file system's order; `.` and `..` are skipped.
    pub fn next_entry(&mut self) -> Option<io::Result<FolderEntry>> {
        loop {
            match self.0.read()? {
                Err(error) => return Some(Err(error.into())),
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Ok(entry) => {
                    let name = entry.file_name().to_owned();
                    return Some(Ok(FolderEntry { name, file_type: entry.file_type() }));
                }
            }
        }
    }

    /// The kind of an entry, from the listing or, on file systems whose listings lack it
    /// (`readdir(3)`), from the file itself.
    ///
    /// # Errors
    /// If the entry no longer exists.
    pub fn kind(&self, entry: &FolderEntry) -> io::Result<FileKind> {
        if entry.file_type != FileType::Unknown {
            return Ok(FileKind::of(entry.file_type));
        }
        let stat = rustix::fs::statat(self.fd()?, &*entry.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileKind::of(FileType::from_raw_mode(stat.st_mode)))
    }

    /// Opens an entry for reading, as [`Beneath::open_file`] does.
    ///
    /// # Errors
    /// The kernel's: `ELOOP` if the entry is a symbolic link.
    pub fn open_file(&self, entry: &FolderEntry) -> io::Result<File> {
        Ok(open_entry(self.fd()?, &entry.name, READ_FILE)?.into())
    }

    /// The stamp of an entry that is a file which this process may read. The entry isn't opened:
    /// that costs five times as much, most of it in Landlock.
    ///
    /// # Errors
    /// If the entry isn't a file any more, or may not be read (`EACCES`).
    pub fn stamp(&self, entry: &FolderEntry) -> io::Result<Stamp> {
        let folder = self.fd()?;
        let stat = rustix::fs::statat(folder, &*entry.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::other(CHANGED));
        }
        // Follows a link that has taken the entry's place meanwhile, which tells nothing but
        // whether its target can be read; the file is opened without following links.
        rustix::fs::accessat(folder, &*entry.name, Access::READ_OK, AtFlags::empty())?;
        Ok(Stamp::of_stat(&stat))
    }

    /// Opens an entry that is a folder, for listing it.
    ///
    /// # Errors
    /// The kernel's: `ENOTDIR` if the entry is not a folder.
    pub fn open_folder(&self, entry: &FolderEntry) -> io::Result<Self> {
        Self::new(open_entry(self.fd()?, &entry.name, READ_FOLDER)?)
    }

    /// The folder's device and inode, which no other existing folder shares.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = self.0.stat()?;
        Ok((stat.st_dev, stat.st_ino))
    }
}

/// An entry of a folder.
pub struct FolderEntry {
    name: CString,
    file_type: FileType,
}

impl FolderEntry {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.name.to_bytes()
    }
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A FIFO, a socket, a device.
    Other,
}

impl FileKind {
    fn of(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

/// Identity and version of a file. Equal stamps mean that neither the file nor its content was
/// replaced in between, within the resolution of the file system's timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The file's length.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The time of the last modification of the content, as seconds since the Unix epoch and
    /// nanoseconds.
    #[must_use]
    pub const fn modified(&self) -> (i64, i64) {
        self.modified
    }

    /// The time of the last change of the file, whether of its content or of its attributes.
    #[must_use]
    pub const fn changed(&self) -> (i64, i64) {
        self.changed
    }

    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_fallible_conversions,
        reason = "the types differ between machines"
    )]
    fn of_stat(stat: &rustix::fs::Stat) -> Self {
        // The fields are signed on some machines; neither has values over 2^63.
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            bytes: stat.st_size.try_into().unwrap_or(0),
            modified: (stat.st_mtime.into(), stat.st_mtime_nsec.try_into().unwrap_or(0)),
            changed: (stat.st_ctime.into(), stat.st_ctime_nsec.try_into().unwrap_or(0)),
        }
    }

    /// The stamp of an open file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Opens for reading a file that the operator named. Symbolic links are followed; opening never
/// blocks, not even on a FIFO or a device.
///
/// # Errors
/// If it can't be opened.
pub fn open_named(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    File::options().read(true).custom_flags(flags).open(path)
}

/// Reads a file whose length must equal that of `place` and whose stamp must still be `stamp`
/// afterwards. Reads at most one byte beyond the length of `place`.
///
/// # Errors
/// If it can't be read, has fewer bytes or more, or changed while it was read.
pub fn read_whole(mut file: &File, stamp: &Stamp, place: &mut [u8]) -> io::Result<()> {
    let (mut beyond, mut at) = ([0], 0);
    // The byte beyond is read by the same call, which thus finds the end of nearly every file.
    loop {
        let mut places = [IoSliceMut::new(&mut place[at..]), IoSliceMut::new(&mut beyond)];
        match file.read_vectored(&mut places) {
            Ok(0) => break,
            Ok(count) => at += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if at >= place.len() {
            break;
        }
    }
    if at < place.len() {
        return Err(io::Error::other(FEWER));
    }
    if at > place.len() {
        return Err(io::Error::other(MORE));
    }
    if Stamp::of(&file.metadata()?) != *stamp {
        return Err(io::Error::other(CHANGED));
    }
    Ok(())
}

fn open_entry(folder: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(retry_on_intr(|| rustix::fs::openat(folder, name, flags, Mode::empty()))?)
}

fn c_string(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| Errno::INVAL.into())
}

const READ_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
const READ_FOLDER: OFlags = READ_FILE.union(OFlags::DIRECTORY);
/// Passing through a folder requires search permission only.
const PASS_FOLDER: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The reason for refusing a file that was replaced or modified between two inspections.
pub const CHANGED: &str = "it changed while it was read";
const FEWER: &str = "it ends before its stated length: it shrank while it was read, or its content \
                     is generated, as in /sys";
const MORE: &str = "it continues past its stated length: it grew while it was read, or its content \
                    is generated, as in /proc";

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A folder `root` with files, and a file `secret` beside it; removed at the end.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("uringstatic-{name}-{}", std::process::id()));
            std::fs::create_dir_all(folder.join("root/a/b")).expect("a temporary folder");
            std::fs::write(folder.join("root/a/b/file"), b"content").expect("it is ours");
            std::fs::write(folder.join("secret"), b"secret").expect("it is ours");
            Self(folder)
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn paths_outside_the_folder_and_symbolic_links_are_refused() {
        let ground = Ground::new("beneath");
        let root = ground.0.join("root");
        symlink("../secret", root.join("link")).expect("links can be made");
        symlink("..", root.join("up")).expect("links can be made");
        symlink("a", root.join("inner")).expect("links can be made");
        for resolver in [Resolver::Openat2, Resolver::ByComponent] {
            let beneath = Beneath::open(&root, resolver).expect("it is there");
            let open = |path: &str| beneath.open_file(Path::new(path));
            let mut text = String::new();
            let mut file = open("a/b/file").expect("it is there");
            file.read_to_string(&mut text).expect("it is text");
            assert_eq!(text, "content", "{resolver:?}");
            for (path, errno) in [
                ("../secret", Errno::XDEV),
                ("/etc/passwd", Errno::XDEV),
                ("a/../../secret", Errno::XDEV),
                ("link", Errno::LOOP),
                ("a/b/none", Errno::NOENT),
            ] {
                let error = open(path).expect_err(path);
                assert_eq!(Errno::from_io_error(&error), Some(errno), "{resolver:?}: {path}");
            }
            // A link within the path: openat2 fails with ELOOP, O_DIRECTORY with O_NOFOLLOW fails
            // with ENOTDIR.
            for path in ["up/secret", "inner/b/file"] {
                let error = open(path).expect_err(path);
                let errno = Errno::from_io_error(&error);
                assert!(matches!(errno, Some(Errno::LOOP | Errno::NOTDIR)), "{path}: {error}");
            }
            assert_eq!(beneath.kind(Path::new("link")).ok(), Some(FileKind::Link));
            assert_eq!(beneath.kind(Path::new("a/b")).ok(), Some(FileKind::Folder));
            let mut folder = beneath.open_folder(Path::new("a/b")).expect("it is there");
            let entry = folder.next_entry().expect("it has a file").expect("it can be read");
            assert_eq!(
                (entry.name(), folder.kind(&entry).ok()),
                (&b"file"[..], Some(FileKind::File))
            );
            assert!(folder.next_entry().is_none());
            assert!(beneath.open_folder(Path::new("")).is_ok(), "the folder itself");
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_refused() {
        let ground = Ground::new("lengths");
        let path = ground.0.join("secret");
        let open = || {
            let file = open_named(&path).expect("it is there");
            let stamp = Stamp::of(&file.metadata().expect("it is open"));
            (file, stamp)
        };
        let why = |file: &File, stamp: &Stamp| {
            let outcome = read_whole(file, stamp, &mut [0; 6]);
            outcome.map_err(|error| error.to_string())
        };
        let (file, stamp) = open();
        assert_eq!(why(&file, &stamp), Ok(()));
        let (file, stamp) = open();
        let mut writer = File::options().append(true).open(&path).expect("it is ours");
        writer.write_all(b"more").expect("it is ours");
        assert_eq!(why(&file, &stamp), Err(MORE.to_owned()));
        writer.set_len(3).expect("it is ours");
        let (file, stamp) = open();
        assert_eq!(why(&file, &stamp), Err(FEWER.to_owned()));
        // The same length as before, with another modification time.
        writer.set_len(6).expect("it is ours");
        let (file, stamp) = open();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        writer.set_modified(long_ago).expect("it is ours");
        assert_eq!(why(&file, &stamp), Err(CHANGED.to_owned()));
    }
}
