//! Sweeps with real servers and a substitute for the load client (`sweep/client.sh`), checked
//! by the files that they write.

mod servers;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use uringstatic::experiment::sweep::results::{Measurement, PointOutcome, Results, SummaryRow};
use uringstatic::experiment::sweep::{Args, Error, SweepEnd, run};

#[test]
fn sweep_measures_and_records_every_point() {
    let sweep = Sweep::new(&format!(
        r#"
        rounds = 2
        requests = 6
        concurrency = [5, 7]
        client_cpu = {core}
        [[load]]
        name = "close"
        options = ["--close", "--log", "{{here}}/log"]
        [[load]]
        name = "keep-alive"
        requests = 3
        [[server]]
        name = "by words"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}", "--spawn", "{{concurrency}}"]
        cpu = {core}
        [[server]]
        name = "by a line"
        command = """sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done
            exec ./link --listen $WHERE --quiet'"""
        environment = {{ WHERE = "127.0.0.1:{{port}}" }}
        folder = "below"
        "#,
        core = a_core(),
    ));
    fs::create_dir(sweep.path("below")).unwrap();
    std::os::unix::fs::symlink(PROGRAM, sweep.path("below/link")).unwrap();
    assert_eq!(sweep.run().unwrap(), SweepEnd::Clean);
    let results = sweep.results();
    assert_eq!((results.planned, results.measurements.len()), (16, 16));
    for measurement in &results.measurements {
        assert_eq!(measurement.outcome, PointOutcome::Measured, "{measurement:?}");
        assert_eq!(measurement.note, None);
        assert_eq!(measurement.output, None);
        assert_eq!(measurement.exit.as_deref(), Some("exit 0"));
        let run = measurement.run.as_ref().unwrap();
        let requests = if measurement.load == "close" { 6 } else { 3 };
        assert_eq!((run.requests, run.connections), (requests, measurement.connections));
        assert_eq!(run.response_us.percentiles, []);
        assert!(measurement.memory_bytes.unwrap() > 1 << 20, "{measurement:?}");
        // A request costs about 20 to 50 µs, the start of a server 100,000 µs and more.
        let (cpu_us, seconds) = (measurement.cpu_us.unwrap(), measurement.cpu_seconds.unwrap());
        assert!(cpu_us > 1.0 && cpu_us < 5e3, "{measurement:?}");
        assert!((seconds * 1e6 / f64::from(u32::try_from(requests).unwrap()) - cpu_us).abs() < 0.1);
    }
    let order: Vec<_> = results.measurements.iter().map(|m| (m.round, m.connections)).collect();
    assert_eq!(order[..4], [(1, 5), (1, 5), (1, 7), (1, 7)]);
    let row = row(&results, "close", "by a line", 7);
    assert_eq!((row.rounds, row.rate.unwrap().median), (2, 12.0));
    assert_eq!((row.failed.as_ref().unwrap().of, row.p99_us.unwrap().max), (12, 4000.0));
    let log = fs::read_to_string(sweep.path("log")).unwrap();
    assert_eq!(log.lines().count(), 8);
    let called = "--connections 5 --requests 6 --duration 1m --quiet --json";
    assert!(log.lines().next().unwrap().contains(called), "{log}");
    let table = fs::read_to_string(sweep.path("out/results.md")).unwrap();
    assert!(table.contains("| 7 | by words | 12 | 0 |"), "{table}");
    let files = ["results-close.svg", "results-keep-alive.svg", "results.json", "results.md"];
    assert_eq!(sweep.files(), files);
}

#[test]
fn server_that_does_not_start_is_a_row_with_the_reason() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 2
        concurrency = [3]
        [[load]]
        name = "close"
        [[server]]
        name = "refuses"
        command = "sh -c 'echo no licence for {{port}} >&2; exit 4'"
        [[server]]
        name = "is not there"
        command = ["/nowhere/server", "{{port}}"]
        [[server]]
        name = "is silent"
        command = "tail -f /dev/null {{port}}"
        start_timeout = "300ms"
        [[server]]
        name = "works"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        "#
    ));
    assert_eq!(sweep.run().unwrap(), SweepEnd::Troubled);
    let results = sweep.results();
    let [refuses, absent, silent, works] = results.measurements.as_slice() else { panic!() };
    for (measurement, note, exit) in [
        (refuses, "did not start: ended with exit 4", Some("exit 4")),
        (absent, "did not start: /nowhere/server: No such file or directory (os error 2)", None),
        (silent, "did not start: no response within 0.3 s", Some("signal 15")),
    ] {
        assert_eq!(measurement.outcome, PointOutcome::NotStarted);
        assert_eq!(measurement.note.as_deref(), Some(note));
        assert_eq!(measurement.exit.as_deref(), exit);
        assert_eq!((&measurement.run, measurement.cpu_us), (&None, None));
        let row = row(&results, "close", &measurement.server, 3);
        assert_eq!((row.rate, row.note.as_deref()), (None, Some(note)));
    }
    assert!(refuses.output.as_ref().unwrap().starts_with("no licence for "), "{refuses:?}");
    assert_eq!(works.outcome, PointOutcome::Measured);
    let table = fs::read_to_string(sweep.path("out/results.md")).unwrap();
    assert!(table.contains("| did not start: ended with exit 4 |"), "{table}");
}

