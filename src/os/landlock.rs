//! Landlock: this process denies itself files, the network and signals to other processes, as far
//! as the kernel's version of Landlock can.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

pub use landlock::RulesetError as LandlockError;

/// A file, or a folder and everything beneath it, in which some accesses stay permitted.
#[derive(Clone, Copy, Debug)]
pub struct Hierarchy<'a> {
    /// The file or folder, which may be open without permission to read it (`O_PATH`, open(2)).
    pub fd: BorrowedFd<'a>,
    /// The accesses.
    pub access: FileAccess,
}

/// Accesses to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// Reading and executing files, and listing folders.
    ReadAndExecute,
    /// Reading files and listing folders.
    Read,
    /// Reading one file, which is no folder.
    ReadFile,
    /// Listing folders.
    List,
    /// Removing files.
    Remove,
    /// Reading and writing one file, which is no folder.
    ReadAndWriteFile,
    /// Writing to files, and making them.
    WriteAndMake,
}

impl FileAccess {
    fn to_flags(self) -> BitFlags<AccessFs> {
        match self {
            Self::ReadAndExecute => AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute,
            Self::Read => AccessFs::ReadFile | AccessFs::ReadDir,
            Self::ReadFile => AccessFs::ReadFile.into(),
            Self::List => AccessFs::ReadDir.into(),
            Self::Remove => AccessFs::RemoveFile.into(),
            Self::ReadAndWriteFile => AccessFs::ReadFile | AccessFs::WriteFile,
            Self::WriteAndMake => AccessFs::WriteFile | AccessFs::MakeReg,
        }
    }
}

/// Opens a file or folder for [`Hierarchy`]; links are followed.
///
/// # Errors
/// If there is none, or the way to it is barred.
pub fn open_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// The outcome of [`deny_all_but`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Everything is denied that this version of the interface can deny, with the exceptions.
    By {
        /// The version of the ABI.
        abi: u32,
    },
    /// Nothing is denied, for this reason.
    Nothing(String),
}

impl Denied {
    /// The denied accesses, in words.
    #[must_use]
    pub fn list(&self) -> Vec<&'static str> {
        match *self {
            Self::Nothing(_) => Vec::new(),
            Self::By { abi } => {
                let known = ACCESSES.iter().filter(|&&(since, _)| since <= abi);
                known.map(|&(_, accesses)| accesses).collect()
            }
        }
    }
}

/// Denies everything but the accesses to these hierarchies. Open descriptors stay usable, and so
/// are files that no path leads to: memory files (`memfd_create(2)`), pipes and sockets.
///
/// What an earlier call denied stays denied: an access must be permitted by each. Landlock
/// restricts the calling thread and the threads that it starts (landlock(7)), so the caller ensures
/// that there is no other. Without privileges the kernel requires `no_new_privs`, which this sets.
///
/// # Errors
/// If the kernel supports Landlock but refuses the ruleset.
pub fn deny_all_but(exceptions: &[Hierarchy<'_>]) -> Result<Denied, RulesetError> {
    // The crate leaves out the accesses that the kernel doesn't know.
    let newest = ABI::V10;
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(newest)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(newest)))
        .and_then(Ruleset::create)?;
    for Hierarchy { fd, access } in exceptions {
        ruleset = ruleset.add_rule(PathBeneath::new(*fd, access.to_flags()))?;
    }
    let status = ruleset.restrict_self()?;
    let missing = |why: &str| Ok(Denied::Nothing(why.to_owned()));
    match (status.landlock, status.ruleset) {
        // The crate reports any refusal of the system call as this.
        (LandlockStatus::NotImplemented, _) => missing(&version().err().unwrap_or_default()),
        (LandlockStatus::NotEnabled, _) => missing(NOT_CHOSEN),
        (_, RulesetStatus::NotEnforced) => missing("the kernel did not enforce it"),
        (LandlockStatus::Available { effective_abi, kernel_abi: _ }, _) => {
            Ok(Denied::By { abi: effective_abi as u32 })
        }
    }
}

/// The version of the kernel's Landlock ABI. The query restricts nothing.
///
/// # Errors
/// The reason why there is none.
pub fn version() -> Result<u32, String> {
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel requires a null pointer and a size of 0, creates nothing
    // and returns a number (landlock_create_ruleset(2)).
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, CREATE_RULESET_VERSION)
    };
    if let Ok(version @ 1..) = u32::try_from(answer) {
        return Ok(version);
    }
    let error = io::Error::last_os_error();
    Err(match error.raw_os_error() {
        Some(libc::ENOSYS) => NOT_BUILT.to_owned(),
        Some(libc::EOPNOTSUPP) => NOT_CHOSEN.to_owned(),
        _ => format!("the kernel refuses Landlock: {error}"),
    })
}

const NOT_BUILT: &str = "this kernel was built without Landlock";
const NOT_CHOSEN: &str = "Landlock is not among the security modules enabled at boot (lsm=)";
/// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
const CREATE_RULESET_VERSION: u32 = 1;

/// The accesses that can be denied, and the first version that can (landlock(7)).
const ACCESSES: [(u32, &str); 7] = [
    (1, "opening, executing, making, renaming and removing files and folders"),
    (3, "truncating files"),
    (4, "binding and connecting TCP sockets"),
    (5, "controlling devices"),
    (6, "signals to and abstract Unix sockets of processes outside the sandbox"),
    (9, "connecting to Unix sockets by path"),
    (10, "binding and connecting UDP sockets"),
];
