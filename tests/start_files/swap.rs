//! An attacker that may write to the folder, and replaces a file in it at the very moment at which
//! it is looked at.

use crate::common::{PATIENCE, TemporaryFolder};
use rustix::fs::{CWD, RenameFlags, inotify, renameat_with};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, spawn};
use uringstatic::cli::{Compress, RootOptions};
use uringstatic::sys::beneath::Resolver;
use uringstatic::tree::{self, Failure, Request};

/// What the folder has, and may be published. Both texts are rules, too.
const PUBLIC: &[u8] = b"/*\n  X-Found: everyone may read it\n";
/// What lies outside of the folder, and is as long, since lengths are no secret.
const SECRET: &[u8] = b"/*\n  X-Found: nobody may read this\n";
const _: () = assert!(SECRET.len() == PUBLIC.len());
const MARK: &str = "nobody may read this";
/// Files besides, so that there is a moment between the first look at a file and its reading.
const OTHERS: usize = 2_000;
const ROUNDS: usize = 5;

/// What is replaced.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// A file, by a link to the secret.
    File(&'static str),
    /// The folder that the file is in, by a link to the folder of the secret.
    FolderOf(&'static str),
    /// A file, by a FIFO.
    FileByFifo(&'static str),
}

/// When it is replaced, and put back again.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Each time that it is opened.
    Opened,
    /// All the time.
    Ceaselessly,
}

#[test]
fn a_file_that_is_replaced_by_a_link_leads_nobody_out() {
    attack(Victim::File("victim.txt"));
}

#[test]
fn a_file_in_a_folder_that_is_replaced_by_a_link_leads_nobody_out() {
    attack(Victim::FolderOf("victim/victim.txt"));
}

#[test]
fn a_coding_that_is_replaced_by_a_link_leads_nobody_out() {
    attack(Victim::File("victim.txt.gz"));
}

#[test]
fn rules_that_are_replaced_by_a_link_are_not_those_of_somebody_else() {
    attack(Victim::File("_headers"));
}

#[test]
fn a_file_that_is_replaced_by_a_fifo_does_not_block() {
    attack(Victim::FileByFifo("victim.txt"));
    attack(Victim::FileByFifo("_headers"));
}

fn attack(victim: Victim) {
    let ground = Ground::new(victim);
    let undisturbed = ground.read(Resolver::default()).expect("it is a folder like any other");
    assert!(undisturbed.contains("everyone may read it"), "what is looked for would be found");
    for resolver in [Resolver::Openat2, Resolver::ByComponent] {
        for when in [When::Opened, When::Ceaselessly] {
            for round in 0..ROUNDS {
                let attacker = Attacker::start(&ground, when);
                let published = ground.read(resolver).unwrap_or_default();
                attacker.stop();
                let is_secret = published.contains(MARK);
                assert!(!is_secret, "{victim:?}, {when:?}, {resolver:?}: published in {round}");
            }
        }
    }
}

/// A folder that is served, and one beside it with what takes a part's place.
struct Ground {
    root: TemporaryFolder,
    aside: TemporaryFolder,
    /// The file or folder that is replaced, from the root on.
    replaced: PathBuf,
}

impl Ground {
    fn new(victim: Victim) -> Self {
        let (Victim::File(name) | Victim::FolderOf(name) | Victim::FileByFifo(name)) = victim;
        let root = TemporaryFolder::with(&[(name, PUBLIC), ("victim.txt", PUBLIC)]);
        let aside = TemporaryFolder::with(&[("victim.txt", SECRET)]);
        for number in 0..OTHERS {
            root.add(format!("{number}.txt"), b"one of many");
        }
        let other = Path::new(aside.path()).join("other");
        let replaced = match victim {
            Victim::File(_) => {
                let secret = Path::new(aside.path()).join("victim.txt");
                symlink(secret, other).expect("links can be made");
                name.into()
            }
            Victim::FolderOf(_) => {
                symlink(aside.path(), other).expect("links can be made");
                Path::new(name).parent().expect("it is in a folder").to_owned()
            }
            Victim::FileByFifo(_) => {
                let made = Command::new("mkfifo").arg(other).status();
                assert!(made.expect("it is part of coreutils").success());
                name.into()
            }
        };
        Self { root, aside, replaced }
    }

    /// Reads the folder as a server does; returns all that it would send, and how.
    fn read(&self, resolver: Resolver) -> Result<String, Failure> {
        let options = RootOptions {
            compress: Compress::Off,
            clean_urls: true,
            spa: None,
            health: None,
            strict: false,
            site_bytes: 1 << 20,
            site_files: 10_000,
        };
        let mut request = Request::new(Path::new(self.root.path()), &options, &[], 1);
        request.resolver = resolver;
        let (sender, outcome) = channel();
        spawn(move || {
            let published = tree::read(&request)
                .map(|read| format!("{}{:?}", String::from_utf8_lossy(&read.fixed), read.plan));
            sender.send(published)
        });
        outcome.recv_timeout(PATIENCE).expect("reading comes to an end")
    }
}

struct Attacker {
    thread: JoinHandle<()>,
    stopped: Arc<AtomicBool>,
    /// A file that wakes it when it is opened.
    bell: PathBuf,
}

impl Attacker {
    fn start(ground: &Ground, when: When) -> Self {
        let root = PathBuf::from(ground.root.path());
        let replaced = root.join(&ground.replaced);
        let other = Path::new(ground.aside.path()).join("other");
        let mut is_replaced = false;
        let mut swap = move || {
            renameat_with(CWD, &replaced, CWD, &other, RenameFlags::EXCHANGE)
                .expect("both are there");
            is_replaced = !is_replaced;
            is_replaced
        };
        let stopped = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stopped);
        let name = ground.replaced.file_name().expect("it has a name").to_owned();
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("a descriptor is free");
        inotify::add_watch(&watch, &root, inotify::WatchFlags::OPEN).expect("it is there");
        let bell = root.join("bell");
        let thread = spawn(move || {
            let mut place = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(watch, &mut place);
            let mut is_replaced = false;
            while !is_stopped.load(Ordering::Relaxed) {
                let is_time = match when {
                    When::Ceaselessly => true,
                    When::Opened => {
                        let event = reader.next().expect("events can be read");
                        event.file_name().map(CStr::to_bytes) == Some(name.as_encoded_bytes())
                    }
                };
                if is_time {
                    is_replaced = swap();
                }
            }
            if is_replaced {
                swap();
            }
        });
        Self { thread, stopped, bell }
    }

    fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        std::fs::write(self.bell, b"").expect("the root is writable");
        self.thread.join().expect("the attacker doesn't panic");
    }
}
