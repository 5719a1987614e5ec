//! The databases of the C library: each source that nsswitch.conf(5) names.

use super::{UserEntry, UserKey};
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;

/// As [`super::find_user`], by `getpwnam_r(3)` or `getpwuid_r(3)`.
pub(super) fn find_user(key: UserKey<'_>) -> io::Result<Option<UserEntry>> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut strings = vec![0; STRINGS_BYTES];
    let mut found = std::ptr::null_mut();
    let (place, len) = (strings.as_mut_ptr(), strings.len());
    let error = match key {
        // SAFETY: the entry, `len` bytes of strings and the pointer are this function's to write.
        UserKey::Number(uid) => unsafe {
            libc::getpwuid_r(uid, entry.as_mut_ptr(), place, len, &raw mut found)
        },
        UserKey::Name(name) => {
            let Ok(name) = CString::new(name) else { return Ok(None) };
            // SAFETY: as above, and a CString ends with a zero byte.
            unsafe {
                libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), place, len, &raw mut found)
            }
        }
    };
    if found.is_null() {
        return no_entry(error);
    }
    // SAFETY: the call sets the pointer only after it has written the entry (getpwnam(3)).
    let entry = unsafe { entry.assume_init_ref() };
    // SAFETY: the name of a written entry is a string within `strings`, which lives on, and ends
    // with a zero byte (getpwnam(3)).
    let name = unsafe { CStr::from_ptr(entry.pw_name) };
    let name = name.to_string_lossy().into_owned();
    Ok(Some(UserEntry { uid: entry.pw_uid, gid: entry.pw_gid, name }))
}

/// As [`super::find_group`], by `getgrnam_r(3)`.
pub(super) fn find_group(name: &str) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut strings = vec![0; STRINGS_BYTES];
    let mut found = std::ptr::null_mut();
    let (place, len) = (strings.as_mut_ptr(), strings.len());
    let (c_name, to_entry) = (name.as_ptr(), entry.as_mut_ptr());
    // SAFETY: the name ends with a zero byte; the entry, `len` bytes of strings and the pointer are
    // this function's to write.
    let error = unsafe { libc::getgrnam_r(c_name, to_entry, place, len, &raw mut found) };
    if found.is_null() {
        return no_entry(error);
    }
    // SAFETY: the call sets the pointer only after it has written the entry (getgrnam(3)).
    let entry = unsafe { entry.assume_init_ref() };
    Ok(Some(entry.gr_gid))
}

/// The outcome of a call that has found nothing.
fn no_entry<T>(error: i32) -> io::Result<Option<T>> {
    match error {
        // A database without the entry, or no database: glibc's ENOENT for an image without
        // /etc/passwd (getpwnam(3), ERRORS).
        0 | libc::ENOENT | libc::ESRCH => Ok(None),
        _ => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Room for the strings of one entry: names, and the members of a group.
const STRINGS_BYTES: usize = 64 * 1024;
