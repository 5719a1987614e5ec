//! The blobs of an image: its layers, its configuration and its manifest, each named by the SHA-256
//! of its octets.

use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The octets of a blob, and the descriptor by which other parts of the image refer to it.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) octets: Vec<u8>,
    pub(super) descriptor: Descriptor,
}

impl Blob {
    pub(super) fn new(media_type: MediaType, octets: Vec<u8>) -> Self {
        let (digest, size) = (digest_text(&Sha256::digest(&octets)), octets.len() as u64);
        Self { octets, descriptor: Descriptor { media_type, digest, size } }
    }

    /// A blob of JSON, whose keys are in the order of their declaration.
    pub(super) fn json(media_type: MediaType, value: &impl Serialize) -> Self {
        Self::new(media_type, serde_json::to_vec(value).expect("texts have a form in JSON"))
    }

    /// The path of the blob in an archive.
    pub(super) fn path(&self) -> String {
        let hash = self.descriptor.digest.strip_prefix(SHA256);
        format!("{BLOBS}/{}", hash.expect("digests are made by digest_text"))
    }
}

/// A reference to a blob (OCI Image Specification, "Content Descriptors").
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: MediaType,
    pub(super) digest: String,
    pub(super) size: u64,
}

/// The types of blobs (OCI Image Specification, "Media Types").
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum MediaType {
    #[serde(rename = "application/vnd.oci.image.index.v1+json")]
    Index,
    #[serde(rename = "application/vnd.oci.image.manifest.v1+json")]
    Manifest,
    #[serde(rename = "application/vnd.oci.image.config.v1+json")]
    Config,
    #[serde(rename = "application/vnd.oci.image.layer.v1.tar+gzip")]
    Layer,
}

/// A hash as an image writes it.
pub(super) fn digest_text(hash: &[u8]) -> String {
    let mut text = SHA256.to_owned();
    for octet in hash {
        write!(text, "{octet:02x}").expect("writing to a string doesn't fail");
    }
    text
}

const SHA256: &str = "sha256:";
/// The folder of blobs with this hash in an image layout.
pub(super) const BLOBS: &str = "blobs/sha256";
