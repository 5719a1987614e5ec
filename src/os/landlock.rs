//! Landlock: this process denies itself what of files, the network and other processes the kernel
//! can deny.

use crate::error::Failure;
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetError,
    RulesetStatus, Scope,
};
use std::io;

/// What is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Everything this version of the interface can deny.
    By {
        /// The version.
        abi: u32,
    },
    /// Nothing, for this reason.
    Nothing(String),
}

impl Denied {
    /// In words.
    #[must_use]
    pub fn list(&self) -> Vec<&'static str> {
        match *self {
            Self::Nothing(_) => Vec::new(),
            Self::By { abi } => {
                let known = WHAT.iter().filter(|&&(since, _)| since <= abi);
                known.map(|&(_, what)| what).collect()
            }
        }
    }
}

/// Denies everything: no rule allows an exception. Descriptors that are open stay usable.
///
/// It is about this thread and those it starts (landlock(7)): there must be no other.
///
/// # Errors
/// If the kernel has it and yet refuses.
pub fn deny_everything() -> Result<Denied, Failure> {
    let refused = |why: RulesetError| {
        Failure::new(
            "denying itself files and connections by Landlock",
            why,
            "--no-lockdown serves without",
        )
    };
    // What a kernel doesn't know is left out.
    let newest = ABI::V10;
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(newest)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(newest)))
        .and_then(Ruleset::create)
        .map_err(refused)?;
    let status = ruleset.restrict_self().map_err(refused)?;
    let missing = |why: &str| Ok(Denied::Nothing(why.to_owned()));
    match (status.landlock, status.ruleset) {
        // The crate takes any refusal for that.
        (LandlockStatus::NotImplemented, _) => missing(&version().err().unwrap_or_default()),
        (LandlockStatus::NotEnabled, _) => missing(NOT_CHOSEN),
        (_, RulesetStatus::NotEnforced) => missing("the kernel did not enforce it"),
        (LandlockStatus::Available { effective_abi, kernel_abi: _ }, _) => {
            Ok(Denied::By { abi: effective_abi as u32 })
        }
    }
}

/// The version of the kernel's interface. Asking gives nothing up.
///
/// # Errors
/// Why there is none.
pub fn version() -> Result<u32, String> {
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel takes no attributes, makes nothing and returns a number
    // (landlock_create_ruleset(2)).
    let asked = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, CREATE_RULESET_VERSION)
    };
    if let Ok(version @ 1..) = u32::try_from(asked) {
        return Ok(version);
    }
    let error = io::Error::last_os_error();
    Err(match error.raw_os_error() {
        Some(libc::ENOSYS) => NOT_BUILT.to_owned(),
        Some(libc::EOPNOTSUPP) => NOT_CHOSEN.to_owned(),
        _ => format!("Landlock can't be had: {error}"),
    })
}

const NOT_BUILT: &str = "this kernel was built without Landlock";
const NOT_CHOSEN: &str =
    "Landlock is not among the security modules that were chosen at boot (lsm=)";
/// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
const CREATE_RULESET_VERSION: u32 = 1;

/// What can be denied, and since which version (landlock(7)).
const WHAT: [(u32, &str); 7] = [
    (1, "opening, executing, making, renaming and removing files and folders"),
    (3, "truncating files"),
    (4, "binding and connecting TCP sockets"),
    (5, "controlling devices"),
    (6, "signals to processes outside, abstract Unix sockets of theirs"),
    (9, "connecting to Unix sockets by path"),
    (10, "binding and connecting UDP sockets"),
];