#[test]
fn servers_that_die_or_are_killed_are_recorded() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 6
        concurrency = [3]
        stop_timeout = "200ms"
        [[load]]
        name = "deadly"
        options = ["--kill", "{{here}}/pid"]
        [[load]]
        name = "harmless"
        [[server]]
        name = "mortal"
        command = "sh -c 'echo $$ > {{here}}/pid; exec {PROGRAM} --listen 127.0.0.1:{{port}}'"
        [[server]]
        name = "stubborn"
        command = """sh -c 'trap "" TERM; {PROGRAM} --listen 127.0.0.1:{{port}} & \
            echo $! > {{here}}/pid; echo {{port}} > {{here}}/port; wait; tail -f /dev/null'"""
        "#
    ));
    assert_eq!(sweep.run().unwrap(), SweepEnd::Troubled);
    let results = sweep.results();
    let [died, _, harmless, stubborn] = results.measurements.as_slice() else { panic!() };
    assert_eq!(died.outcome, PointOutcome::Died);
    assert_eq!(died.note.as_deref(), Some("died under the load: signal 9"));
    assert_eq!(died.exit.as_deref(), Some("signal 9"));
    let run = died.run.as_ref().unwrap();
    assert_eq!((run.requests, run.failed, run.failures["reset_before_reply"]), (3, 3, 3));
    assert!(died.output.as_ref().unwrap().contains("uringstatic: ready on"), "{died:?}");
    assert_eq!(harmless.outcome, PointOutcome::Measured);
    assert_eq!(stubborn.outcome, PointOutcome::Killed);
    let note = "killed, as it did not end within 0.2 s of SIGTERM";
    assert_eq!((stubborn.note.as_deref(), stubborn.exit.as_deref()), (Some(note), Some("killed")));
    // Its child is killed with its process group.
    let port: u16 = fs::read_to_string(sweep.path("port")).unwrap().trim().parse().unwrap();
    sweep.assert_closed(port);
}

#[test]
fn interrupted_sweep_continues_with_the_next_point() {
    let text = format!(
        r#"
        rounds = 2
        requests = 2
        concurrency = [3, 4]
        [[load]]
        name = "close"
        options = ["--log", "{{here}}/log", "--hang", "{{here}}/pipe"]
        [[server]]
        name = "a"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        [[server]]
        name = "b"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}", "--quiet"]
        "#
    );
    let sweep = Sweep::new(&text);
    let pipe = sweep.make_pipe();
    assert_eq!(run(&sweep.args(), pipe.as_fd()).unwrap(), SweepEnd::Interrupted);
    let before = sweep.results();
    assert_eq!((before.planned, before.measurements.len()), (8, 2));
    assert_eq!(sweep.files(), ["results-close.svg", "results.json", "results.md"]);
    sweep.assert_closed(sweep.port_of_third_call());

    assert_eq!(sweep.run().unwrap(), SweepEnd::Clean);
    let after = sweep.results();
    assert_eq!(after.began, before.began);
    assert_eq!(
        after.measurements[..2],
        before.measurements[..],
        "earlier measurements are unchanged"
    );
    let points: Vec<_> = after.measurements.iter().map(point).collect();
    assert_eq!(points.len(), 8);
    assert_eq!(
        points.iter().collect::<BTreeSet<_>>().len(),
        8,
        "each point occurs once: {points:?}"
    );
    let calls = || fs::read_to_string(sweep.path("log")).unwrap().lines().count();
    assert_eq!(calls(), 8 + 1, "the interrupted point was repeated");

    // An uninterrupted sweep has the same points in the same order.
    let uninterrupted =
        Sweep::new(&text.replace("\"--log\", \"{here}/log\", \"--hang\", \"{here}/pipe\"", ""));
    assert_eq!(uninterrupted.run().unwrap(), SweepEnd::Clean);
    let measurements = uninterrupted.results().measurements;
    assert_eq!(measurements.iter().map(point).collect::<Vec<_>>(), points);

    // A complete sweep measures again only with more rounds or with --fresh.
    assert_eq!(sweep.run().unwrap(), SweepEnd::Clean);
    assert_eq!((sweep.results(), calls()), (after, 9));
    let more = Args { rounds: 3.try_into().ok(), ..sweep.args() };
    assert_eq!(run_uninterrupted(&more).unwrap(), SweepEnd::Clean);
    assert_eq!((sweep.results().measurements.len(), calls()), (12, 13));
    let fresh = Args { fresh: true, rounds: 1.try_into().ok(), ..sweep.args() };
    assert_eq!(run_uninterrupted(&fresh).unwrap(), SweepEnd::Clean);
    assert_eq!((sweep.results().measurements.len(), calls()), (4, 17));

    let other = Args { requests: 9.try_into().ok(), ..sweep.args() };
    let Err(Error::Failed(failure)) = run_uninterrupted(&other) else { panic!() };
    assert!(failure.to_string().contains("other settings"), "{failure}");
    assert_eq!(sweep.results().measurements.len(), 4);
}

