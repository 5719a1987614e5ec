//! The results of a sweep in their folder, written after every point, and read again by a sweep
//! that goes on. A file is replaced as a whole, so there is never half of one.

use super::results::{Machine, Measurement, Results, SCHEMA, Settings};
use super::{Point, figures, summary, table};
use crate::error::Failure;
use crate::os::lock::Lock;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The results so far, and where they are.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    results: Results,
}

/// Makes the folder, if need be, and holds it for one sweep alone, as long as what is returned is
/// there.
///
/// # Errors
/// If another sweep holds it, or it can't be made.
pub fn hold(folder: &Path) -> Result<Lock, Failure> {
    let fail = |what: &str, why: &dyn std::fmt::Display| {
        Failure::new(format!("{what} {}", folder.display()), why, MEND)
    };
    fs::create_dir_all(folder).map_err(|error| fail("making the folder", &error))?;
    let lock = Lock::take(folder).map_err(|error| fail("holding the folder", &error))?;
    lock.ok_or_else(|| fail("holding the folder", &"another sweep is at work there"))
}

impl Store {
    /// Takes up the results in a folder if there are any, or begins anew if that is asked for.
    ///
    /// # Errors
    /// If there are results of other settings or of another machine, or the folder can't be used.
    pub fn open(
        folder: &Path,
        fresh: bool,
        settings: Settings,
        machine: Machine,
    ) -> Result<Self, Failure> {
        let fail = |what: &str, why: &dyn std::fmt::Display| {
            Failure::new(format!("{what} {}", folder.display()), why, MEND)
        };
        fs::create_dir_all(folder).map_err(|error| fail("making the folder", &error))?;
        let now = now();
        let mut results = Results {
            schema: SCHEMA.to_owned(),
            key: key(&settings, &machine),
            began: now.clone(),
            ended: now,
            planned: planned(&settings),
            machine,
            settings,
            summary: Vec::new(),
            measurements: Vec::new(),
        };
        if !fresh && let Some(known) = read(folder, &results.key)? {
            results = take_up(results, known);
        }
        let store = Self { folder: folder.to_owned(), results };
        // Before hours are spent: can it be written at all?
        store.write().map_err(|error| fail("writing to the folder", &error))?;
        Ok(store)
    }

    /// What there is so far.
    #[must_use]
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Whether a point was measured.
    #[must_use]
    pub fn has(&self, point: &Point<'_>) -> bool {
        self.results.measurements.iter().any(|measurement| point.is_of(measurement))
    }

    /// Adds a measurement, and writes everything.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn add(&mut self, measurement: Measurement) -> Result<(), Failure> {
        self.results.measurements.push(measurement);
        self.results.ended = now();
        self.results.summary =
            summary::summarize(&self.results.settings, &self.results.measurements);
        let what = || format!("writing to the folder {}", self.folder.display());
        let hint = "what was measured before is there; the same command goes on";
        self.write().map_err(|error| Failure::new(what(), error, hint))
    }

    fn write(&self) -> io::Result<()> {
        let mut json = serde_json::to_string_pretty(&self.results)?;
        json.push('\n');
        replace(&self.folder.join(JSON), json.as_bytes())?;
        replace(&self.folder.join(MARKDOWN), table::markdown(&self.results).as_bytes())?;
        for (file, picture) in figures::figures(&self.results) {
            replace(&self.folder.join(file), picture.as_bytes())?;
        }
        Ok(())
    }
}

/// What is known already, under the new settings, which differ in their rounds at most. What was
/// measured is never thrown away: if there are more rounds than wanted, they are finished.
fn take_up(new: Results, known: Results) -> Results {
    let measured = known.measurements.iter().map(|measurement| measurement.round).max();
    let rounds = new.settings.rounds.max(measured.unwrap_or(0));
    let settings = Settings { rounds, ..new.settings };
    let summary = summary::summarize(&settings, &known.measurements);
    Results { planned: planned(&settings), settings, summary, ..known }
}

/// The results in a folder, if there are any.
fn read(folder: &Path, key: &str) -> Result<Option<Results>, Failure> {
    let path = folder.join(JSON);
    let fail = |why: &dyn std::fmt::Display| {
        let hint = "go on with the settings of before, name another folder by --out, or throw \
                    these results away by --fresh";
        Failure::new(format!("going on with {}", path.display()), why, hint)
    };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(&error)),
    };
    let known: Results = serde_json::from_slice(&text).map_err(|error| fail(&error))?;
    if known.schema != SCHEMA {
        return Err(fail(&format!("its schema is {}, and not {SCHEMA}", known.schema)));
    }
    if known.key != key {
        return Err(fail(&"it was measured with other settings, or on another machine"));
    }
    Ok(Some(known))
}

