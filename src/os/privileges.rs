//! The identity of this process: users, groups and capabilities, and how they are given up for
//! good.

use super::process::{ThreadsError, await_single_thread};
use super::user_database::{ONLY_SOURCE, UserKey, find_group, find_user};
use caps::{CapSet, Capability, CapsHashSet};
use rustix::process::{
    DumpableBehavior, getgroups, parent_process_death_signal, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitySet, Gid, Uid, remove_capability_from_bounding_set, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

/// A user and a group that a process can become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

impl Account {
    /// The account of a server that root starts without naming a user: nobody, to whom no file
    /// belongs by convention (65534 in every kernel, `overflowuid` in proc(5)).
    pub const NOBODY: Self = Self { uid: 65_534, gid: 65_534 };

    /// The effective user and group of this process.
    #[must_use]
    pub fn current() -> Self {
        let ([_, uid, _], [_, gid, _]) = ids();
        Self { uid, gid }
    }

    /// Looks up `NAME[:GROUP]`, each by name or by number. Without a group it's the user's own; for
    /// a number that no user has it's the group of the same number.
    ///
    /// # Errors
    /// If there is no such user or group.
    pub fn look_up(text: &str) -> Result<Self, UnknownName> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let unknown = || UnknownName { database: Database::Users, name: user.to_owned() };
        let (uid, own_group) = user_of(user).ok_or_else(unknown)?;
        let gid = match group {
            Some(group) => look_up_group(group)?,
            None => own_group,
        };
        Ok(Self { uid, gid })
    }
}

impl Account {
    /// The name of the user, if the user database has one.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        match REMEMBERED.get() {
            Some((uid, name)) if *uid == self.uid => name.clone(),
            _ => name_of(self.uid),
        }
    }

    /// Remembers the user's name for this process, whose sandbox may deny the user database later.
    /// The first account is remembered.
    pub fn remember(&self, name: Option<String>) {
        let _ = REMEMBERED.set((self.uid, name));
    }
}

static REMEMBERED: OnceLock<(u32, Option<String>)> = OnceLock::new();

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, gid } = self;
        match self.name() {
            Some(name) => write!(f, "user {uid} ({name}), group {gid}"),
            None => write!(f, "user {uid}, group {gid}"),
        }
    }
}

/// The number of a group, by its name or number.
///
/// # Errors
/// If there is no such group.
pub fn look_up_group(name: &str) -> Result<u32, UnknownName> {
    let unknown = || UnknownName { database: Database::Groups, name: name.to_owned() };
    group_of(name).ok_or_else(unknown)
}

/// A name that a database of the system doesn't contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The database.
    pub database: Database,
    /// The name.
    pub name: String,
}

/// A database that getent(1) prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// `passwd`.
    Users,
    /// `group`.
    Groups,
}

impl Database {
    /// Its name for getent(1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "passwd",
            Self::Groups => "group",
        }
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.database {
            Database::Users => "user",
            Database::Groups => "group",
        };
        write!(f, "there is no {kind} {:?}", self.name)?;
        match ONLY_SOURCE {
            Some([users, groups]) => {
                let source = if self.database == Database::Users { users } else { groups };
                write!(f, " in {source}, the only source of a program without shared libraries")
            }
            None => Ok(()),
        }
    }
}

impl Error for UnknownName {}

/// Whether this process is root, or could become root again.
#[must_use]
pub fn is_root() -> bool {
    let (uids, _) = ids();
    uids.contains(&0)
}

/// The user that owns the files which this process creates.
pub(super) fn effective_user() -> u32 {
    let ([_, uid, _], _) = ids();
    uid
}

/// The remains of a process's privileges after [`give_up`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemainingPrivileges {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Supplementary groups, which only a process with `CAP_SETGID` can leave.
    pub groups: Vec<u32>,
    /// Whether the bounding set is not empty; only `CAP_SETPCAP` permits to reduce it.
    pub bounding_set: bool,
}

