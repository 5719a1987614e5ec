//! A machine that runs out of descriptors, time or memory.

use crate::Form;
use crate::cgroup::Group;
use crate::common::{GET, Server, TemporaryFile, pattern};
use crate::crowd::{crowd, receive_all, receive_until, send_all};
use crate::ground::Ground;
use crate::table::{Fates, Row, Verdict};
use crate::watch::{await_that, breathe};
use std::process::Command;
use std::time::Duration;

/// The limit of open files falls nearly to the number of open ones, and rises again.
pub(crate) fn descriptors(form: Form) -> Verdict {
    let (inside, waiting) = (form.clients(100, 2000), form.of(50, 500));
    // prlimit(2) needs the same user on both sides, so the server keeps ours.
    let options = ["--without", "direct-descriptors", "--spawn", "5000", "--allow-root"];
    let ground = Ground::new(&options, inside + waiting);
    let Some(usual) = limit_files(&ground, None) else {
        return Verdict::Skipped("there is no prlimit (util-linux)".to_owned());
    };
    let good = ground.good_client();
    let mut peers = crowd(ground.address, inside, GET);
    receive_until("the first are served", &mut peers, &ground.page, |peer| peer.pages == 1);
    let open = ground
        .watch
        .figures()
        .descriptors
        .expect("a process whose limit we may set is visible to us");
    limit_files(&ground, Some(&(open + SPARE).to_string()));
    // Accepted clients are served; most new ones wait.
    let mut late = crowd(ground.address, waiting, GET);
    for round in 2..5 {
        send_all(&mut peers, GET);
        receive_until("they go on", &mut peers, &ground.page, |peer| peer.pages == round);
        breathe(Duration::from_millis(100));
        receive_all(&mut late, &ground.page);
    }
    let outside = late.iter().filter(|peer| peer.pages == 0).count();
    assert!(outside >= waiting / 2, "only {outside} wait: descriptors were not short");
    // As descriptors are closed, waiting clients are accepted under the same limit.
    peers.truncate(inside - waiting / 2);
    await_that("closed connections make room", || {
        receive_all(&mut late, &ground.page);
        late.iter().filter(|peer| peer.pages == 0).count() < outside
    });
    limit_files(&ground, Some(&usual));
    receive_until("all are served", &mut late, &ground.page, |peer| peer.pages == 1);
    send_all(&mut late, GET);
    receive_until("and go on", &mut late, &ground.page, |peer| peer.pages == 2);
    drop((peers, late));
    let (aftermath, totals) = ground.end(Some(good));
    let sent = inside * 4 + waiting * 2;
    totals.assert_no_errors_but(&["failed accepts"]);
    assert!(totals.errors("failed accepts") > 0, "descriptors never ran out");
    let connections = (inside + waiting) as u64;
    assert_eq!((totals.connections, totals.requests), (connections, sent as u64));
    let fates = Fates { served: sent as u64, ..Fates::default() };
    let accepts = totals.errors("failed accepts");
    let note = format!("{outside} waited for descriptors; {accepts} failed accepts");
    Row::new(sent as u64, fates, aftermath).noted(note)
}

/// Sets the limit of open files of the server and returns the previous one. `None` if prlimit(1) is
/// not installed.
fn limit_files(ground: &Ground, soft: Option<&str>) -> Option<String> {
    let pid = ground.watch.pid.to_string();
    let prlimit = |option: &str| {
        let words = ["--pid", &pid, option, "--output", "SOFT", "--noheadings", "--raw"];
        Command::new("prlimit").args(words).output().ok()
    };
    let output = prlimit("--nofile")?;
    if let Some(soft) = soft {
        let words = ["--pid", &pid, &format!("--nofile={soft}:")];
        let set = Command::new("prlimit").args(words).output().ok()?;
        assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    }
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The server is stopped (SIGSTOP) while requests and connections arrive, and continued.
pub(crate) fn stopped(form: Form) -> Verdict {
    let clients = form.clients(50, 500);
    let time = form.of(Duration::from_millis(500), Duration::from_secs(2));
    let ground = Ground::new(&[], 2 * clients);
    let good = ground.good_client();
    let mut peers = crowd(ground.address, clients, GET);
    receive_until("they are served", &mut peers, &ground.page, |peer| peer.pages == 1);
    send_all(&mut peers, GET);
    let late = ground.while_stopped(|| {
        let late = crowd(ground.address, clients, GET);
        breathe(time);
        late
    });
    receive_until("they are served again", &mut peers, &ground.page, |peer| peer.pages == 2);
    peers.extend(late);
    receive_until("all are served", &mut peers, &ground.page, |peer| peer.pages >= 1);
    send_all(&mut peers, GET);
    receive_until("and go on", &mut peers, &ground.page, |peer| peer.pages >= 2);
    receive_until("as before", &mut peers[..clients], &ground.page, |peer| peer.pages == 3);
    let served = 5 * clients;
    drop(peers);
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&[]);
    assert_eq!((totals.connections, totals.requests), (2 * clients as u64, served as u64));
    let fates = Fates { served: served as u64, ..Fates::default() };
    let note = format!("for {time:?}, the least time of the good client's slowest request");
    Row::new(served as u64, fates, aftermath).noted(note)
}

/// The machine of 2010: its memory for the server and its socket buffers. No client reads before
/// all have sent their requests.
pub(crate) fn memory(form: Form) -> Verdict {
    let clients = form.clients(1000, 10_000);
    let mib = form.of(64, 512);
    let group = match Group::new(mib << 20) {
        Ok(group) => group,
        Err(why) => return Verdict::Skipped(why),
    };
    let page = pattern(PAGE_BYTES);
    let file = TemporaryFile::with("bin", &page);
    let spawn = (clients + 10).to_string();
    let options = ["--spawn", &spawn, "--page", file.path()];
    let words = group.words();
    let server = Server::start_by(&words.each_ref().map(String::as_str), &LISTEN, &options);
    let ground = Ground::of(server, &page, clients);
    let good = ground.good_client();
    let mut peers = crowd(ground.address, clients, GET);
    await_that("all are accepted", || ground.watch.connections().count() >= clients);
    receive_until("all are served", &mut peers, &page, |peer| peer.pages == 1);
    send_all(&mut peers, GET);
    receive_until("and served again", &mut peers, &page, |peer| peer.pages == 2);
    drop(peers);
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&[]);
    let pages = 2 * clients;
    assert_eq!((totals.connections, totals.requests), (clients as u64, pages as u64));
    let fates = Fates { served: pages as u64, ..Fates::default() };
    let note = format!("{clients} connections in {mib} MiB; {}", group.usage());
    Row::new(pages as u64, fates, aftermath).noted(note)
}

/// Descriptors left below the limit when it falls.
const SPARE: usize = 10;
/// The size of the page in the attack on memory.
const PAGE_BYTES: usize = 128 << 10;
const LISTEN: [&str; 1] = ["127.0.0.1:0"];
