//! From operations to submission queue entries: names of slots, spans and listeners become
//! descriptors and addresses.

use super::{Files, Uring};
use crate::bytes::Spans;
use crate::engine::uring::buffers::GROUP;
use crate::engine::{Errno, Kind, Op, Slot, Token};
use crate::error::errno_of;
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, Fixed};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

/// Builds an entry on the file of a slot, be it a direct descriptor or an ordinary one.
macro_rules! on_slot {
    ($self:ident, $slot:expr, |$file:ident| $entry:expr) => {
        match &$self.files {
            Files::Direct => {
                let $file = Fixed($slot.0);
                $entry
            }
            Files::Ordinary(table) => {
                let $file = Fd(table[$slot.0 as usize]);
                $entry
            }
        }
    };
}

impl Uring {
    /// The entry for an operation, and for [`Op::SendClose`] the one that is linked to it.
    pub(super) fn entries(&mut self, token: Token, op: Op) -> (Entry, Option<Entry>) {
        let first = self.entry(op).user_data(token.bits());
        let then = match op {
            Op::SendClose { slot, .. } => {
                Some(self.close(slot).user_data(token.with_kind(Kind::Close).bits()))
            }
            _ if self.is_silent(op) => return (first.flags(Flags::SKIP_SUCCESS), None),
            _ => None,
        };
        (first, then)
    }

    /// Whether an operation posts a completion only if it falls short.
    pub(super) fn is_silent(&self, op: Op) -> bool {
        matches!(op, Op::Send { lazy: true, .. }) && self.features.silent_send
    }

    fn entry(&mut self, op: Op) -> Entry {
        match op {
            Op::Accept { listener, slot } => self.accept(listener, slot),
            Op::Watch { listener } => {
                opcode::PollAdd::new(self.listener(listener), POLL_IN).build()
            }
            Op::Connect { slot, source: _ } => {
                let dial = self.dial.as_ref().expect("`open` has made a socket with it");
                let (address, len) = dial.target();
                on_slot!(self, slot, |file| opcode::Connect::new(file, address, len).build())
            }
            Op::Recv { slot } => on_slot!(self, slot, |file| {
                opcode::Recv::new(file, std::ptr::null_mut(), 0).buf_group(GROUP).build()
            })
            .flags(Flags::BUFFER_SELECT),
            Op::RecvMany { slot } => {
                on_slot!(self, slot, |file| opcode::RecvMulti::new(file, GROUP).build())
            }
            Op::Discard { slot, len } => on_slot!(self, slot, |file| {
                // TCP drops what it would copy, so nothing is written to the null (tcp(7)).
                opcode::Recv::new(file, std::ptr::null_mut(), len).flags(DISCARD_FLAGS).build()
            }),
            Op::Send { slot, spans, more, lazy: _ } => {
                let flags = if more { SEND_FLAGS | libc::MSG_MORE } else { SEND_FLAGS };
                self.send(slot, spans, flags)
            }
            Op::SendClose { slot, spans } => {
                self.send(slot, spans, SEND_FLAGS).flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
            }
            Op::Writable { slot } => {
                on_slot!(self, slot, |file| opcode::PollAdd::new(file, POLL_OUT).build())
            }
            Op::Shutdown { slot } => {
                on_slot!(self, slot, |file| opcode::Shutdown::new(file, libc::SHUT_WR).build())
            }
            Op::Cancel { target } => opcode::AsyncCancel::new(target.bits()).build(),
            Op::Close { slot } => self.close(slot),
            Op::Signal => {
                // Not read by the ring: who may read one descriptor may read them all.
                opcode::PollAdd::new(Fd(self.signals_fd().unwrap_or(-1)), POLL_IN).build()
            }
        }
    }

    /// A plain send where one span says it all; else one that gathers two.
    fn send(&mut self, slot: Slot, spans: Spans, flags: i32) -> Entry {
        let (first, then) = (&self.fixed[spans.first.range()], &self.fixed[spans.then.range()]);
        let one = match (first.len(), then.len()) {
            (_, 0) => Some(first),
            (0, _) => Some(then),
            _ => None,
        };
        if let Some(bytes) = one {
            let len = u32::try_from(bytes.len()).expect("a send has less than 4 GiB");
            return on_slot!(self, slot, |file| {
                opcode::Send::new(file, bytes.as_ptr(), len).flags(flags).build()
            });
        }
        let vector = self.vectors.at(self.pushed);
        vector.set([first, then]);
        if self.features.send_vector {
            let (pieces, count) = vector.pieces();
            return on_slot!(self, slot, |file| {
                opcode::Send::new(file, pieces, count).ioprio(SEND_VECTOR).flags(flags).build()
            });
        }
        let message = vector.message();
        on_slot!(self, slot, |file| {
            opcode::SendMsg::new(file, message).flags(flags.cast_unsigned()).build()
        })
    }

    fn accept(&self, listener: u32, slot: Slot) -> Entry {
        let null = std::ptr::null_mut();
        let accept = opcode::Accept::new(self.listener(listener), null, null.cast());
        match self.files {
            Files::Direct => {
                let place = DestinationSlot::try_from_slot_target(slot.0);
                accept.file_index(Some(place.expect("slots are far below u32::MAX"))).build()
            }
            Files::Ordinary(_) => accept.flags(libc::SOCK_CLOEXEC).build(),
        }
    }

    /// Makes the socket of a slot, for an entry to connect it.
    pub(super) fn open(&mut self, slot: Slot, source: u32) -> Result<(), Errno> {
        let dial = self.dial.as_ref().ok_or(Errno(libc::EDESTADDRREQ))?;
        let errno = |error: &std::io::Error| Errno(errno_of(error));
        let fd = dial.socket(source).map_err(|error| errno(&error))?;
        match &mut self.files {
            Files::Direct => {
                let update = self.ring.submitter().register_files_update(slot.0, &[fd.as_raw_fd()]);
                update.map_err(|error| errno(&error))?;
            }
            Files::Ordinary(table) => table[slot.0 as usize] = fd.into_raw_fd(),
        }
        Ok(())
    }

    fn close(&self, slot: Slot) -> Entry {
        on_slot!(self, slot, |file| opcode::Close::new(file).build())
    }

    fn listener(&self, listener: u32) -> Fd {
        Fd(self.listeners[listener as usize].socket().as_raw_fd())
    }

    /// Closes a listening socket. Not by close(2): the ring may close connections anyway, while a
    /// filter of system calls would have to let one more through.
    pub(super) fn close_listener(socket: OwnedFd) -> Entry {
        opcode::Close::new(Fd(socket.into_raw_fd())).build().user_data(LISTENER_CLOSED)
    }
}

/// All of it or a short count at once, never a wait, never SIGPIPE. With `MSG_WAITALL` a short
/// send counts as a failure, so that it breaks a link and posts a completion even when silent.
const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
/// Thrown away unseen. Not with `MSG_WAITALL`: what is dropped doesn't shorten what the kernel goes
/// on waiting for (seen on Linux 6.18), so it would take more than was asked.
const DISCARD_FLAGS: i32 = libc::MSG_TRUNC;
/// `IORING_SEND_VECTORIZED` of `linux/io_uring.h`: the address is that of a vector.
const SEND_VECTOR: u16 = 1 << 5;
/// The `user_data` of an entry that closes a listening socket: that of no token.
pub(super) const LISTENER_CLOSED: u64 = u64::MAX;
const POLL_IN: u32 = libc::POLLIN as u32;
const POLL_OUT: u32 = libc::POLLOUT as u32;
