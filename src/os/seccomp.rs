//! A filter of system calls: what is not on a list ends the process.

use crate::error::Failure;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;

/// A system call that is allowed.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// Its name.
    pub name: &'static str,
    /// What its arguments have to be; without a condition, anything.
    pub only: Vec<Condition>,
    /// Why it is needed.
    pub why: &'static str,
}

/// What an argument has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0.
    pub argument: u8,
    /// Only these bits of it matter.
    pub mask: u64,
    /// What they have to be.
    pub value: u64,
    /// In words.
    pub words: &'static str,
}

/// Installs the filter: from now on, any other call kills the process at once (`SIGSYS`).
///
/// It is about this thread and those it starts (seccomp(2)): there must be no other.
///
/// # Errors
/// The reason why there is no filter, if the machine can't have one; a [`Failure`], if the list
/// makes no program, or the kernel has filters and yet refuses.
pub fn install(calls: &[Call]) -> Result<Result<(), String>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(
            "limiting itself to a few system calls (seccomp)",
            why,
            "--no-lockdown serves without",
        )
    };
    let arch = match available() {
        Ok(arch) => arch,
        Err(why) => return Ok(Err(why)),
    };
    let program = compile(calls, arch).map_err(|why| failed(&why))?;
    seccompiler::apply_filter(&program).map_err(|why| failed(&why))?;
    Ok(Ok(()))
}

/// Whether the kernel can kill a process for a call (Linux 4.14), and the machine is known.
///
/// # Errors
/// Why it can't.
pub fn check() -> Result<(), String> {
    available().map(drop)
}

fn available() -> Result<TargetArch, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| format!("no filter is known for {}", std::env::consts::ARCH))?;
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    let operation = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: seccomp reads one number, and is given one (seccomp(2)).
    let asked = unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, &raw const action) };
    match asked {
        0 => Ok(arch),
        _ => Err(format!("this kernel has no filters: {}", io::Error::last_os_error())),
    }
}

fn compile(calls: &[Call], arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls {
        let of_call = rules.entry(call.number).or_default();
        if !call.only.is_empty() {
            let conditions = call.only.iter().map(Condition::compile).collect::<Result<_, _>>()?;
            of_call.push(SeccompRule::new(conditions)?);
        }
    }
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}

impl Condition {
    /// An argument that the kernel takes as an int is this number.
    #[must_use]
    pub fn equals(argument: u8, value: u64, words: &'static str) -> Self {
        Self { argument, mask: INT, value, words }
    }

    /// An argument that the kernel takes as an int has no bit set but some of these.
    #[must_use]
    pub fn no_bits_but(argument: u8, bits: u32, words: &'static str) -> Self {
        Self { argument, mask: INT & !u64::from(bits), value: 0, words }
    }

    fn compile(&self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let compare = SeccompCmpOp::MaskedEq(self.mask);
        SeccompCondition::new(self.argument, SeccompCmpArgLen::Qword, compare, self.value)
    }
}

/// The bits of an argument that the kernel takes as an int: it ignores the upper half.
const INT: u64 = 0xffff_ffff;