#[test]
fn sweep_locks_its_folder_and_its_servers_die_with_it() {
    let sweep = Sweep::new(&format!(
        r#"
        requests = 2
        concurrency = [3, 4, 5]
        [[load]]
        name = "close"
        options = ["--log", "{{here}}/log", "--hang", "{{here}}/pipe"]
        [[server]]
        name = "a"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        "#
    ));
    let mut pipe = sweep.make_pipe();
    let mut first = Command::new(env!("CARGO_BIN_EXE_uringload"))
        .args(["sweep", "--quiet", "--client", CLIENT, "--out"])
        .arg(sweep.path("out"))
        .arg(sweep.path("sweep.toml"))
        .spawn()
        .unwrap();
    // The third load has started, and never ends.
    pipe.read_exact(&mut [0]).unwrap();
    let Err(Error::Failed(failure)) = sweep.run() else { panic!() };
    assert!(failure.to_string().contains("another sweep uses it"), "{failure}");
    assert!(failure.hint.contains("--out"), "{failure}");
    let port = sweep.port_of_third_call();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "the server is running");
    // SIGKILL can't be handled: the kernel must end the server.
    first.kill().unwrap();
    first.wait().unwrap();
    sweep.assert_closed(port);
    assert_eq!(sweep.run().unwrap(), SweepEnd::Clean, "the folder is unlocked");
    assert_eq!(sweep.results().measurements.len(), 3);
}

#[test]
fn missing_folder_differs_from_a_missing_program() {
    let sweep = Sweep::new(
        r#"
        concurrency = [3]
        [[load]]
        name = "close"
        [[server]]
        name = "a"
        command = ["sh", "{port}"]
        folder = "nowhere"
        "#,
    );
    assert_eq!(sweep.run().unwrap(), SweepEnd::Troubled);
    let measurement = &sweep.results().measurements[0];
    assert_eq!(measurement.outcome, PointOutcome::NotStarted);
    let note = measurement.note.as_deref().unwrap();
    let expected = format!("folder {}: No such file", sweep.path("nowhere").display());
    assert!(note.contains(&expected), "{note}");
}

#[test]
fn load_client_without_a_report_is_recorded() {
    let sweep = Sweep::new(&format!(
        r#"
        concurrency = [3]
        [[load]]
        name = "close"
        options = ["--fail"]
        [[server]]
        name = "a"
        command = ["{PROGRAM}", "--listen", "127.0.0.1:{{port}}"]
        "#
    ));
    assert_eq!(sweep.run().unwrap(), SweepEnd::Troubled);
    let measurement = &sweep.results().measurements[0];
    assert_eq!(measurement.outcome, PointOutcome::LoadFailed);
    let note = "load client: exit 2 without a report: this client is out of order";
    assert_eq!(measurement.note.as_deref(), Some(note));
    assert_eq!(measurement.exit.as_deref(), Some("exit 0"));
}

