//! Who this process is and what it may become: users, groups, capabilities, given up for good.

use super::call::checked;
use crate::error::Failure;
use caps::CapSet;
use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;

/// A user and a group to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

impl Account {
    /// Who a server becomes that was started as root and not told otherwise: nobody, to whom
    /// no file belongs by convention (65534 in every kernel, `overflowuid` in proc(5)).
    pub const NOBODY: Self = Self { uid: 65_534, gid: 65_534 };

    /// The effective user and group of this process.
    #[must_use]
    pub fn current() -> Self {
        let ([_, uid, _], [_, gid, _]) = ids();
        Self { uid, gid }
    }

    /// Looks up `NAME[:GROUP]`, by name or by number. Without a group it's the user's own; a
    /// number that no user has is its own group's, too.
    ///
    /// # Errors
    /// If there is no such user or group.
    pub fn look_up(text: &str) -> Result<Self, Failure> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let unknown = |kind: &str, name: &str, database: &str| {
            Failure::new(
                format!("looking up --user {text}"),
                format!("there is no {kind} {name:?}"),
                format!("`getent {database}` lists those there are; a number is taken, too"),
            )
        };
        let (uid, own_group) = user_of(user).ok_or_else(|| unknown("user", user, "passwd"))?;
        let gid = match group {
            Some(group) => group_of(group).ok_or_else(|| unknown("group", group, "group"))?,
            None => own_group,
        };
        Ok(Self { uid, gid })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, gid } = self;
        match name_of(*uid) {
            Some(name) => write!(f, "user {uid} ({name}), group {gid}"),
            None => write!(f, "user {uid}, group {gid}"),
        }
    }
}

/// Whether this process is root, or could be again.
#[must_use]
pub fn is_root() -> bool {
    let (uids, _) = ids();
    uids.contains(&0)
}

/// The user that files are made by.
pub(super) fn effective_user() -> u32 {
    let ([_, uid, _], _) = ids();
    uid
}

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Other groups, which it takes a capability to leave (`CAP_SETGID`).
    pub groups: Vec<u32>,
    /// Whether the bounding set is, which takes one, too (`CAP_SETPCAP`).
    pub bounding_set: bool,
}

/// Becomes `account`, or stays who it is if none is named, and gives up all capabilities, and every
/// way to get more: `no_new_privs` (prctl(2)). Memory is not to be dumped, nor to be read by others
/// of that user.
///
/// All of it is verified afterwards. It is about this thread alone: there must be no other.
///
/// # Errors
/// If the kernel refuses a step, or something is left afterwards that should not be.
pub fn give_up(account: Option<&Account>) -> Result<Left, Failure> {
    let failed = |what: &str, why: &dyn std::fmt::Display| {
        Failure::new(
            format!("giving up privileges: {what}"),
            why,
            "start it as root, or as the user that is to serve and without --user; where there is \
             no user but root, as in some user namespaces, --allow-root serves as that",
        )
    };
    let bounding_set = !drop_bounding_set();
    let account = account.cloned().unwrap_or_else(Account::current);
    // Another user is no longer told of its parent's end (PR_SET_PDEATHSIG(2const)), though
    // whoever started it asked for that, as a sweep does.
    let wish = signal_at_parents_end();
    become_account(&account)
        .map_err(|why| failed(&format!("to become {}:{}", account.uid, account.gid), &why))?;
    control(libc::PR_SET_PDEATHSIG, wish).map_err(|why| failed("its parent's end", &why))?;
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        // Kernels before 4.3 have no ambient set; nothing that old has a ring.
        caps::clear(None, set).map_err(|why| failed(&format!("the {set:?} capabilities"), &why))?;
    }
    control(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(|why| failed("no_new_privs", &why))?;
    control(libc::PR_SET_DUMPABLE, 0).map_err(|why| failed("not to be dumped", &why))?;
    verify(&account, bounding_set).map_err(|why| failed("something is left", &why))
}

