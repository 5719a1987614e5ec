//! Memory for the address of a peer, which accept4(2) and the accept of a ring fill.

use super::socket::OwnedSocket;
use crate::os::call::checked;
use crate::peer_address::PeerAddress;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// A place for an address and its length, as the kernel fills it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerPlace {
    /// A `struct sockaddr`. Those of IPv6 are the longest that count: the kernel cuts the name of a
    /// Unix socket (accept(2)).
    address: [u8; ADDRESS_BYTES],
    /// The room, and after an accept the length of the address, which may be more.
    len: libc::socklen_t,
}

impl PeerPlace {
    /// A place without an address.
    pub(crate) const EMPTY: Self =
        Self { address: [0; ADDRESS_BYTES], len: ADDRESS_BYTES as libc::socklen_t };

    /// The addresses of the address and of its length, for a system call.
    pub(crate) fn pointers(place: *mut Self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        let len = place.cast::<u8>().wrapping_add(std::mem::offset_of!(Self, len));
        #[allow(clippy::cast_ptr_alignment, reason = "a field is aligned if its structure is")]
        (place.cast(), len.cast())
    }

    /// The address, by its family alone: each has a fixed length but that of Unix sockets, of which
    /// no name is taken, and an accept that failed leaves the family of an empty place.
    pub(crate) fn decode(&self) -> PeerAddress {
        let [a, b, port @ ..] = self.address;
        let port = u16::from_be_bytes([port[0], port[1]]);
        match libc::c_int::from(libc::sa_family_t::from_ne_bytes([a, b])) {
            libc::AF_INET => PeerAddress::ip(Ipv4Addr::from(self.part(IPV4_AT)).into(), port),
            libc::AF_INET6 => PeerAddress::ip(Ipv6Addr::from(self.part(IPV6_AT)).into(), port),
            libc::AF_UNIX => PeerAddress::Unix,
            _ => PeerAddress::Unknown,
        }
    }

    fn part<const LEN: usize>(&self, at: usize) -> [u8; LEN] {
        *self.address[at..].first_chunk().expect("an address ends within the place")
    }
}

/// Accepts a connection by accept4(2) with the flags `SOCK_CLOEXEC` and `SOCK_NONBLOCK`, and the
/// address of its peer. A filter can compare the address of the place, if that doesn't move.
///
/// # Errors
/// Those of accept4(2).
pub(crate) fn accept_with_peer(
    listener: &impl AsFd,
    place: &mut PeerPlace,
) -> io::Result<(OwnedSocket, PeerAddress)> {
    *place = PeerPlace::EMPTY;
    let (address, len) = PeerPlace::pointers(place);
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the pointers are to fields of `place`, which is borrowed mutably for the call; `len`
    // is the room of the first.
    let accepted = checked(unsafe { libc::accept4(listener, address, len, flags) })?;
    // SAFETY: accept4(2) has returned a new descriptor, which nothing else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(accepted) };
    Ok((OwnedSocket::new(socket), place.decode()))
}

/// `sizeof(struct sockaddr_in6)` (ipv6(7)).
const ADDRESS_BYTES: usize = 28;
/// The place of the IP address in `struct sockaddr_in` (ip(7)).
const IPV4_AT: usize = 4;
/// The place of the IP address in `struct sockaddr_in6`.
const IPV6_AT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(address: &[&[u8]]) -> PeerAddress {
        let mut place = PeerPlace::EMPTY;
        let bytes = address.concat();
        place.address[..bytes.len()].copy_from_slice(&bytes);
        place.decode()
    }

    fn family(number: libc::c_int) -> [u8; 2] {
        libc::sa_family_t::try_from(number).expect("families are small").to_ne_bytes()
    }

    #[test]
    fn addresses_are_decoded_by_their_family() {
        let v4 = decoded(&[&family(libc::AF_INET), &[0x1f, 0x90], &[192, 0, 2, 1]]);
        assert_eq!(v4, PeerAddress::ip([192, 0, 2, 1].into(), 8080));
        let ip = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        let flow = [1, 2, 3, 4];
        let v6 = decoded(&[&family(libc::AF_INET6), &[0, 80], &flow, &ip]);
        assert_eq!(v6, PeerAddress::ip(ip.into(), 80));
        assert_eq!(decoded(&[&family(libc::AF_UNIX)]), PeerAddress::Unix);
        assert_eq!(decoded(&[]), PeerAddress::Unknown);
        assert_eq!(decoded(&[&family(libc::AF_NETLINK)]), PeerAddress::Unknown);
    }
}