/// The same for all results that may stand side by side. The number of rounds changes none.
fn key(settings: &Settings, machine: &Machine) -> String {
    let mut settings = settings.clone();
    settings.rounds = 0;
    // Sysctls and limits are left out: mending them half-way is what some sweeps are about, and
    // the description says how they were at the beginning.
    let parts = (&settings, &machine.kernel, &machine.cpu, machine.cores);
    let text = serde_json::to_string(&parts).expect("names and numbers can be written");
    let hash = Sha256::digest(text);
    let first = hash.first_chunk().expect("a hash has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

fn planned(settings: &Settings) -> u64 {
    let lists = [settings.concurrency.len(), settings.loads.len(), settings.servers.len()];
    u64::from(settings.rounds) * lists.iter().product::<usize>() as u64
}

/// After a crash there is either the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

const MEND: &str = "name another by --out";
const JSON: &str = "results.json";
const MARKDOWN: &str = "results.md";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::points;
    use crate::experiment::sweep::tests::{Folder, machine, measured, settings};

    fn open(folder: &Folder, fresh: bool, settings: Settings) -> Result<Store, Failure> {
        Store::open(folder.path(), fresh, settings, machine())
    }

    fn refusal(outcome: Result<Store, Failure>) -> String {
        outcome.expect_err("it is refused").to_string()
    }

    #[test]
    fn what_was_added_is_there_again() {
        let folder = Folder::new();
        let mut store = open(&folder, false, settings()).unwrap();
        let plan = settings();
        let first = points(&plan).next().unwrap();
        assert!(!store.has(&first));
        store.add(measured(1, "close", 10, "a", 1.620_001_182_600_863_3)).unwrap();
        let again = open(&folder, false, settings()).unwrap();
        assert_eq!(again.results(), store.results());
        let missing = points(&plan).filter(|point| !again.has(point)).count();
        assert_eq!((again.has(&first), missing), (true, 15));
        assert!(fs::read_to_string(folder.path().join(MARKDOWN)).unwrap().contains("| 10 | a |"));
        let anew = open(&folder, true, settings()).unwrap();
        assert_eq!(anew.results().measurements, []);
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 4, "JSON, table and a figure a load: nothing else is left behind");
        let figure = fs::read_to_string(folder.path().join("results-close.svg")).unwrap();
        assert!(!figure.contains("Throughput"), "what was thrown away is not shown");
    }

    #[test]
    fn other_settings_are_not_mixed_in() {
        let folder = Folder::new();
        let mut store = open(&folder, false, settings()).unwrap();
        store.add(measured(1, "close", 10, "a", 5.0)).unwrap();
        store.add(measured(2, "close", 10, "a", 5.0)).unwrap();
        let change: [fn(&mut Settings); 6] = [
            |settings| settings.concurrency[0] = 11,
            |settings| settings.client_cpu = Some(7),
            |settings| settings.loads[0].requests += 1,
            |settings| settings.loads[0].options.clear(),
            |settings| settings.servers[1].command.push("x".to_owned()),
            |settings| drop(settings.servers[1].environment.insert("A".into(), "b".into())),
        ];
        for change in change {
            let mut other = settings();
            change(&mut other);
            let complaint = refusal(open(&folder, false, other));
            assert!(complaint.contains("other settings"), "{complaint}");
            assert!(complaint.contains("--fresh"), "{complaint}");
        }
        let elsewhere = Machine { cpu: "another".to_owned(), ..machine() };
        assert!(Store::open(folder.path(), false, settings(), elsewhere).is_err());
        for (wanted, rounds) in [(9, 9), (1, 2)] {
            let store = open(&folder, false, Settings { rounds: wanted, ..settings() }).unwrap();
            assert_eq!(store.results().measurements.len(), 2);
            assert_eq!(store.results().settings.rounds, rounds);
            assert_eq!(store.results().planned, u64::from(rounds) * 8);
        }
    }

    #[test]
    fn what_is_no_result_is_left_alone() {
        let folder = Folder::new();
        let path = folder.path().join(JSON);
        fs::write(&path, "{}").unwrap();
        assert!(refusal(open(&folder, false, settings())).contains("missing field"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        let store = open(&folder, true, settings()).unwrap();
        let other = Results { schema: "other/7".to_owned(), ..store.results().clone() };
        fs::write(&path, serde_json::to_string(&other).unwrap()).unwrap();
        assert!(refusal(open(&folder, false, settings())).contains("its schema is other/7"));
        let below = folder.path().join(JSON).join("below");
        let complaint = refusal(Store::open(&below, false, settings(), machine()));
        assert!(complaint.contains("making the folder"), "{complaint}");
    }
}