fn become_account(account: &Account) -> io::Result<()> {
    let Account { uid, gid } = *account;
    let is_already = ids() == ([uid; 3], [gid; 3]);
    // SAFETY: setgroups reads one group, and is given one.
    match checked(unsafe { libc::setgroups(1, &raw const gid) }) {
        // Who stays who it is keeps its groups where it may not leave them.
        Err(error) if is_already && error.raw_os_error() == Some(libc::EPERM) => {}
        outcome => drop(outcome?),
    }
    // SAFETY: setresgid takes numbers only.
    checked(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: setresuid takes numbers only.
    checked(unsafe { libc::setresuid(uid, uid, uid) })?;
    Ok(())
}

/// Whether no capability is left that a program could be started with.
fn drop_bounding_set() -> bool {
    // Until the kernel knows no more of them, which may be more than we do.
    for capability in 0..64 {
        match control(libc::PR_CAPBSET_DROP, capability) {
            Ok(()) => {}
            Err(error) => return error.raw_os_error() == Some(libc::EINVAL) && capability > 0,
        }
    }
    true
}

/// What is left, if that is no more than it has to be.
fn verify(account: &Account, bounding_set: bool) -> Result<Left, String> {
    let Account { uid, gid } = *account;
    let (uids, gids) = ids();
    if (uids, gids) != ([uid; 3], [gid; 3]) {
        return Err(format!("the users are {uids:?} and the groups {gids:?}"));
    }
    let mut groups = groups().map_err(|why| format!("the groups can't be read: {why}"))?;
    groups.retain(|&group| group != gid);
    let sets = [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient];
    for set in sets.into_iter().chain((!bounding_set).then_some(CapSet::Bounding)) {
        let left = caps::read(None, set).map_err(|why| why.to_string())?;
        if !left.is_empty() {
            return Err(format!("the {set:?} set has {left:?}"));
        }
    }
    // SAFETY: setresuid takes numbers only.
    if uid != 0 && unsafe { libc::setresuid(0, 0, 0) } == 0 {
        return Err("it could become root again".to_owned());
    }
    Ok(Left { uid, gid, groups, bounding_set })
}

/// Real, effective and saved user and group.
fn ids() -> ([u32; 3], [u32; 3]) {
    let (mut uids, mut gids) = ([0; 3], [0; 3]);
    let [real, effective, saved] = &mut uids;
    // SAFETY: getresuid writes three numbers, and is given three.
    let users = unsafe { libc::getresuid(real, effective, saved) };
    let [real, effective, saved] = &mut gids;
    // SAFETY: getresgid writes three numbers, and is given three.
    let groups = unsafe { libc::getresgid(real, effective, saved) };
    assert_eq!((users, groups), (0, 0), "they fail for bad addresses only (getresuid(2))");
    (uids, gids)
}

fn groups() -> io::Result<Vec<u32>> {
    // SAFETY: with a length of 0, getgroups writes nothing.
    let count = checked(unsafe { libc::getgroups(0, std::ptr::null_mut()) })?;
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for as many groups as are asked for.
    let count = checked(unsafe { libc::getgroups(count, groups.as_mut_ptr()) })?;
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Ok(groups)
}

/// The signal that this process gets when its parent ends, 0 for none.
fn signal_at_parents_end() -> libc::c_ulong {
    let mut signal: libc::c_int = 0;
    // SAFETY: prctl writes one number, and is given one.
    let asked = unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) };
    if asked == -1 { 0 } else { signal.unsigned_abs().into() }
}

fn control(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options used here take a number, and zeros behind it (prctl(2)).
    checked(unsafe { libc::prctl(option, value, zero, zero, zero) })?;
    Ok(())
}

/// The number of a user, and of its group.
fn user_of(name: &str) -> Option<(u32, u32)> {
    let c_name = CString::new(name).ok()?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut strings = vec![0; STRINGS_BYTES];
    let mut found = std::ptr::null_mut();
    let (place, len) = (strings.as_mut_ptr(), strings.len());
    let number = name.parse::<u32>().ok().filter(|&number| number != u32::MAX);
    let asked = match number {
        // SAFETY: the entry, the strings with their length, and the pointer are ours to write.
        Some(uid) => unsafe {
            libc::getpwuid_r(uid, entry.as_mut_ptr(), place, len, &raw mut found)
        },
        // SAFETY: the name ends in a zero, and the rest is as above.
        None => unsafe {
            libc::getpwnam_r(c_name.as_ptr(), entry.as_mut_ptr(), place, len, &raw mut found)
        },
    };
    if found.is_null() {
        // A number needs no name, if it is certain that it has none.
        return number.filter(|_| asked == 0).map(|number| (number, number));
    }
    // SAFETY: a pointer that is not null says that the entry was written (getpwnam(3)).
    let entry = unsafe { entry.assume_init_ref() };
    Some((entry.pw_uid, entry.pw_gid))
}

/// The name of a user, if the user database has it.
fn name_of(uid: u32) -> Option<String> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut strings = vec![0; STRINGS_BYTES];
    let mut found = std::ptr::null_mut();
    let (place, len) = (strings.as_mut_ptr(), strings.len());
    // SAFETY: the entry, the strings with their length, and the pointer are ours to write.
    unsafe { libc::getpwuid_r(uid, entry.as_mut_ptr(), place, len, &raw mut found) };
    if found.is_null() {
        return None;
    }
    // SAFETY: a pointer that is not null says that the entry was written (getpwnam(3)).
    let entry = unsafe { entry.assume_init_ref() };
    // SAFETY: the name of an entry that was written is a string that ends in a zero, within
    // `strings`, which is still there.
    let name = unsafe { CStr::from_ptr(entry.pw_name) };
    Some(name.to_string_lossy().into_owned())
}

/// The number of a group.
pub(super) fn group_of(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse::<u32>() {
        return Some(number).filter(|&number| number != u32::MAX);
    }
    let name = CString::new(name).ok()?;
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut strings = vec![0; STRINGS_BYTES];
    let mut found = std::ptr::null_mut();
    let (place, len) = (strings.as_mut_ptr(), strings.len());
    // SAFETY: the name ends in a zero; the entry, the strings with their length, and the pointer
    // are ours to write.
    let asked =
        unsafe { libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), place, len, &raw mut found) };
    if asked != 0 || found.is_null() {
        return None;
    }
    // SAFETY: a pointer that is not null says that the entry was written (getgrnam(3)).
    let entry = unsafe { entry.assume_init_ref() };
    Some(entry.gr_gid)
}

/// Enough for the names and members of one entry.
const STRINGS_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let root = Account { uid: 0, gid: 0 };
        assert_eq!(Account::look_up("root").ok(), Some(root.clone()));
        assert_eq!(Account::look_up("0").ok(), Some(root));
        let numbers = Account { uid: 54_321, gid: 54_321 };
        assert_eq!(Account::look_up("54321").ok(), Some(numbers), "a container has no names");
        let mixed = Account { uid: 54_321, gid: 0 };
        assert_eq!(Account::look_up("54321:root").ok(), Some(mixed));
        for wrong in ["", "no such user", "root:no such group", "4294967295", "root:4294967295"] {
            assert!(Account::look_up(wrong).is_err(), "{wrong:?}");
        }
    }
}
