//! Listening on the path of a Unix socket: permission to connect, and ownership of the file
//! (unix(7)).

use super::endpoint::Endpoint;
use super::listener::{FileIdentity, Listener};
use super::socket::{start_listening, stream_socket};
use crate::os::privileges::{self, UnknownName, look_up_group};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

/// Mode and group of a socket file. Connecting requires permission to write to it (unix(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The mode; if `None`, 0777 less the umask.
    pub mode: Option<u32>,
    /// The number of the group; if `None`, the group of the process, or of the folder if that has
    /// the set-group-ID bit.
    pub group: Option<u32>,
}

impl Access {
    /// Looks up the group, by name or by number.
    ///
    /// # Errors
    /// If there is no such group.
    pub fn look_up(mode: Option<u32>, group: Option<&str>) -> Result<Self, UnknownName> {
        Ok(Self { mode, group: group.map(look_up_group).transpose()? })
    }

    /// Sets mode and group of a file.
    fn grant(self, file: &File) -> io::Result<()> {
        let failed = |what: &str, error: &io::Error, hint: &str| {
            io::Error::other(format!("{what} of the socket file: {error}{hint}"))
        };
        // fchmod(2) and fchown(2) refuse a descriptor opened with `O_PATH`, but its name under
        // /proc resolves to the very file that was opened (proc_pid_fd(5)).
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        if let Some(group) = self.group {
            let hint = "; only root may set a group that the process isn't a member of (chown(2))";
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

pub(super) fn listen(path: &Path, backlog: u32, access: Access) -> io::Result<Listener> {
    let address = address_of(path)?;
    remove_stale_socket(path, &address)?;
    let fd = stream_socket(AddressFamily::UNIX)?;
    rustix::net::bind(&fd, &address)?;
    let file = open_own_socket(path)?;
    let identity = FileIdentity::of(&file.metadata()?);
    // From here on the file is removed if a step fails.
    let listener = Listener::new(fd, Endpoint::Unix(path.to_owned()), Some(identity));
    access.grant(&file)?;
    // Until now connections were refused, so no client has connected under another mode or group.
    start_listening(&listener.socket(), backlog)?;
    // A server that starts at the same time may have replaced the file as a stale one, because
    // nothing listened on it yet.
    if FileIdentity::at(path) != Some(identity) {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    Ok(listener)
}

/// Opens the file that was just bound. Another user with write access to the folder may have
/// replaced it by a link, by another file, or by a socket of their own.
fn open_own_socket(path: &Path) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.file_type().is_socket() || metadata.uid() != privileges::effective_user() {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    Ok(file)
}

/// Removes the socket file of a server that has ended: one on which nothing listens.
fn remove_stale_socket(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    let Some(found) = FileIdentity::at(path) else { return Ok(()) };
    match connect(address) {
        Err(Errno::CONNREFUSED) => found.remove_at(path),
        // EAGAIN is a full backlog: its server exists, though it may be stopped.
        Ok(_) | Err(_) => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
    }
}

/// Connects without waiting for room in the backlog.
fn connect(address: &SocketAddrUnix) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, address)?;
    Ok(fd)
}

/// A path as bind(2) takes it, which is short enough to end with a zero byte.
fn address_of(path: &Path) -> io::Result<SocketAddrUnix> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > PATH_BYTES_MAX || bytes.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    Ok(SocketAddrUnix::new(path)?)
}

/// `sun_path` has 108 bytes (unix(7)).
const PATH_BYTES_MAX: usize = 107;
