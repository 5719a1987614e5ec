//! Reading of files at start: permissions of the serving user, links, files that are swapped during
//! the read, and entries that are no regular files.

mod swap;

use crate::common::requests::serve;
use crate::common::{Exit, Response, Server, TemporaryFile, TemporaryFolder, assert_same_bytes};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use uringstatic::os::net::{Endpoint, bind};
use uringstatic::os::privileges::is_root;

/// The options that select each method of resolving paths.
const RESOLVERS: [&[&str]; 2] = [&[], &["--without", "openat2"]];

fn get(server: &Server, target: &str) -> Response {
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

/// Runs a server that must fail to start.
fn fail(options: &[&str]) -> Exit {
    let exit = Server::run(&[&["--listen", "127.0.0.1:0"], options].concat());
    assert_eq!(exit.code, Some(1), "{options:?}: {}", exit.text);
    exit
}

/// The exit code and the output of `check`.
fn check(folder: &TemporaryFolder, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path()])
        .args(options)
        .output()
        .expect("the program was built");
    (output.status.code(), String::from_utf8(output.stdout).expect("it is text"))
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .expect("the test owns the file");
}

#[test]
fn file_unreadable_for_the_serving_user_is_left_out() {
    if !is_root() {
        return;
    }
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("private.key", b"PRIVATE KEY"),
        ("closed/a.txt", b"in a closed folder"),
    ]);
    set_mode(&Path::new(folder.path()).join("private.key"), 0o600);
    set_mode(&Path::new(folder.path()).join("closed"), 0o700);
    for options in [&[][..], &["--no-lockdown"], &["--user", "12345:12345"]] {
        let server = serve(&folder, options);
        assert_eq!(get(&server, "/").status, 200, "{options:?}");
        assert_eq!(get(&server, "/private.key").status, 404, "{options:?}");
        assert_eq!(get(&server, "/closed/a.txt").status, 404, "{options:?}");
        let messages = server.messages.join("\n");
        let user = if options.contains(&"--user") { "user 12345, group" } else { "user 65534 (" };
        for name in ["private.key", "closed"] {
            let line = format!("left out {name}: {user}");
            assert!(messages.contains(&line), "{line}: {messages}");
        }
        assert!(messages.contains("chmod(1)"), "{messages}");
    }
    let exit = fail(&["--root", folder.path(), "--strict"]);
    assert!(exit.text.contains("private.key: user 65534 ("), "{}", exit.text);
    let server = serve(&folder, &["--allow-root"]);
    assert_same_bytes(&get(&server, "/private.key").body, b"PRIVATE KEY");
}

#[test]
fn check_reads_with_the_permissions_of_the_serving_user() {
    let folder = TemporaryFolder::with(&[("index.html", b"home"), ("private.key", b"key")]);
    set_mode(&Path::new(folder.path()).join("private.key"), 0o600);
    if !is_root() {
        let (code, text) = check(&folder, &[]);
        assert!(code == Some(0) && text.contains("read as user "), "{text}");
        return;
    }
    let (code, text) = check(&folder, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("left out\n  private.key: user 65534 ("), "{text}");
    assert!(text.contains("\nread as user 65534 ("), "{text}");
    let (_, json) = check(&folder, &["--json", "--user", "12345"]);
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&report["user"], &report["group"]), (&12_345.into(), &12_345.into()));
    let (code, text) = check(&folder, &["--allow-root"]);
    assert!(code == Some(0) && text.contains("read as user 0 (root), group 0"), "{text}");
}

#[test]
fn unreadable_root_is_an_error_that_names_root_and_user() {
    if !is_root() {
        return;
    }
    let folder = TemporaryFolder::with(&[("inner/index.html", b"home")]);
    set_mode(Path::new(folder.path()), 0o700);
    let inner = format!("{}/inner", folder.path());
    for root in [folder.path(), &inner] {
        let exit = fail(&["--root", root]);
        let named = format!("reading the root {root}: user 65534 (");
        assert!(exit.text.contains(&named), "{named}: {}", exit.text);
        assert!(exit.text.contains("namei -l"), "{}", exit.text);
    }
    let page = format!("{inner}/index.html");
    let exit = fail(&["--page", &page]);
    let named = format!("reading the page {page}: user 65534 (");
    assert!(exit.text.contains(&named), "{named}: {}", exit.text);
}

#[test]
fn unreadable_rules_prevent_the_start() {
    let folder = TemporaryFolder::with(&[("index.html", b"home"), ("rules", b"/ /x 301!")]);
    let path = Path::new(folder.path()).join("_redirects");
    symlink("/etc/hostname", &path).expect("the folder is writable");
    let exit = fail(&["--root", folder.path()]);
    assert!(exit.text.contains("_redirects: it is a link out of the root"), "{}", exit.text);
    std::fs::remove_file(&path).expect("the test owns the file");
    make_fifo(&path);
    let exit = fail(&["--root", folder.path()]);
    assert!(exit.text.contains("_redirects: it is neither a file nor a folder"), "{}", exit.text);
    std::fs::remove_file(&path).expect("the test owns the file");
    if is_root() {
        std::fs::write(&path, b"/ /x 301!").expect("the test owns the file");
        set_mode(&path, 0o600);
        let exit = fail(&["--root", folder.path()]);
        assert!(exit.text.contains("_redirects: user 65534 ("), "{}", exit.text);
        std::fs::remove_file(&path).expect("the test owns the file");
    }
    symlink("rules", &path).expect("the folder is writable");
    let server = serve(&folder, &[]);
    assert_eq!(get(&server, "/").status, 301, "a link within the root is followed");
}

