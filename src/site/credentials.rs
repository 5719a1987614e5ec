//! The credentials of protected paths, kept as digests.

use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// The digest of encoded credentials. A copy of this memory shows no password, as far as the
/// password can't be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialDigest([u8; DIGEST_BYTES]);

impl CredentialDigest {
    /// The digest of the base64 text behind the scheme, as a request has it.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&Sha256::digest(encoded));
        Self(digest)
    }
}

impl fmt::Debug for CredentialDigest {
    /// Writes nothing of the digest, with which passwords could be tried.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialDigest")
    }
}

/// The credentials any of which opens the paths of a block.
#[derive(Clone, Debug, Default)]
pub struct CredentialList(Vec<CredentialDigest>);

impl CredentialList {
    /// Adds credentials to the list.
    pub fn add(&mut self, digest: CredentialDigest) {
        self.0.push(digest);
    }

    /// Whether the list has the credentials. All of it is compared in any case, each entry in the
    /// same time, so that the time tells nothing about a near match.
    #[must_use]
    pub fn has(&self, digest: &CredentialDigest) -> bool {
        let compared = |known: &CredentialDigest| known.0.ct_eq(&digest.0);
        let found = self.0.iter().map(compared).fold(Choice::from(0), |found, one| found | one);
        bool::from(found)
    }

    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = &CredentialDigest> {
        self.0.iter()
    }
}

const DIGEST_BYTES: usize = 32;
