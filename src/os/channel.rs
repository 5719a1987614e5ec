//! A pair of connected sockets that carries whole messages between two processes, each with at most
//! one descriptor (unix(7), `SOCK_SEQPACKET`).

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end of the pair.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// A message of the other end.
#[derive(Debug)]
pub struct Message {
    /// The length in bytes.
    pub len: usize,
    /// The descriptor that came with it, with `FD_CLOEXEC`.
    pub fd: Option<OwnedFd>,
}

impl Channel {
    /// A connected pair.
    ///
    /// # Errors
    /// If no descriptors are free.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    /// An end that was inherited.
    #[must_use]
    pub fn inherited(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    /// `EPIPE` if the other end is closed, `EAGAIN` if it hasn't received earlier messages.
    pub fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd]);
        if let Some(fds) = &fds {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)), "there is space for one");
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                sent => return Ok(sent.map(drop)?),
            }
        }
    }

    /// Waits for the next message; `None` if the other end is closed.
    ///
    /// # Errors
    /// `EMSGSIZE` if the message is longer than `place`.
    pub fn receive(&self, place: &mut [u8]) -> io::Result<Option<Message>> {
        self.receive_with(place, RecvFlags::empty())
    }

    /// Takes the next message if there is one.
    ///
    /// # Errors
    /// `EAGAIN` if there is none, and those of [`Channel::receive`].
    pub fn try_receive(&self, place: &mut [u8]) -> io::Result<Option<Message>> {
        self.receive_with(place, RecvFlags::DONTWAIT)
    }

    fn receive_with(&self, place: &mut [u8], flags: RecvFlags) -> io::Result<Option<Message>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(place)], &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                received => break received?,
            }
        };
        let of_message = |message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        };
        let fd = ancillary.drain().find_map(of_message);
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        // `send` is never called with an empty message, so 0 bytes are the end (recvmsg(2)).
        Ok((received.bytes > 0).then_some(Message { len: received.bytes, fd }))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn messages_keep_their_bounds_and_their_descriptors() {
        let (ours, theirs) = Channel::pair().unwrap();
        let mut place = [0; 16];
        assert_eq!(theirs.try_receive(&mut place).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let (mut reader, mut writer) = io::pipe().unwrap();
        ours.send(b"one", None).unwrap();
        ours.send(b"two!", Some(writer.as_fd())).unwrap();
        let one = theirs.receive(&mut place).unwrap().unwrap();
        assert_eq!((one.len, one.fd.is_some(), &place[..3]), (3, false, &b"one"[..]));
        let two = theirs.try_receive(&mut place).unwrap().unwrap();
        assert_eq!((two.len, &place[..4]), (4, &b"two!"[..]));
        writer.write_all(b"x").unwrap();
        drop((writer, two.fd.expect("it came with a descriptor")));
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 1);
        drop(ours);
        assert!(theirs.receive(&mut place).unwrap().is_none(), "the other end is closed");
        assert_eq!(theirs.send(b"x", None).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_message_longer_than_its_place_is_an_error() {
        let (ours, theirs) = Channel::pair().unwrap();
        ours.send(&[1; 20], None).unwrap();
        let error = theirs.receive(&mut [0; 16]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }
}
