//! The folder of a sweep's results. All files are written after every point, and read again when an
//! interrupted sweep continues. Files are replaced atomically, by rename(2).

use super::harness::Point;
use super::results::{Machine, Measurement, Results, SCHEMA, Settings};
use super::{figures, summary, table};
use crate::error::Failure;
use crate::os::lock::Lock;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The results so far, and their folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    results: Results,
}

/// Creates the folder unless it exists, and locks it for one sweep until the lock is dropped.
///
/// # Errors
/// If another sweep has locked the folder, or it can't be created.
pub fn lock(folder: &Path) -> Result<Lock, Failure> {
    create(folder)?;
    let lock = Lock::take(folder).map_err(|error| unusable("locking", folder, error))?;
    lock.ok_or_else(|| unusable("locking", folder, "another sweep uses it"))
}

fn create(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| unusable("creating", folder, error))
}

fn unusable(action: &str, folder: &Path, why: impl std::fmt::Display) -> Failure {
    let what = format!("{action} the folder {}", folder.display());
    Failure::new(what, why, "choose another folder with --out")
}

impl Store {
    /// Continues the results in a folder, or starts new ones if there are none or `fresh` is set.
    ///
    /// # Errors
    /// If the results have other settings or are of another machine, or the folder is unusable.
    pub fn open(
        folder: &Path,
        fresh: bool,
        settings: Settings,
        machine: Machine,
    ) -> Result<Self, Failure> {
        create(folder)?;
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
            results = resume(results, known);
        }
        let store = Self { folder: folder.to_owned(), results };
        // Written at once, so that an unwritable folder is noticed before hours of measurement.
        store.write().map_err(|error| unusable("writing to", folder, error))?;
        Ok(store)
    }

    /// The results so far.
    #[must_use]
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Whether a point is measured.
    #[must_use]
    pub fn has(&self, point: &Point<'_>) -> bool {
        self.results.measurements.iter().any(|measurement| point.is_of(measurement))
    }

    /// Adds a measurement, and writes all files.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn add(&mut self, measurement: Measurement) -> Result<(), Failure> {
        self.results.measurements.push(measurement);
        self.results.ended = now();
        self.results.summary =
            summary::summarize(&self.results.settings, &self.results.measurements);
        let what = || format!("writing to the folder {}", self.folder.display());
        let hint = "earlier points are saved; run the same command to continue";
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

/// Continues known results with new settings, which may differ only in the number of rounds. No
/// measurement is discarded: if a round beyond the new number was begun, it is finished.
fn resume(new: Results, known: Results) -> Results {
    let measured = known.measurements.iter().map(|measurement| measurement.round).max();
    let rounds = new.settings.rounds.max(measured.unwrap_or(0));
    let settings = Settings { rounds, ..new.settings };
    let summary = summary::summarize(&settings, &known.measurements);
    Results { planned: planned(&settings), settings, summary, ..known }
}

/// Reads the results in a folder; `None` if there are none.
fn read(folder: &Path, key: &str) -> Result<Option<Results>, Failure> {
    let path = folder.join(JSON);
    let fail = |why: &dyn std::fmt::Display| {
        let hint = "restore the earlier settings, choose another folder with --out, or discard \
                    these results with --fresh";
        Failure::new(format!("continuing {}", path.display()), why, hint)
    };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(&error)),
    };
    // First, as the results of another schema have other fields.
    let SchemaName { schema } = serde_json::from_slice(&text).map_err(|error| fail(&error))?;
    match schema.as_str() {
        SCHEMA => {}
        SCHEMA_TO_THE_LAST_RESPONSE => {
            return Err(fail(&format!(
                "its schema is {schema}, whose rates are over the time to the last response; they \
                 can't be mixed with those of {SCHEMA}, which are over the time of the load"
            )));
        }
        _ => return Err(fail(&format!("its schema is {schema}, not {SCHEMA}"))),
    }
    let known: Results = serde_json::from_slice(&text).map_err(|error| fail(&error))?;
    if known.key != key {
        return Err(fail(&"the results have other settings, or are of another machine"));
    }
    Ok(Some(known))
}

/// The one field that the results of all schemas have.
#[derive(Deserialize)]
struct SchemaName {
    schema: String,
}

/// A hash that is equal for results that may be mixed; independent of the number of rounds.
fn key(settings: &Settings, machine: &Machine) -> String {
    let mut settings = settings.clone();
    settings.rounds = 0;
    // Without sysctls and limits: some sweeps show the effect of changing them. The description of
    // the machine has their values at the start.
    let parts = (&settings, &machine.kernel, &machine.cpu, machine.cores);
    let text = serde_json::to_string(&parts).expect("the settings have no keys but strings");
    let hash = Sha256::digest(text);
    let first = hash.first_chunk().expect("a hash has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*first))
}

fn planned(settings: &Settings) -> u64 {
    let lists = [settings.concurrency.len(), settings.loads.len(), settings.servers.len()];
    u64::from(settings.rounds) * lists.iter().product::<usize>() as u64
}

/// Replaces a file atomically: after a crash, either the old or the new content is there.
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

/// The schema whose rates were lower wherever a response was late or lost.
const SCHEMA_TO_THE_LAST_RESPONSE: &str = "uringload-sweep/1";
const JSON: &str = "results.json";
const MARKDOWN: &str = "results.md";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::harness::points;
    use crate::experiment::sweep::tests::{TempFolder, machine, measured, settings};

    fn open(folder: &TempFolder, fresh: bool, settings: Settings) -> Result<Store, Failure> {
        Store::open(folder.path(), fresh, settings, machine())
    }

    fn refusal(outcome: Result<Store, Failure>) -> String {
        outcome.expect_err("the folder is refused").to_string()
    }

    #[test]
    fn results_are_reloaded_and_discarded_only_by_fresh() {
        let folder = TempFolder::new();
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
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        let expected = ["results-close.svg", "results-keep.svg", "results.json", "results.md"];
        assert_eq!(files, expected, "no temporary file is left");
        let chart = fs::read_to_string(folder.path().join("results-close.svg")).unwrap();
        assert!(!chart.contains("Throughput"), "the chart has no discarded results");
    }

    #[test]
    fn results_with_other_settings_are_refused_but_rounds_may_change() {
        let folder = TempFolder::new();
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
    fn files_that_are_no_results_are_left_unchanged() {
        let folder = TempFolder::new();
        let path = folder.path().join(JSON);
        fs::write(&path, "{}").unwrap();
        assert!(refusal(open(&folder, false, settings())).contains("missing field"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        let store = open(&folder, true, settings()).unwrap();
        let other = Results { schema: "other/7".to_owned(), ..store.results().clone() };
        fs::write(&path, serde_json::to_string(&other).unwrap()).unwrap();
        assert!(refusal(open(&folder, false, settings())).contains("its schema is other/7"));
        let text = include_str!("../../../benches/post/results/results.json");
        let earlier = text.replace("uringload-sweep/2", SCHEMA_TO_THE_LAST_RESPONSE);
        fs::write(&path, &earlier).unwrap();
        let complaint = refusal(open(&folder, false, settings()));
        assert!(complaint.contains("whose rates are over the time to the last"), "{complaint}");
        assert!(complaint.contains("--fresh"), "{complaint}");
        assert_eq!(fs::read_to_string(&path).unwrap(), earlier);
        let below = folder.path().join(JSON).join("below");
        let complaint = refusal(Store::open(&below, false, settings(), machine()));
        assert!(complaint.contains("creating the folder"), "{complaint}");
    }
}
