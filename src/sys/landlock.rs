//! Landlock: this process denies itself what of files, the network and other processes the kernel
//! can deny.

use super::failure::Failure;
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetError,
    RulesetStatus, Scope,
};

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
        Failure::new("denying itself files and connections by Landlock", why, "--no-lockdown")
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
        (LandlockStatus::NotImplemented, _) => missing("this kernel was built without Landlock"),
        (LandlockStatus::NotEnabled, _) => {
            missing("Landlock is not among the security modules that were chosen at boot (lsm=)")
        }
        (_, RulesetStatus::NotEnforced) => missing("the kernel did not enforce it"),
        (LandlockStatus::Available { effective_abi, kernel_abi: _ }, _) => {
            Ok(Denied::By { abi: effective_abi as u32 })
        }
    }
}

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
