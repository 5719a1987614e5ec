//! The archive of an image: an image layout (OCI Image Specification 1.0, "Image Layout") in a tar
//! archive, with the list `manifest.json` of `docker save` beside it. Both describe the same blobs:
//! skopeo and containerd read the one, podman either, and `docker load` of every version the other.

use super::blob::{BLOBS, Blob, Descriptor, MediaType};
use super::layer::ImageLayer;
use super::name::ImageName;
use super::program::Architecture;
use super::tar::{EntryKind, TarWriter};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The parts of an image.
pub(super) struct ImageParts {
    pub(super) name: ImageName,
    pub(super) architecture: Architecture,
    /// The configuration, as JSON.
    pub(super) config: Blob,
    /// The layers, the lowest first.
    pub(super) layers: Vec<ImageLayer>,
}

/// The manifest of an image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: MediaType,
    config: &'a Descriptor,
    layers: Vec<&'a Descriptor>,
}

/// The list of the images in a layout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageIndex<'a> {
    schema_version: u8,
    media_type: MediaType,
    manifests: [IndexEntry<'a>; 1],
}

#[derive(Serialize)]
struct IndexEntry<'a> {
    #[serde(flatten)]
    descriptor: &'a Descriptor,
    platform: BTreeMap<&'static str, &'static str>,
    annotations: BTreeMap<&'static str, &'a str>,
}

/// An entry of the list of `docker save`. Its paths are those of the blobs in the layout.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    repo_tags: [String; 1],
    layers: Vec<String>,
}

impl ImageParts {
    /// Writes the archive, all of whose entries have this time. Returns the digest of the manifest,
    /// by which registries name an image.
    ///
    /// # Errors
    /// If `out` fails.
    pub(super) fn write(&self, out: impl Write, seconds: u64) -> io::Result<String> {
        let manifest = self.manifest();
        let mut tar = TarWriter::new(out, seconds);
        for folder in ["blobs", BLOBS] {
            tar.add(folder.as_bytes(), EntryKind::Folder, b"")?;
        }
        let mut blobs: Vec<&Blob> = self.layers.iter().map(|layer| &layer.blob).collect();
        blobs.extend([&self.config, &manifest]);
        blobs.sort_by_key(|blob| &blob.descriptor.digest);
        // Sites without files have layers of the same octets.
        blobs.dedup_by_key(|blob| &blob.descriptor.digest);
        for blob in blobs {
            tar.add(blob.path().as_bytes(), EntryKind::File, &blob.octets)?;
        }
        let index = self.index(&manifest.descriptor);
        tar.add(b"index.json", EntryKind::File, &index)?;
        tar.add(b"manifest.json", EntryKind::File, &self.saved())?;
        tar.add(b"oci-layout", EntryKind::File, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.finish()?.flush()?;
        Ok(manifest.descriptor.digest)
    }

    fn manifest(&self) -> Blob {
        let layers = self.layers.iter().map(|layer| &layer.blob.descriptor).collect();
        let media_type = MediaType::Manifest;
        let config = &self.config.descriptor;
        Blob::json(media_type, &Manifest { schema_version: 2, media_type, config, layers })
    }

    fn index(&self, manifest: &Descriptor) -> Vec<u8> {
        let (tag, canonical) = (self.name.tag(), self.name.canonical());
        let entry = IndexEntry {
            descriptor: manifest,
            platform: [("architecture", self.architecture.name()), ("os", "linux")].into(),
            annotations: [
                // containerd takes the name from its own annotation, skopeo the tag from OCI's.
                ("io.containerd.image.name", &*canonical),
                ("org.opencontainers.image.ref.name", tag),
            ]
            .into(),
        };
        let media_type = MediaType::Index;
        json(&ImageIndex { schema_version: 2, media_type, manifests: [entry] })
    }

    fn saved(&self) -> Vec<u8> {
        let layers = self.layers.iter().map(|layer| layer.blob.path()).collect();
        let repo_tags = [self.name.to_string()];
        json(&[SavedImage { config: self.config.path(), repo_tags, layers }])
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts have a form in JSON")
}