/// The step of [`give_up`] that failed.
#[derive(Debug)]
pub struct GiveUpError {
    /// The step: `becoming 33:33`.
    pub step: String,
    source: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for GiveUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for GiveUpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

impl From<ThreadsError> for GiveUpError {
    fn from(error: ThreadsError) -> Self {
        let step = "waiting for the other threads to end".to_owned();
        Self { step, source: error.into() }
    }
}

/// Becomes `account`, or stays the current one if `None`, and gives up all capabilities and every
/// way to gain more: `no_new_privs` (prctl(2)). The process is no longer dumpable, so that other
/// processes of the user can't read its memory.
///
/// The result is verified. Identity, capabilities and `no_new_privs` belong to a thread
/// (capabilities(7), prctl(2)), so a process with several threads is refused.
///
/// # Errors
/// If the process has another thread, the kernel refuses a step, or a privilege remains.
pub fn give_up(account: Option<&Account>) -> Result<RemainingPrivileges, GiveUpError> {
    await_single_thread()?;
    let bounding_set = !drop_bounding_set();
    let account = account.cloned().unwrap_or_else(Account::current);
    // A change of the user clears the signal at the parent's end (PR_SET_PDEATHSIG(2const)), which
    // a parent such as a sweep has asked for.
    let signal = parent_process_death_signal().ok().flatten();
    let Account { uid, gid } = account;
    step(format!("becoming {uid}:{gid}"), become_account(&account))?;
    step("keeping the signal at the parent's end", set_parent_process_death_signal(signal))?;
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        // Kernels before 4.3 have no ambient set; none of those has io_uring.
        step(format!("clearing the {set:?} capabilities"), caps::clear(None, set))?;
    }
    step("setting no_new_privs", set_no_new_privs(true))?;
    step("becoming not dumpable", set_dumpable_behavior(DumpableBehavior::NotDumpable))?;
    step("verifying the result", verify(&account, bounding_set))
}

fn step<T>(
    step: impl Into<String>,
    outcome: Result<T, impl Into<Box<dyn Error + Send + Sync>>>,
) -> Result<T, GiveUpError> {
    outcome.map_err(|source| GiveUpError { step: step.into(), source: source.into() })
}

/// The capabilities that [`keep_for_service`] leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPrivileges {
    /// The user.
    pub uid: u32,
    /// The names of the capabilities, in alphabetical order.
    pub capabilities: Vec<String>,
    /// Whether programs that it starts can have more; only `CAP_SETPCAP` permits to reduce that.
    pub bounding_set: bool,
}

/// Keeps the user, and of the capabilities (capabilities(7)) those alone by which the processes
/// that it starts become another user, and by which it signals them then; or none, if neither is
/// needed (`becomes_other`). A program that it starts gets no others. Sets `no_new_privs`, and the
/// process is no longer dumpable.
///
/// Root without capabilities may not pass through folders of others. If the program at this path,
/// which is to be started again, can't be reached otherwise, `CAP_DAC_READ_SEARCH` is kept, too.
///
/// # Errors
/// If the process has another thread, the kernel refuses a step, or a capability remains.
pub fn keep_for_service(
    becomes_other: bool,
    program: &Path,
) -> Result<KeptPrivileges, GiveUpError> {
    await_single_thread()?;
    let uid = effective_user();
    let read =
        |set: CapSet| step(format!("reading the {set:?} capabilities"), caps::read(None, set));
    let held = read(CapSet::Permitted)?;
    let both = |a: &CapsHashSet, b: &CapsHashSet| -> CapsHashSet { a & b };
    let nothing = CapsHashSet::new();
    let of_children = if becomes_other || uid == 0 { FOR_CHILDREN.into() } else { nothing.clone() };
    let bounding_set = !reduce_bounding_set(&of_children);
    // Without an identity of 0, a child has only the ambient ones.
    let ambient = both(&of_children, &read(CapSet::Ambient)?);
    let mut own = of_children.clone();
    own.extend(becomes_other.then_some(Capability::CAP_KILL));
    let mut own = both(&own, &held);
    set_capabilities(CapSet::Ambient, &ambient)?;
    set_capabilities(CapSet::Inheritable, &ambient)?;
    set_capabilities(CapSet::Effective, &own)?;
    let search = Capability::CAP_DAC_READ_SEARCH;
    if held.contains(&search) && program.metadata().is_err() {
        own.insert(search);
        set_capabilities(CapSet::Effective, &own)?;
    }
    set_capabilities(CapSet::Permitted, &own)?;
    step("setting no_new_privs", set_no_new_privs(true))?;
    step("becoming not dumpable", set_dumpable_behavior(DumpableBehavior::NotDumpable))?;
    let remaining = read(CapSet::Permitted)?;
    let is_reduced = remaining == own
        && read(CapSet::Effective)? == own
        && read(CapSet::Inheritable)? == ambient
        && (bounding_set || read(CapSet::Bounding)?.is_subset(&of_children));
    let verified = if is_reduced { Ok(()) } else { Err(format!("it has {remaining:?}")) };
    step("verifying the result", verified)?;
    let mut capabilities: Vec<_> = own.iter().map(ToString::to_string).collect();
    capabilities.sort();
    Ok(KeptPrivileges { uid, capabilities, bounding_set })
}

