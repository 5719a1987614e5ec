//! What a ring may do, told to the kernel before it may do anything: the list is made from the
//! entries of all operations, so it can't differ from what is used.

use super::Uring;
use crate::engine::kernel::{Permission, Restriction};
use crate::engine::uring::probe::operation_name;
use crate::engine::{Kind, Op, Token};
use crate::error::{Failure, errno_of};
use io_uring::opcode;
use io_uring::register::Restriction as Rule;
use io_uring::squeue::Entry;
use io_uring::types::Fd;
use std::collections::BTreeMap;

/// What a restricted ring may do.
struct Allowed {
    /// The kernel's operations by number, and why each is needed.
    operations: BTreeMap<u8, Vec<&'static str>>,
    /// The flags that an entry may have (`IOSQE_*`).
    flags: u8,
}

impl Allowed {
    /// These operations and flags by the kernel's names.
    fn in_force(&self) -> Restriction {
        let names: Vec<_> = self.operations.keys().map(|&code| operation_name(code)).collect();
        let operations = self.operations.iter().map(|(&code, purposes)| Permission {
            name: operation_name(code).to_owned(),
            purpose: purposes.join("; "),
        });
        let flags = FLAGS.iter().filter(|(bit, ..)| self.flags & bit != 0);
        let flags = flags.map(|&(_, name, purpose)| Permission {
            name: format!("flag {name}"),
            purpose: purpose.to_owned(),
        });
        Restriction::InForce {
            summary: format!("only {}; no registration", names.join(", ")),
            permissions: operations.chain(flags).collect(),
        }
    }
}

impl Uring {
    /// Restricts the ring, which was made disabled, and enables it.
    ///
    /// No registration is allowed afterwards but the one that enables a ring, which an enabled one
    /// answers with `EBADFD`: with none in the list, newer kernels would allow them all.
    pub(super) fn restrict(&mut self) -> Result<(), Failure> {
        let allowed = self.allowed();
        let operations = allowed.operations.keys().map(|&code| Rule::sqe_op(code));
        let others = [Rule::sqe_flags_allowed(allowed.flags), Rule::register_op(ENABLE_RINGS)];
        let mut rules: Vec<Rule> = operations.chain(others).collect();
        self.restriction = match self.ring.submitter().register_restrictions(&mut rules) {
            Ok(()) => allowed.in_force(),
            Err(error) => Restriction::Refused(format!("{error} (errno {})", errno_of(&error))),
        };
        let enabled = self.ring.submitter().register_enable_rings();
        enabled.map_err(|error| Failure::new("enabling the io_uring", error, ""))
    }

    /// What the operations of this ring come to.
    fn allowed(&mut self) -> Allowed {
        let mut allowed = Allowed { operations: BTreeMap::new(), flags: 0 };
        for op in Op::one_of_each() {
            if !self.can_be_asked(op) {
                continue;
            }
            let (first, then) = self.entries(Token::new(Kind::Signal, 0, 0), op);
            allowed.add(&first, op.purpose());
            if let Some(then) = then {
                allowed.add(&then, op.purpose());
            }
        }
        if !self.listeners.is_empty() {
            let purpose = "close a listening socket when the drain begins";
            allowed.add(&opcode::Close::new(Fd(-1)).build(), purpose);
        }
        allowed
    }

    /// Whether the ring has what an operation is about. A ring that dials is a client's.
    fn can_be_asked(&self, op: Op) -> bool {
        match op {
            Op::Connect { .. } | Op::Discard { .. } => self.dial.is_some(),
            Op::Accept { .. } | Op::Watch { .. } => !self.listeners.is_empty(),
            Op::Signal => self.signals.is_some(),
            Op::RecvMany { .. } => self.features.recv_many,
            Op::SendClose { .. } => self.features.send_close,
            // Who sends more than is kept is received from once at a time.
            Op::Recv { .. }
            | Op::Send { .. }
            | Op::Writable { .. }
            | Op::Shutdown { .. }
            | Op::Cancel { .. }
            | Op::Close { .. } => true,
        }
    }
}

impl Allowed {
    fn add(&mut self, entry: &Entry, purpose: &'static str) {
        // SAFETY: an entry is a `struct io_uring_sqe` and nothing else (`repr(C)`), of 64
        // initialised bytes; they are copied.
        let bytes = unsafe { std::ptr::from_ref(entry).cast::<[u8; 64]>().read() };
        const { assert!(size_of::<Entry>() == 64) };
        // `opcode` and `flags` come first (`linux/io_uring.h`).
        let [code, flags, ..] = bytes;
        self.flags |= flags;
        let purposes = self.operations.entry(code).or_default();
        if !purposes.contains(&purpose) {
            purposes.push(purpose);
        }
    }
}

/// `IORING_REGISTER_ENABLE_RINGS` of `linux/io_uring.h`.
const ENABLE_RINGS: u8 = 12;

/// `IOSQE_*` of `linux/io_uring.h`, and what each is for.
const FLAGS: [(u8, &str, &str); 8] = [
    (1 << 0, "FIXED_FILE", "connections live in the ring's own table"),
    (1 << 1, "IO_DRAIN", ""),
    (1 << 2, "IO_LINK", "the close behind a last response is linked to it"),
    (1 << 3, "IO_HARDLINK", ""),
    (1 << 4, "ASYNC", ""),
    (1 << 5, "BUFFER_SELECT", "receives take one of the ring's buffers"),
    (1 << 6, "CQE_SKIP_SUCCESS", "a send that took everything needn't be told of"),
    (1 << 7, "RESERVED", ""),
];
