//! The layers of an image: tar archives, compressed with gzip, and what an image says about them.

use super::blob::{Blob, MediaType, digest_text};
use super::tar::{EntryKind, TarWriter};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// A layer. Its octets depend on its entries and their time alone, as gzip's own time and name are
/// left empty.
#[derive(Debug)]
pub(super) struct ImageLayer {
    /// The compressed archive.
    pub(super) blob: Blob,
    /// The digest of the archive before it was compressed, `sha256:...`.
    pub(super) diff_id: String,
    /// The step that made it, for the history of the image.
    pub(super) made_by: &'static str,
}

/// Builds a layer, entry by entry. Writing to memory can't fail.
pub(super) struct LayerBuilder {
    tar: TarWriter<Hashing<GzEncoder<Vec<u8>>>>,
    made_by: &'static str,
    /// The folder of the entry before, whose ancestors exist.
    folder: Vec<u8>,
}

impl LayerBuilder {
    /// An empty layer, whose entries have this time.
    pub(super) fn new(made_by: &'static str, seconds: u64) -> Self {
        let out = GzEncoder::new(Vec::new(), Compression::best());
        let tar = TarWriter::new(Hashing { out, hash: Sha256::new() }, seconds);
        Self { tar, made_by, folder: Vec::new() }
    }

    /// Adds a file, and the folders that lead to it. Files have to come in the order of their
    /// paths, so that each folder is added once.
    pub(super) fn add(&mut self, path: &[u8], kind: EntryKind, octets: &[u8]) {
        let folder = &path[..memchr::memrchr(b'/', path).unwrap_or(0)];
        for slash in memchr::memchr_iter(b'/', folder).chain([folder.len()]) {
            let outer = &folder[..slash];
            let exists = self.folder.strip_prefix(outer);
            if exists.is_none_or(|rest| !rest.is_empty() && rest[0] != b'/') {
                self.tar.add(outer, EntryKind::Folder, b"").expect(MEMORY);
            }
        }
        self.folder = folder.to_vec();
        self.tar.add(path, kind, octets).expect(MEMORY);
    }

    /// The layer.
    pub(super) fn finish(self) -> ImageLayer {
        let Hashing { out, hash } = self.tar.finish().expect(MEMORY);
        let diff_id = digest_text(&hash.finalize());
        let blob = Blob::new(MediaType::Layer, out.finish().expect(MEMORY));
        ImageLayer { blob, diff_id, made_by: self.made_by }
    }
}

/// Passes octets on, and hashes them.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.hash.update(&octets[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

const MEMORY: &str = "writing to memory doesn't fail";

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn each_folder_precedes_its_files_and_is_added_once() {
        let mut builder = LayerBuilder::new("a test", 0);
        for path in ["s/a-b/c", "s/a/b", "s/a/b2", "s/a/c/d/e", "s/ab/c", "s/z"] {
            builder.add(path.as_bytes(), EntryKind::File, b"");
        }
        let layer = builder.finish();
        let mut archive = Vec::new();
        GzDecoder::new(&*layer.blob.octets).read_to_end(&mut archive).expect("it is gzip");
        assert_eq!(layer.diff_id, digest_text(&Sha256::digest(&archive)));
        let headers = archive.chunks(512).filter(|header| header[0] != 0);
        let paths: Vec<_> = headers.map(|it| it.split(|&octet| octet == 0).next()).collect();
        let expected = [
            "s/",
            "s/a-b/",
            "s/a-b/c",
            "s/a/",
            "s/a/b",
            "s/a/b2",
            "s/a/c/",
            "s/a/c/d/",
            "s/a/c/d/e",
            "s/ab/",
            "s/ab/c",
            "s/z",
        ];
        assert_eq!(paths, expected.map(|path| Some(path.as_bytes())));
    }
}
