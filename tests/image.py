#!/usr/bin/env python3
"""Checks the archive of an image by the text of the OCI Image Specification 1.0, with Python's tarfile.

usage: image.py ARCHIVE PATH...

Every blob has the digest and the length that refer to it; both forms of the archive have the same layers;
entries are sorted, belong to root, have the time SOURCE_DATE_EPOCH or, without it, any one time, and can be
read by every user and written by none. Each PATH is in a layer of its own, in this order.
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile


def main():
    archive, *paths = sys.argv[1:]
    image = tarfile.open(archive)
    times = check_entries(image)
    read = lambda path: image.extractfile(path).read()
    assert json.loads(read("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(read("index.json"))
    assert index["schemaVersion"] == 2 and len(index["manifests"]) == 1, index
    entry = index["manifests"][0]
    manifest = json.loads(blob(read, entry))
    config = json.loads(blob(read, manifest["config"]))
    assert entry["platform"] == {key: config[key] for key in ("architecture", "os")}
    layers = [blob(read, layer) for layer in manifest["layers"]]
    (saved,) = json.loads(read("manifest.json"))
    assert saved["Config"] == path_of(manifest["config"])
    assert saved["Layers"] == [path_of(layer) for layer in manifest["layers"]]
    (name,) = saved["RepoTags"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == name.rpartition(":")[2]
    assert entry["annotations"]["io.containerd.image.name"].endswith(name)
    assert len(config["history"]) == len(layers)
    assert config["config"]["Healthcheck"]["Test"] == ["CMD", "/uringstatic", "healthcheck"]

    assert len(layers) == len(paths), (len(layers), paths)
    for layer, diff_id, path in zip(layers, config["rootfs"]["diff_ids"], paths):
        # No name and no time: RFC 1952, 2.3.
        assert layer[3] == 0 and layer[4:8] == bytes(4), layer[:10]
        octets = gzip.decompress(layer)
        assert f"sha256:{hashlib.sha256(octets).hexdigest()}" == diff_id
        files = tarfile.open(fileobj=io.BytesIO(octets))
        times |= check_entries(files)
        assert path in files.getnames(), (path, files.getnames())
    assert len(times) == 1, times
    assert times == {int(os.environ.get("SOURCE_DATE_EPOCH", times.copy().pop()))}, times


def check_entries(archive):
    """The times of all entries."""
    times = set()
    names = archive.getnames()
    assert len(set(names)) == len(names), "each entry is there once"
    folders = set()
    for entry in archive:
        assert (entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "", ""), entry
        assert entry.isfile() or entry.isdir(), entry
        assert entry.mode in ((0o555,) if entry.isdir() else (0o444, 0o555)), entry
        folder = os.path.dirname(entry.name)
        assert not folder or folder in folders, f"the folder of {entry.name} precedes it"
        if entry.isdir():
            folders.add(entry.name)
        times.add(int(entry.mtime))
    return times


def blob(read, descriptor):
    octets = read(path_of(descriptor))
    assert len(octets) == descriptor["size"], descriptor
    assert f"sha256:{hashlib.sha256(octets).hexdigest()}" == descriptor["digest"], descriptor
    return octets


def path_of(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")


main()
