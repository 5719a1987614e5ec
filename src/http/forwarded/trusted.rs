//! A trusted proxy, or a network of them.

use crate::peer_address::PeerAddress;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A proxy that is believed, or all proxies of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// The peers of Unix sockets.
    Unix,
    /// The addresses that have the first `bits` bits of `address`.
    Network {
        /// An address without further bits, and not a mapped one.
        address: IpAddr,
        /// At most 32 or 128.
        bits: u8,
    },
}

impl TrustedProxy {
    pub(super) fn contains(self, peer: PeerAddress) -> bool {
        match (self, peer) {
            (Self::Unix, PeerAddress::Unix) => true,
            (Self::Network { address, bits }, PeerAddress::Ip { address: other, .. }) => {
                address.is_ipv4() == other.is_ipv4() && masked(other, bits) == address
            }
            (Self::Unix | Self::Network { .. }, _) => false,
        }
    }
}

/// The address without all bits but the first ones, of which there are no more than it has.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = String;

    /// # Errors
    /// A sentence about the accepted forms.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix:" {
            return Ok(Self::Unix);
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| FORMS.to_owned())?;
        if address.to_canonical() != address {
            let v4 = address.to_canonical();
            return Err(format!("an IPv4 address is written as such: {v4}"));
        }
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let is_number =
            |bits: &&str| !bits.is_empty() && bits.bytes().all(|it| it.is_ascii_digit());
        let bits = match bits {
            None => Some(bits_max),
            Some(bits) => Some(bits).filter(is_number).and_then(|bits| bits.parse().ok()),
        };
        let bits = bits
            .filter(|&bits| bits <= bits_max)
            .ok_or_else(|| format!("the length of a prefix is a number from 0 to {bits_max}"))?;
        let network = masked(address, bits);
        if network != address {
            return Err(format!(
                "{address} has bits beyond the first {bits}; the network is {network}/{bits}"
            ));
        }
        Ok(Self::Network { address, bits })
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => f.write_str("unix:"),
            Self::Network { address, bits } => write!(f, "{address}/{bits}"),
        }
    }
}

const FORMS: &str = "write an address (192.0.2.7), a network (10.0.0.0/8, 2001:db8::/32), or \
                     `unix:` for the peers of socket files; host names are not resolved";
