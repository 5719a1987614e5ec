//! Listening on the path of a Unix socket: who may connect, and whose file it is (unix(7)).

use super::super::call::checked;
use super::super::privileges;
use super::{Endpoint, Listener, socket, start_listening};
use crate::error::{Failure, errno_of};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

/// Who may connect to a socket file: connecting takes the permission to write to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The mode; without one, 0777 less the umask.
    pub mode: Option<u32>,
    /// The number of the group; without one, the group of the process, or of the folder if that
    /// has the set-group-ID bit.
    pub group: Option<u32>,
}

impl Access {
    /// Looks up the group, by name or by number.
    ///
    /// # Errors
    /// If there is no such group.
    pub fn look_up(mode: Option<u32>, group: Option<&str>) -> Result<Self, Failure> {
        let number = |name: &str| {
            privileges::group_of(name).ok_or_else(|| {
                Failure::new(
                    format!("looking up --socket-group {name}"),
                    format!("there is no group {name:?}"),
                    "`getent group` lists those there are; a number is taken, too",
                )
            })
        };
        Ok(Self { mode, group: group.map(number).transpose()? })
    }

    /// Gives a file this mode and group.
    fn grant(self, file: &File) -> io::Result<()> {
        let failed = |what: &str, error: &io::Error, hint: &str| {
            io::Error::other(format!("{what} of the socket file: {error}{hint}"))
        };
        // A descriptor of `O_PATH` takes neither fchmod(2) nor fchown(2), but its name under /proc
        // is resolved to the very file that it was opened for (proc_pid_fd(5)).
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        if let Some(group) = self.group {
            let hint = "; only root may set one that the process isn't a member of (chown(2))";
            chown(&name, None, Some(group))
                .map_err(|error| failed("setting the group", &error, hint))?;
        }
        if let Some(mode) = self.mode {
            std::fs::set_permissions(&name, Permissions::from_mode(mode))
                .map_err(|error| failed("setting the mode", &error, ""))?;
        }
        Ok(())
    }
}

/// Which file it is, whatever its path is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Which socket file there is at a path, if any; links aren't followed.
    fn at(path: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok()?;
        metadata.file_type().is_socket().then(|| Self::of(&metadata))
    }

    /// Removes the file if it is still at this path. Whether it is, is decided a moment earlier:
    /// no system call removes a file by its inode.
    pub(super) fn remove_at(self, path: &Path) -> io::Result<()> {
        if Self::at(path) == Some(self) { std::fs::remove_file(path) } else { Ok(()) }
    }
}

pub(super) fn listen(path: &Path, backlog: u32, access: Access) -> io::Result<Listener> {
    let address = Address::new(path)?;
    remove_stale_socket(path, &address)?;
    let fd = socket(libc::AF_UNIX)?;
    let (place, len) = address.raw();
    // SAFETY: `place` points to an initialised sockaddr_un of `len` bytes, which lives on.
    checked(unsafe { libc::bind(fd.as_raw_fd(), place, len) })?;
    let file = open_own_socket(path)?;
    let identity = Identity::of(&file.metadata()?);
    let endpoint = Endpoint::Unix(path.to_owned());
    // From here on the file is removed if a step fails.
    let listener = Listener { fd: Some(fd), endpoint, file: Some(identity), keep_file: false };
    access.grant(&file)?;
    // Until now a connection was refused, so no client has come in by another mode or group.
    start_listening(&listener.socket(), backlog)?;
    // A server that is started at the same time may have taken the file for a stale one, as
    // nothing listened on it yet.
    if Identity::at(path) != Some(identity) {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    Ok(listener)
}

/// Opens the file that was just bound. Another user who may write to the folder can have replaced
/// it by a link, by another file, or by a socket of their own.
fn open_own_socket(path: &Path) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.file_type().is_socket() || metadata.uid() != privileges::effective_user() {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    Ok(file)
}

/// A socket file outlives the server that made it. Only one that nothing listens on is removed.
fn remove_stale_socket(path: &Path, address: &Address) -> io::Result<()> {
    let Some(found) = Identity::at(path) else { return Ok(()) };
    match address.connect() {
        Err(error) if errno_of(&error) == libc::ECONNREFUSED => found.remove_at(path),
        // EAGAIN is a full backlog: its server is there, though it may be stopped.
        Ok(_) | Err(_) => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
    }
}

/// A path as bind(2) and connect(2) take it.
struct Address(libc::sockaddr_un);

impl Address {
    fn new(path: &Path) -> io::Result<Self> {
        // SAFETY: a sockaddr_un is integers only, for which zero is a value.
        let mut address = unsafe { MaybeUninit::<libc::sockaddr_un>::zeroed().assume_init() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
            #[allow(clippy::cast_possible_wrap, reason = "c_char is signed on some machines only")]
            {
                *place = *byte as libc::c_char;
            }
        }
        Ok(Self(address))
    }

    fn raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        ((&raw const self.0).cast(), size_of_val(&self.0) as libc::socklen_t)
    }

    /// Connects without waiting for room in the backlog.
    fn connect(&self) -> io::Result<OwnedFd> {
        let fd = socket(libc::AF_UNIX)?;
        // SAFETY: fcntl with F_SETFL takes numbers only.
        checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
        let (place, len) = self.raw();
        // SAFETY: `place` points to an initialised sockaddr_un of `len` bytes, which lives on.
        checked(unsafe { libc::connect(fd.as_raw_fd(), place, len) })?;
        Ok(fd)
    }
}
