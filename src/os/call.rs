//! Results of libc calls.

use std::io;

/// The value that a call returned, or `errno` if it returned -1.
pub(crate) fn checked(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
