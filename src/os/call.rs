//! Turning the return value of a libc call into a result.

use std::io;

/// The value a call returned, or errno if it returned -1.
pub(crate) fn checked(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
