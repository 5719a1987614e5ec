//! Restrictions of a ring, registered before it accepts entries. They are derived from the entries
//! of all operations, so they can't differ from those in use.

use super::probe::{REGISTER, operation_name};
use super::ring::Uring;
use crate::engine::kernel::{EngineError, Permission, Remedy, Restriction};
use crate::engine::{Kind, Op, Token};
use crate::error::errno_of;
use io_uring::opcode;
use io_uring::register::Restriction as Rule;
use io_uring::squeue::Entry;
use io_uring::types::Fd;
use std::collections::BTreeMap;

/// The entries that a restricted ring may accept.
struct PermittedEntries {
    /// The kernel's operations by number, each with its purposes.
    operations: BTreeMap<u8, Vec<&'static str>>,
    /// The flags that an entry may have (`IOSQE_*`).
    flags: u8,
}

impl PermittedEntries {
    /// The report of these operations and flags, by the kernel's names.
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
    /// Restricts the ring, which was created disabled, and enables it.
    ///
    /// The only registration that stays permitted is the one that enables a ring, which fails with
    /// `EBADFD` on an enabled one. With none in the list, newer kernels would permit all of them.
    pub(super) fn restrict(&mut self) -> Result<(), EngineError> {
        let permitted = self.permitted_entries();
        let operations = permitted.operations.keys().map(|&code| Rule::sqe_op(code));
        let others = [Rule::sqe_flags_allowed(permitted.flags), Rule::register_op(ENABLE_RINGS)];
        let mut rules: Vec<Rule> = operations.chain(others).collect();
        self.restriction = match self.ring.submitter().register_restrictions(&mut rules) {
            Ok(()) => permitted.in_force(),
            Err(error) => Restriction::Refused(format!("{error} (errno {})", errno_of(&error))),
        };
        let enabled = self.ring.submitter().register_enable_rings();
        enabled.map_err(|error| {
            EngineError::new("enabling the io_uring", error, Remedy::Unknown).of_call(REGISTER)
        })
    }

    /// The entries of all operations that this ring can perform.
    fn permitted_entries(&mut self) -> PermittedEntries {
        let mut permitted = PermittedEntries { operations: BTreeMap::new(), flags: 0 };
        for op in Op::one_of_each() {
            if !self.can_perform(op) {
                continue;
            }
            let (first, then) = self.entries(Token::new(Kind::Signal, 0, 0), op);
            permitted.add(&first, op.purpose());
            if let Some(then) = then {
                permitted.add(&then, op.purpose());
            }
        }
        if !self.listeners.is_empty() {
            let purpose = "close a listening socket when the drain begins";
            permitted.add(&opcode::Close::new(Fd(-1)).build(), purpose);
        }
        permitted
    }

    /// Whether the ring has the parts that an operation needs. A ring that dials is a client's.
    fn can_perform(&self, op: Op) -> bool {
        match op {
            Op::Connect { .. } | Op::Discard { .. } => self.dial.is_some(),
            Op::Accept { .. } | Op::Watch { .. } => !self.listeners.is_empty(),
            Op::Signal => self.signals.is_some(),
            Op::RecvMany { .. } => self.features.recv_many,
            Op::SendClose { .. } => self.features.send_close,
            // `Recv` in any case: clients under backpressure are received from once at a time.
            Op::Recv { .. }
            | Op::Send { .. }
            | Op::Writable { .. }
            | Op::Shutdown { .. }
            | Op::Cancel { .. }
            | Op::Close { .. } => true,
        }
    }
}

impl PermittedEntries {
    fn add(&mut self, entry: &Entry, purpose: &'static str) {
        // SAFETY: an `Entry` is a `struct io_uring_sqe` (`repr(C)`) of 64 bytes, which io-uring
        // initialises to zero; the size is asserted below. The bytes are copied.
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

/// `IOSQE_*` of `linux/io_uring.h`, each with its purpose.
const FLAGS: [(u8, &str, &str); 8] = [
    (1 << 0, "FIXED_FILE", "connections are direct descriptors, in the ring's own table"),
    (1 << 1, "IO_DRAIN", ""),
    (1 << 2, "IO_LINK", "the close after a last response is linked to its send"),
    (1 << 3, "IO_HARDLINK", ""),
    (1 << 4, "ASYNC", ""),
    (1 << 5, "BUFFER_SELECT", "receives select one of the ring's buffers"),
    (1 << 6, "CQE_SKIP_SUCCESS", "a send that succeeds needs no completion"),
    (1 << 7, "RESERVED", ""),
];
