//! Unix listeners: permissions of their socket files, and which files are replaced or removed.

use crate::common::{Client, GET, PAGE, Server, TemporaryFile, assert_same_bytes};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use uringstatic::os::net::{Endpoint, listen};
use uringstatic::os::privileges::is_root;

#[test]
fn a_stale_socket_file_is_replaced() {
    let file = TemporaryFile::vacant("sock");
    let address = format!("unix:{}", file.path());
    drop(UnixListener::bind(&file.0).expect("the temporary directory is writable"));
    assert!(file.0.exists(), "the file outlives its listener");
    let server = Server::start_on(&[&address], &[]);
    let mut client = Client::connect(&server.addresses[0]);
    client.send(GET);
    assert_same_bytes(&client.response().body, PAGE);
}

#[test]
fn a_socket_file_is_removed_at_the_end() {
    let file = TemporaryFile::vacant("sock");
    let address = format!("unix:{}", file.path());
    let single = "--single-process";
    for (options, stays) in [
        // The sandbox of the process that serves doesn't permit it.
        (&[single][..], true),
        // The file that the first server left is replaced.
        (&[single, "--no-lockdown", "--allow-root"], false),
        (&[], false),
        (&["--workers", "2"], false),
    ] {
        let server = Server::start_on(&[&address], options);
        assert_same_bytes(&server.ask(GET).body, PAGE);
        server.end();
        assert_eq!(file.0.exists(), stays, "{options:?}");
    }
}

#[test]
fn a_socket_that_replaced_ours_is_not_removed() {
    let file = TemporaryFile::vacant("sock");
    let address = format!("unix:{}", file.path());
    let server = Server::start_on(&[&address], &["--no-lockdown", "--allow-root"]);
    std::fs::remove_file(&file.0).expect("the server created it");
    let other = UnixListener::bind(&file.0).expect("the path is free again");
    server.end();
    UnixStream::connect(&file.0).expect("the other socket is still there");
    drop(other);
}

#[test]
fn a_file_in_use_is_not_replaced() {
    let file = TemporaryFile::vacant("sock");
    let address = format!("unix:{}", file.path());
    let server = Server::start_on(&[&address], &[]);
    is_refused(&address);
    assert_same_bytes(&server.ask(GET).body, PAGE);
    let datagrams = TemporaryFile::vacant("sock");
    let _bound = UnixDatagram::bind(&datagrams.0).expect("the temporary directory is writable");
    is_refused(&format!("unix:{}", datagrams.path()));
    assert!(datagrams.0.symlink_metadata().is_ok_and(|file| file.file_type().is_socket()));
    let other = TemporaryFile::with("txt", b"not a socket");
    is_refused(&format!("unix:{}", other.path()));
    let content = std::fs::read(&other.0).expect("the file is still there");
    assert_eq!(content, b"not a socket");
}

#[test]
fn a_stopped_server_does_not_block_the_start_of_another() {
    let file = TemporaryFile::vacant("sock");
    let stopped = listen(&Endpoint::Unix(file.0.clone()), 1, false).expect("the path is free");
    // A Unix listener with backlog 1 queues two connections (unix(7)).
    let _queued = [(); 2].map(|()| UnixStream::connect(&file.0).expect("the backlog has room"));
    is_refused(&format!("unix:{}", file.path()));
    drop(stopped);
}

fn is_refused(address: &str) {
    let exit = Server::run(&["--listen", address]);
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    assert!(exit.text.contains("another process listens there"), "{}", exit.text);
}

#[test]
fn a_socket_file_has_the_mode_and_group_of_the_options() {
    let group = if is_root() { 54_321 } else { own_group() };
    let file = TemporaryFile::vacant("sock");
    let address = format!("unix:{}", file.path());
    for (mode, bits) in [("0660", 0o660), ("666", 0o666), ("0600", 0o600)] {
        let options = ["--socket-mode", mode, "--socket-group", &group.to_string()];
        let server = Server::start_on(&[&address], &options);
        let made = file.0.symlink_metadata().expect("it is there");
        assert!(made.file_type().is_socket());
        assert_eq!((made.mode() & 0o7777, made.gid()), (bits, group), "{mode}");
        assert_same_bytes(&server.ask(GET).body, PAGE);
        server.end();
    }
}

fn own_group() -> u32 {
    let file = TemporaryFile::with("txt", b"");
    file.0.symlink_metadata().expect("it was just created").gid()
}

#[test]
fn an_unknown_group_is_named() {
    let file = TemporaryFile::vacant("sock");
    let listen = format!("unix:{}", file.path());
    let exit = Server::run(&["--listen", &listen, "--socket-group", "no such group"]);
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    assert!(exit.text.contains("--socket-group no such group"), "{}", exit.text);
    assert!(exit.text.contains("getent group"), "{}", exit.text);
    assert!(!file.0.exists(), "nothing was bound");
}
