//! A race against an attacker that may write to the folder and swaps its entries for links and
//! FIFOs while they are listed and read.

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
use uringstatic::os::beneath::Resolver;
use uringstatic::site::build::{self, BuildRequest, Effort, Failure, RootOptions};

/// Content that may be published. Both texts are valid `_headers`.
const PUBLIC: &[u8] = b"/*\n  X-Found: everyone may read it\n";
/// Content of a file outside the root. Both have the same length: the attacker knows that of the
/// secret.
const SECRET: &[u8] = b"/*\n  X-Found: nobody may read this\n";
const _: () = assert!(SECRET.len() == PUBLIC.len());
const MARK: &str = "nobody may read this";
/// Further files, which widen the gap between listing and reading the victim.
const OTHERS: usize = 2_000;
const ATTEMPTS: usize = 5;

/// The entry that is swapped.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// A file, swapped for a link to the secret.
    File(&'static str),
    /// The folder of a file, swapped for a link to the folder of the secret.
    FolderOf(&'static str),
    /// A file, swapped for a FIFO.
    FileByFifo(&'static str),
}

/// The moments of the swaps; each swap reverses the previous one.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Each time the entry is opened.
    Opened,
    /// Without a pause.
    Ceaselessly,
}

#[test]
fn file_swapped_for_a_link_does_not_leak() {
    attack(Victim::File("victim.txt"));
}

#[test]
fn folder_swapped_for_a_link_does_not_leak() {
    attack(Victim::FolderOf("victim/victim.txt"));
}

#[test]
fn precompressed_file_swapped_for_a_link_does_not_leak() {
    attack(Victim::File("victim.txt.gz"));
}

#[test]
fn rules_swapped_for_a_link_do_not_leak() {
    attack(Victim::File("_headers"));
}

#[test]
fn file_swapped_for_a_fifo_does_not_block() {
    attack(Victim::FileByFifo("victim.txt"));
    attack(Victim::FileByFifo("_headers"));
}

fn attack(victim: Victim) {
    let ground = Ground::new(victim);
    let undisturbed = ground.read(Resolver::default()).expect("no attacker runs yet");
    assert!(undisturbed.contains("everyone may read it"), "the image has the content of files");
    for resolver in [Resolver::Openat2, Resolver::ByComponent] {
        for when in [When::Opened, When::Ceaselessly] {
            for attempt in 0..ATTEMPTS {
                let attacker = Attacker::start(&ground, when);
                let published = ground.read(resolver).unwrap_or_default();
                attacker.stop();
                let is_secret = published.contains(MARK);
                assert!(
                    !is_secret,
                    "{victim:?}, {when:?}, {resolver:?}: published in attempt {attempt}"
                );
            }
        }
    }
}

/// A root, and a folder outside it with the entry that is swapped in.
struct Ground {
    root: TemporaryFolder,
    aside: TemporaryFolder,
    /// The swapped entry, as a path from the root.
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

    /// Reads the root as the server does and returns its image and plan.
    fn read(&self, resolver: Resolver) -> Result<String, Failure> {
        let options = RootOptions { compress: Effort::Off, ..RootOptions::default() };
        let mut request = BuildRequest::new(Path::new(self.root.path()), &options, &[], 1);
        request.resolver = resolver;
        let (sender, outcome) = channel();
        spawn(move || {
            let published = build::read(&request)
                .map(|read| format!("{}{:?}", String::from_utf8_lossy(&read.fixed), read.plan));
            sender.send(published)
        });
        outcome.recv_timeout(PATIENCE).expect("reading comes to an end")
    }
}

struct Attacker {
    thread: JoinHandle<()>,
    stopped: Arc<AtomicBool>,
    /// A file in the root, whose opening wakes the attacker.
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
                .expect("both entries exist");
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
