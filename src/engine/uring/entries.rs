//! Submission queue entries of operations: names of slots, spans and listeners become descriptors
//! and addresses.

use super::buffers::GROUP;
use super::files::{Files, LISTENER_CLOSED};
use super::ring::Uring;
use crate::bytes::{Payload, SpanList, Spans};
use crate::engine::kernel::dial::Dial;
use crate::engine::{Errno, Kind, Op, Slot, Token};
use crate::error::errno_of;
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, Fixed};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

/// Builds an entry for the file of a slot, which is a direct descriptor or an ordinary one.
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

/// Builds an entry that sends the pieces of a vector.
macro_rules! gather {
    ($self:ident, $slot:expr, $vector:ident, $flags:expr) => {
        if $self.features.send_vector {
            let (pieces, count) = $vector.pieces();
            on_slot!($self, $slot, |file| {
                let send = opcode::Send::new(file, pieces, count).ioprio(SEND_VECTOR);
                send.flags($flags).build()
            })
        } else {
            let (message, flags) = ($vector.message(), $flags.cast_unsigned());
            on_slot!($self, $slot, |file| opcode::SendMsg::new(file, message).flags(flags).build())
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

    /// Whether an operation posts a completion only if it is short or fails.
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
                let dial = self.dial.as_ref().expect("`open` has created a socket from it");
                if dial.is_unix() {
                    // `open` has connected it.
                    return opcode::Nop::new().build();
                }
                let (address, len) = dial.target_pointer();
                on_slot!(self, slot, |file| opcode::Connect::new(file, address, len).build())
            }
            Op::Recv { slot } => on_slot!(self, slot, |file| {
                opcode::Recv::new(file, std::ptr::null_mut(), 0).buf_group(GROUP).build()
            })
            .flags(Flags::BUFFER_SELECT),
            Op::RecvMany { slot } => {
                on_slot!(self, slot, |file| opcode::RecvMulti::new(file, GROUP).build())
            }
            Op::Discard { slot, len } => self.discard(slot, len),
            Op::Send { slot, payload, more, lazy: _ } => {
                let flags = if more { SEND_FLAGS | libc::MSG_MORE } else { SEND_FLAGS };
                match payload {
                    Payload::Spans(spans) => self.send(slot, spans, flags),
                    Payload::List(list) => self.send_list(slot, list, flags),
                }
            }
            Op::SendClose { slot, spans } => {
                // The last segment of the bytes carries the end of the stream, and waits for the
                // close. Nothing waits without one: before a send falls short, the kernel transmits
                // what it has taken (`wait_for_space` in `tcp_sendmsg_locked`).
                let flags = SEND_FLAGS | libc::MSG_MORE;
                self.send(slot, spans, flags).flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
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
                // The ring only polls: permission to READ would apply to all descriptors.
                opcode::PollAdd::new(Fd(self.signals_fd().unwrap_or(-1)), POLL_IN).build()
            }
        }
    }

    fn discard(&mut self, slot: Slot, len: u32) -> Entry {
        if self.dial.as_ref().is_some_and(Dial::is_unix) {
            // A Unix socket copies the bytes, whatever the flags (unix(7)).
            let place =
                self.discarded.get_or_insert_with(|| vec![0; DISCARDED_AT_ONCE as usize].into());
            let (place, len) = (place.as_mut_ptr(), len.min(DISCARDED_AT_ONCE));
            return on_slot!(self, slot, |file| opcode::Recv::new(file, place, len).build());
        }
        on_slot!(self, slot, |file| {
            // With MSG_TRUNC TCP discards the bytes instead of copying them to the null pointer
            // (tcp(7)).
            opcode::Recv::new(file, std::ptr::null_mut(), len).flags(DISCARD_FLAGS).build()
        })
    }

    /// A plain send if one of the spans is empty, otherwise one that gathers both.
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
        vector.set([first, then].into_iter());
        gather!(self, slot, vector, flags)
    }

    /// A send that gathers all spans of a list.
    fn send_list(&mut self, slot: Slot, list: SpanList, flags: i32) -> Entry {
        let vector = self.lists.take(self.pushed);
        vector.set(list.spans(&self.fixed).map(|span| &self.fixed[span.range()]));
        gather!(self, slot, vector, flags)
    }

    fn accept(&self, listener: u32, slot: Slot) -> Entry {
        let nowhere = (std::ptr::null_mut(), std::ptr::null_mut());
        let (address, len) = self.peers.as_ref().map_or(nowhere, |peers| peers.pointers(slot));
        let accept = opcode::Accept::new(self.listener(listener), address, len);
        match self.files {
            Files::Direct => {
                let place = DestinationSlot::try_from_slot_target(slot.0);
                accept.file_index(Some(place.expect("slots are far below u32::MAX"))).build()
            }
            Files::Ordinary(_) => accept.flags(libc::SOCK_CLOEXEC).build(),
        }
    }

    /// Creates the socket of a slot, for an entry to connect it. A Unix socket is connected here:
    /// an entry would wait for a full backlog, in a thread of its own.
    pub(super) fn open(&mut self, slot: Slot, source: u32) -> Result<(), Errno> {
        let dial = self.dial.as_ref().ok_or(Errno(libc::EDESTADDRREQ))?;
        let errno = |error: &std::io::Error| Errno(errno_of(error));
        let fd = dial.socket(source).map_err(|error| errno(&error))?;
        let connected = if dial.is_unix() { dial.connect_at_once(&fd) } else { Ok(()) };
        match &mut self.files {
            Files::Direct => {
                let update = self.ring.submitter().register_files_update(slot.0, &[fd.as_raw_fd()]);
                update.map_err(|error| errno(&error))?;
            }
            Files::Ordinary(table) => table[slot.0 as usize] = fd.into_raw_fd(),
        }
        connected.map_err(|error| errno(&error))
    }

    fn close(&self, slot: Slot) -> Entry {
        on_slot!(self, slot, |file| opcode::Close::new(file).build())
    }

    fn listener(&self, listener: u32) -> Fd {
        Fd(self.listeners[listener as usize].socket().as_raw_fd())
    }

    /// Closes a listening socket. The ring may close connections anyway, while close(2) would be
    /// one more system call for the filter to permit.
    pub(super) fn close_listener(socket: OwnedFd) -> Entry {
        opcode::Close::new(Fd(socket.into_raw_fd())).build().user_data(LISTENER_CLOSED)
    }
}

/// A send completes at once, never waits and never raises SIGPIPE. With `MSG_WAITALL` a short send
/// counts as a failure, so that it breaks a link and posts a completion even when silent.
const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
/// Received bytes are discarded. Not with `MSG_WAITALL`: discarded bytes don't reduce the number
/// that the kernel waits for (seen on Linux 6.18), so it would discard more than `len`.
const DISCARD_FLAGS: i32 = libc::MSG_TRUNC;
/// The most bytes of a Unix socket that are discarded at once: a copy of them stays in the cache.
const DISCARDED_AT_ONCE: u32 = 64 << 10;
/// `IORING_SEND_VECTORIZED` of `linux/io_uring.h`: the address is that of an array of iovecs.
const SEND_VECTOR: u16 = 1 << 5;
const POLL_IN: u32 = libc::POLLIN as u32;
const POLL_OUT: u32 = libc::POLLOUT as u32;