/// The capabilities by which a process becomes another user and gives up the rest.
const FOR_CHILDREN: [Capability; 3] =
    [Capability::CAP_SETGID, Capability::CAP_SETPCAP, Capability::CAP_SETUID];

fn set_capabilities(set: CapSet, capabilities: &CapsHashSet) -> Result<(), GiveUpError> {
    // `caps` sets the ambient capabilities one by one, and knows those of its own time only.
    let outcome = match set {
        CapSet::Ambient if capabilities.is_empty() => caps::clear(None, set),
        _ => caps::set(None, set, capabilities),
    };
    step(format!("reducing the {set:?} capabilities"), outcome)
}

/// Changes this thread's account, which is the process's because it has one thread.
fn become_account(account: &Account) -> rustix::io::Result<()> {
    let is_already = ids() == ([account.uid; 3], [account.gid; 3]);
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    match set_thread_groups(&[gid]) {
        // A process that keeps its account also keeps groups that it may not leave.
        Err(rustix::io::Errno::PERM) if is_already => {}
        outcome => outcome?,
    }
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Empties the set of capabilities that a program could be started with; false if the process may
/// not.
fn drop_bounding_set() -> bool {
    reduce_bounding_set(&CapsHashSet::new())
}

/// Removes all capabilities but these from that set; false if the process may not.
fn reduce_bounding_set(kept: &CapsHashSet) -> bool {
    let is_kept =
        |number: u32| kept.iter().any(|capability| u32::from(capability.index()) == number);
    // The kernel ends the loop at its last capability, which may be newer than this program.
    for number in (0..u64::BITS).filter(|&number| !is_kept(number)) {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            Err(error) => return error == rustix::io::Errno::INVAL && number > 0,
        }
    }
    true
}

/// Checks that no more remains than the kernel insists on.
fn verify(account: &Account, bounding_set: bool) -> Result<RemainingPrivileges, String> {
    let Account { uid, gid } = *account;
    let (uids, gids) = ids();
    if (uids, gids) != ([uid; 3], [gid; 3]) {
        return Err(format!("the users are {uids:?} and the groups {gids:?}"));
    }
    let groups = getgroups().map_err(|error| format!("the groups can't be read: {error}"))?;
    let groups = groups.into_iter().map(Gid::as_raw).filter(|&group| group != gid).collect();
    let sets = [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient];
    for set in sets.into_iter().chain((!bounding_set).then_some(CapSet::Bounding)) {
        let capabilities = caps::read(None, set).map_err(|error| error.to_string())?;
        if !capabilities.is_empty() {
            return Err(format!("the {set:?} set has {capabilities:?}"));
        }
    }
    if uid != 0 && set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
        return Err("the process could become root again".to_owned());
    }
    Ok(RemainingPrivileges { uid, gid, groups, bounding_set })
}

/// Real, effective and saved user and group.
fn ids() -> ([u32; 3], [u32; 3]) {
    let (mut uids, mut gids) = ([0; 3], [0; 3]);
    let [real, effective, saved] = &mut uids;
    // SAFETY: getresuid writes to three numbers, which are borrowed mutably for the call.
    let users = unsafe { libc::getresuid(real, effective, saved) };
    let [real, effective, saved] = &mut gids;
    // SAFETY: getresgid writes to three numbers, which are borrowed mutably for the call.
    let groups = unsafe { libc::getresgid(real, effective, saved) };
    assert_eq!((users, groups), (0, 0), "invalid addresses are the only error (getresuid(2))");
    (uids, gids)
}

/// The number of a user, and of the user's group.
fn user_of(name: &str) -> Option<(u32, u32)> {
    let number = name.parse::<u32>().ok().filter(|&number| number != u32::MAX);
    match find_user(number.map_or(UserKey::Name(name), UserKey::Number)) {
        Ok(Some(entry)) => Some((entry.uid, entry.gid)),
        // A number needs no name, if the database answered that there is none.
        Ok(None) => number.map(|number| (number, number)),
        Err(_) => None,
    }
}

/// The name of a user, if the user database has it.
fn name_of(uid: u32) -> Option<String> {
    Some(find_user(UserKey::Number(uid)).ok()??.name)
}

/// The number of a group.
fn group_of(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse::<u32>() {
        return Some(number).filter(|&number| number != u32::MAX);
    }
    find_group(name).ok()?
}

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
