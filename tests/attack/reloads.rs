//! Reloads under load, those that can't succeed among them, and the end in the middle of one.

use crate::Form;
use crate::cgroup::Group;
use crate::common::connections::Connections;
use crate::common::{PAGE, Server, TemporaryFolder, pattern};
use crate::crowd::{count, crowd};
use crate::table::{Fates, Row, Verdict};
use crate::totals::Totals;
use crate::watch::{await_that, breathe};
use crate::witness::{Contents, Habit, Load, StopAtEnd, Witnesses};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Two releases, of which `current` names one.
pub(crate) struct Releases {
    folder: TemporaryFolder,
    pub(crate) contents: Contents,
}

impl Releases {
    pub(crate) fn new() -> Self {
        let pages = vec![pattern(3_000), b"the other release ".repeat(300)];
        let large = vec![pattern(1_000_000), b"another large file ".repeat(40_000)];
        let folder = TemporaryFolder::with(&[
            ("0/index.html", &pages[0]),
            ("0/large.bin", &large[0]),
            ("1/index.html", &pages[1]),
            ("1/large.bin", &large[1]),
        ]);
        let releases = Self { folder, contents: Contents { pages, large } };
        releases.choose(0);
        releases
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    /// Makes `current` a link to a release, in one step.
    pub(crate) fn choose(&self, release: usize) {
        symlink(release.to_string(), self.path("next")).expect("the folder is ours");
        std::fs::rename(self.path("next"), self.path("current")).expect("the folder is ours");
    }

    pub(crate) fn root(&self) -> String {
        self.path("current").to_str().expect("the path is text").to_owned()
    }
}

/// A server of releases, with two workers.
pub(crate) fn start(
    wrapper: &[&str],
    releases: &Releases,
    options: &[&str],
) -> (Server, SocketAddr) {
    let root = releases.root();
    let words = ["--root", &root, "--compress", "off", "--workers", "2"];
    let server = Server::start_by(wrapper, &["127.0.0.1:0"], &[&words[..], options].concat());
    let address = server.addresses[0].parse().expect("it listens on TCP");
    (server, address)
}

/// Reloads under four kinds of load, with as many slots as there are clients: no request fails, and
/// each response is whole and of one generation.
pub(crate) fn under_load(form: Form) -> Verdict {
    let rounds: usize = form.of(10, 100);
    let releases = Releases::new();
    let spawn =
        (LOADS.iter().map(|(_, clients)| clients).sum::<usize>() + WITNESSES * 4).to_string();
    let options = ["--spawn", &spawn, "--reload-grace", "500ms"];
    let (mut server, address) = start(&[], &releases, &options);
    let stop = AtomicBool::new(false);
    let mut longest = Duration::ZERO;
    let (seen, counts, most) = std::thread::scope(|scope| {
        let running = StopAtEnd(&stop);
        let loads: Vec<_> = LOADS
            .iter()
            .map(|(words, clients)| {
                let clients = clients.to_string();
                Load::start(address, &[&["-c", &clients], *words].concat())
            })
            .collect();
        let habits = Habit::ALL.map(|habit| (habit, WITNESSES));
        let witnesses = Witnesses::start(scope, address, &releases.contents, &habits, &stop);
        let cap = scope.spawn(|| most_at_once(address.port(), &stop));
        for round in 1..=rounds {
            releases.choose(round % 2);
            let start = Instant::now();
            server.signal("HUP");
            server.await_line(&format!("reloaded: generation {} ", round + 1));
            longest = longest.max(start.elapsed());
        }
        let counts: Vec<_> = loads.into_iter().map(Load::end).collect();
        drop(running);
        (witnesses.end(), counts, cap.join().expect("it only reads"))
    });
    seen.assert_no_failures();
    assert!(seen.announced > 0, "no connection was told to end");
    assert!(most <= spawn.parse().expect("a number"), "{most} connections at once");
    let totals = Totals::parse(&server.end());
    totals.assert_no_errors_but(&[]);
    let requests = counts.iter().map(|counts| counts.requests).sum::<u64>() + seen.served;
    let fates = Fates { served: requests, ..Fates::default() };
    let note = format!(
        "{rounds} reloads, the longest {longest:.0?}; {} of the responses compared; {most} of \
         {spawn} connections at most",
        seen.served
    );
    Row::new(requests, fates, None).noted(note)
}

/// The most connections that were certainly open at one time, until `stop` is set.
pub(crate) fn most_at_once(port: u16, stop: &AtomicBool) -> usize {
    let (mut most, mut before) = (0, Connections::default());
    while !stop.load(Ordering::Relaxed) {
        let now = Connections::of_port(port);
        most = most.max(now.in_common(&before));
        before = now;
        breathe(Duration::from_millis(1));
    }
    most
}

/// Reloads to a broken site, to one that the memory doesn't suffice for, and without a root: the
/// same workers go on, and no request fails.
pub(crate) fn faulty(form: Form) -> Verdict {
    let mib: u64 = form.of(96, 256);
    let group = match Group::new(mib << 20) {
        Ok(group) => group,
        Err(why) => return Verdict::Skipped(why),
    };
    let releases = Releases::new();
    let words = group.words();
    let words = words.each_ref().map(String::as_str);
    let (mut server, address) = start(&words, &releases, &["--strict", "--site-bytes", "4g"]);
    let workers = pids(&server);
    let stop = AtomicBool::new(false);
    let mut reasons = Vec::new();
    let seen = std::thread::scope(|scope| {
        let running = StopAtEnd(&stop);
        let habits = Habit::ALL.map(|habit| (habit, WITNESSES));
        let witnesses = Witnesses::start(scope, address, &releases.contents, &habits, &stop);
        let mut refuse = |what: &str| {
            server.signal("HUP");
            let line = server.await_line("not reloaded");
            let why = line.splitn(3, ": ").nth(2).expect("a reason follows");
            reasons.push(format!("{what}: {}", why.replace(&releases.root(), "ROOT")));
        };
        releases.folder.add("1/_redirects", b"/a /b 999\n");
        releases.choose(1);
        refuse("broken");
        std::fs::remove_file(releases.path("1/_redirects")).expect("the file is ours");
        // Every page of it is written, as it is read.
        let large = std::fs::File::create(releases.path("1/huge.bin")).expect("the folder is ours");
        large.set_len((2 * mib) << 20).expect("a hole takes no room");
        refuse("too large");
        std::fs::remove_file(releases.path("current")).expect("the link is ours");
        refuse("no root");
        drop(running);
        witnesses.end()
    });
    seen.assert_no_failures();
    assert_eq!(seen.announced, 0, "no connection was told to end");
    assert_eq!(pids(&server), workers, "the same workers serve");
    Totals::parse(&server.end()).assert_no_errors_but(&[]);
    let fates = Fates { served: seen.served, ..Fates::default() };
    Row::new(seen.served, fates, None).noted(reasons.join("; "))
}

fn pids(server: &Server) -> Vec<u32> {
    server.workers().iter().map(|worker| worker.pid).collect()
}

/// SIGTERM at different moments of a reload under load: responses that have begun are finished.
pub(crate) fn ended(form: Form) -> Verdict {
    let clients = form.clients(50, 500);
    let (mut fates, mut sent, mut reloaded) = (Fates::default(), 0, 0);
    for moment in MOMENTS {
        let server = Server::start(&["--workers", "2"]);
        let address = server.addresses[0].parse().expect("it listens on TCP");
        let mut peers = crowd(address, clients, "");
        let step = |peers: &mut Vec<crate::crowd::Peer>| {
            for peer in peers {
                peer.ask();
                peer.receive_some(PAGE);
            }
        };
        await_that("there is load", || {
            step(&mut peers);
            peers.iter().all(|peer| peer.pages > 0)
        });
        server.signal("HUP");
        let start = Instant::now();
        while start.elapsed() < moment {
            step(&mut peers);
        }
        server.signal("TERM");
        await_that("all are at their end", || {
            step(&mut peers);
            peers.iter().all(|peer| peer.end.is_some())
        });
        assert_eq!(count(&peers, |peer| peer.response.has_begun()), 0, "torn responses");
        let exit = server.wait();
        assert_eq!(exit.code, Some(0), "{}", exit.text);
        reloaded += u32::from(exit.text.contains("reloaded: "));
        Totals::parse(&exit.text).assert_no_errors_but(&[]);
        let asked: u64 = peers.iter().map(|peer| peer.asked).sum();
        let pages: u64 = peers.iter().map(|peer| u64::from(peer.pages)).sum();
        sent += asked;
        fates.served += pages;
        fates.cut += asked - pages;
    }
    let note = format!("at {} moments, {reloaded} of them after the reload", MOMENTS.len());
    Row::new(sent, fates, None).noted(note)
}

/// The options and the connections of the load client.
const LOADS: [(&[&str], usize); 3] = [(&[], 50), (&["--close"], 20), (&["--pipeline", "8"], 10)];
/// Clients of each habit that compare what they get.
const WITNESSES: usize = 3;
/// Times from SIGHUP to SIGTERM.
const MOMENTS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(6),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(200),
];