#[test]
fn invalid_file_is_refused_before_the_first_point() {
    let usage = |text: &str| {
        let sweep = Sweep::new(text);
        let Err(Error::Usage(complaint)) = sweep.run() else { panic!("{text}") };
        assert!(!sweep.path("out").exists());
        assert!(complaint.starts_with(sweep.path("sweep.toml").to_str().unwrap()), "{complaint}");
        complaint
    };
    assert!(usage("threads = 5").contains("unknown field `threads`"));
    let text = "concurrency = [1]\n[[load]]\nname = 'a'\n[[server]]\nname = 'b'\n\
                command = 'c {port}'\ncpu = 1000";
    let complaint = usage(text);
    assert!(complaint.contains("server \"b\": cpu: core 1000 is not among"), "{complaint}");
    let sweep = Sweep::new(
        "concurrency = [1]\n[[load]]\nname = 'a'\noptions = ['--close', '--pipelines=2']\n\
         [[server]]\nname = 'b'\ncommand = 'c {port}'",
    );
    let Err(Error::Usage(complaint)) = run_uninterrupted(&Args { client: None, ..sweep.args() })
    else {
        panic!()
    };
    assert!(complaint.contains("load \"a\": options: "), "{complaint}");
    assert!(complaint.contains("unexpected argument '--pipelines'"), "{complaint}");
    assert!(!sweep.path("out").exists());
    let absent = Args { file: "/nowhere.toml".into(), ..Sweep::new("").args() };
    let Err(Error::Usage(complaint)) = run_uninterrupted(&absent) else { panic!() };
    assert!(complaint.starts_with("/nowhere.toml: No such file"), "{complaint}");
}

#[test]
fn files_of_the_experiment_are_valid() {
    for (name, loads) in [("post.toml", 3), ("ci.toml", 2)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/post").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let overrides = uringstatic::experiment::sweep::config::Overrides::default();
        let settings = uringstatic::experiment::sweep::config::parse(&text, overrides);
        let settings = settings.unwrap_or_else(|complaint| panic!("{name}: {complaint}"));
        assert_eq!(settings.loads.len(), loads);
        assert_eq!(settings.servers[0].name, "uringstatic");
    }
}

/// A sweep in a temporary folder, removed when dropped.
struct Sweep(PathBuf);

impl Sweep {
    /// Replaces `{here}` in the text by the folder.
    fn new(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("uringload-sweep-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let text = text.replace("{here}", folder.to_str().unwrap());
        fs::write(folder.join("sweep.toml"), text).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn args(&self) -> Args {
        Args {
            file: self.path("sweep.toml"),
            out: self.path("out"),
            rounds: None,
            requests: None,
            time_max: None,
            concurrency: Vec::new(),
            options: Vec::new(),
            fresh: false,
            quiet: true,
            client: Some(CLIENT.into()),
        }
    }

    fn run(&self) -> Result<SweepEnd, Error> {
        run_uninterrupted(&self.args())
    }

    fn results(&self) -> Results {
        let file = File::open(self.path("out/results.json")).unwrap();
        serde_json::from_reader(file).unwrap()
    }

    /// The names of the files in the folder of the results.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("out")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Creates the pipe for `--hang`, opened for reading and writing so that opening doesn't block
    /// (fifo(7)).
    fn make_pipe(&self) -> File {
        let made = Command::new("mkfifo").arg(self.path("pipe")).status().unwrap();
        assert!(made.success());
        OpenOptions::new().read(true).write(true).open(self.path("pipe")).unwrap()
    }

    /// The port in the URL of the third call of the load client, which hangs.
    fn port_of_third_call(&self) -> u16 {
        let log = fs::read_to_string(self.path("log")).unwrap();
        let url = log.lines().nth(2).unwrap().rsplit(' ').next().unwrap();
        url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Waits until nothing listens on the port. The kernel takes about 40 ms to close the listener
    /// of a ring.
    fn assert_closed(&self, port: u16) {
        let begun = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {
            assert!(begun.elapsed().as_secs() < 20, "{}: port {port}", self.0.display());
        }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a sweep without interruption.
fn run_uninterrupted(args: &Args) -> Result<SweepEnd, Error> {
    let (_silent, interrupts) = UnixStream::pair().unwrap();
    run(args, interrupts.as_fd())
}

fn row<'a>(results: &'a Results, load: &str, server: &str, connections: u32) -> &'a SummaryRow {
    let load = results.summary.iter().find(|rows| rows.load == load).unwrap();
    let server = load.servers.iter().find(|rows| rows.server == server).unwrap();
    server.rows.iter().find(|row| row.connections == connections).unwrap()
}

fn point(measurement: &Measurement) -> (u32, String, u32, String) {
    let Measurement { round, load, connections, server, .. } = measurement;
    (*round, load.clone(), *connections, server.clone())
}

/// A core of this process's affinity mask.
fn a_core() -> u32 {
    uringstatic::os::process::cores()[0]
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_uringstatic");
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/sweep/client.sh");