#[test]
fn links_that_resolve_within_the_root_are_followed() {
    let folder = TemporaryFolder::with(&[("index.html", b"home"), ("sub/deep/a.txt", b"a")]);
    let root = PathBuf::from(folder.path());
    let own_name = root.file_name().expect("it has one").to_owned();
    let beside = TemporaryFile::vacant("link");
    symlink(&root, &beside.0).expect("the folder is writable");
    for (link, target) in [
        ("relative", PathBuf::from("sub/deep")),
        ("absolute", root.join("sub/deep")),
        ("through-another", beside.0.join("sub/deep")),
        ("out-and-in", Path::new("..").join(&own_name).join("sub/deep")),
        ("sub/up-and-down", PathBuf::from("../sub/deep")),
        ("chain", PathBuf::from("relative")),
        ("chain-through", PathBuf::from("chain/a.txt")),
        ("out", PathBuf::from("..")),
        ("itself", PathBuf::from("itself")),
        ("whole", PathBuf::from(".")),
    ] {
        symlink(target, root.join(link)).expect("the folder is writable");
    }
    for resolver in RESOLVERS {
        let server = serve(&folder, resolver);
        for target in [
            "/relative/a.txt",
            "/absolute/a.txt",
            "/through-another/a.txt",
            "/out-and-in/a.txt",
            "/sub/up-and-down/a.txt",
            "/chain/a.txt",
            "/chain-through",
        ] {
            let response = get(&server, target);
            assert_eq!(
                (response.status, &*response.body),
                (200, &b"a"[..]),
                "{resolver:?}: {target}"
            );
        }
        let messages = server.messages.join("\n");
        for line in [
            "left out out: it is a link out of the root, to ",
            "left out itself: Too many levels of symbolic links",
            "left out whole: it is a link to a folder that contains it",
        ] {
            assert!(messages.contains(line), "{resolver:?}: {line}: {messages}");
        }
    }
}

#[test]
fn links_to_dot_files_are_left_out() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        (".git/config", b"secret"),
        ("sub/.env", b"secret"),
        (".well-known/security.txt", b"Contact: x"),
    ]);
    let root = Path::new(folder.path());
    for (link, target) in [
        ("g", ".git"),
        ("config", ".git/config"),
        ("env", "sub/.env"),
        ("deep", "g/config"),
        ("contact", ".well-known/security.txt"),
    ] {
        symlink(target, root.join(link)).expect("the folder is writable");
    }
    for resolver in RESOLVERS {
        let server = serve(&folder, resolver);
        for target in ["/g/config", "/config", "/env", "/deep"] {
            assert_eq!(get(&server, target).status, 404, "{resolver:?}: {target}");
        }
        assert_same_bytes(&get(&server, "/contact").body, b"Contact: x");
        let messages = server.messages.join("\n");
        for line in [
            "left out g: it is a link to .git, and dot files are not served",
            "left out deep: it is a link to .git/config, and dot files are not served",
            "left out env: it is a link to sub/.env, and dot files are not served",
        ] {
            assert!(messages.contains(line), "{resolver:?}: {line}: {messages}");
        }
    }
    let exit = fail(&["--root", folder.path(), "--strict"]);
    assert!(exit.text.contains("g: it is a link to .git"), "{}", exit.text);
}

#[test]
fn page_must_be_a_regular_file_of_its_stated_length() {
    let fifo = TemporaryFile::vacant("fifo");
    make_fifo(&fifo.0);
    let link = TemporaryFile::vacant("link");
    symlink("/proc/version", &link.0).expect("the folder is writable");
    for (page, why) in [
        (fifo.path(), "it is not a regular file"),
        ("/dev/null", "it is not a regular file"),
        ("/proc/version", "it continues past its stated length"),
        (link.path(), "it continues past its stated length"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "it ends before its stated length"),
    ] {
        if !page.starts_with("/sys") || Path::new(page).exists() {
            let exit = fail(&["--page", page]);
            let messages = format!("reading the page {page}: {why}");
            assert!(exit.text.contains(&messages), "{messages}: {}", exit.text);
        }
    }
    let page = TemporaryFile::with("html", b"a page");
    let link = TemporaryFile::vacant("link");
    symlink(&page.0, &link.0).expect("the folder is writable");
    let server = Server::start(&["--page", link.path()]);
    assert_same_bytes(&get(&server, "/").body, b"a page");
}

#[test]
fn files_with_generated_content_are_left_out() {
    let root = "/proc/sys/kernel/random";
    for resolver in RESOLVERS {
        let server = Server::start(&[&["--root", root], resolver].concat());
        let messages = server.messages.join("\n");
        let line = "left out uuid: it continues past its stated length";
        assert!(messages.contains(line), "{messages}");
        assert_eq!(get(&server, "/uuid").status, 404);
    }
    let exit = fail(&["--root", root, "--strict"]);
    assert!(exit.text.contains("uuid: it continues past"), "{}", exit.text);
}

#[test]
fn tcp_clients_are_refused_until_the_server_listens() {
    let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listener = bind(&any, 1, true).unwrap_or_else(|failure| panic!("{failure}"));
    let Endpoint::Tcp(address) = listener.endpoint else { panic!("it is TCP") };
    let refused = TcpStream::connect(address).expect_err("it doesn't listen yet");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let other =
        bind(&Endpoint::Tcp(address), 1, true).unwrap_or_else(|failure| panic!("{failure}"));
    listener.start(1).unwrap_or_else(|failure| panic!("{failure}"));
    TcpStream::connect(address).expect("it listens");
    let failure = other.start(1).expect_err("another listens");
    assert!(failure.hint().contains("ss -ltnp"), "{failure}");
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("it is part of coreutils");
    assert!(made.success());
}
