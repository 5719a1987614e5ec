//! The sides of a comparison, and the settings of their runs. Pure.

use crate::experiment::numbers::grouped;
use crate::load::report::Run;
use crate::load::saved::SavedReport;
use serde::Serialize;
use std::fmt;

/// The reports of one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The value of `--label`, or the file.
    pub label: String,
    /// The reports, by the names of their files.
    pub files: Vec<String>,
    /// The URL of the first report.
    pub url: String,
    /// The load of the first report.
    pub load: String,
    #[serde(skip)]
    runs: Vec<Run>,
}

/// The settings that runs have in common when they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RunSetting {
    /// Number of simultaneous connections.
    pub connections: u32,
    /// The rate that `--rate` asked for.
    pub rate_asked: Option<f64>,
}

/// The settings of runs that are compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ComparedRuns {
    /// All runs have this setting.
    Alike(RunSetting),
    /// Each side has a single setting, and not all of them are equal.
    Apart {
        /// The setting of each side.
        settings: Vec<RunSetting>,
    },
}

/// The sides of these reports, in the order of their first ones. A report without a label is a side
/// of its own.
pub(super) fn of(reports: &[SavedReport]) -> Vec<Side> {
    let mut sides = Vec::<Side>::new();
    for SavedReport { name, report } in reports {
        let is_labelled = !report.label.is_empty();
        let label = if is_labelled { &report.label } else { name };
        let known = sides.iter_mut().find(|side| is_labelled && side.label == *label);
        if let Some(side) = known {
            side.files.push(name.clone());
            side.runs.extend_from_slice(&report.runs);
        } else {
            sides.push(Side {
                label: label.clone(),
                files: vec![name.clone()],
                url: report.url.clone(),
                load: report.load.clone(),
                runs: report.runs.clone(),
            });
        }
    }
    sides
}

/// The settings of these runs, each once, in their order.
fn settings<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<RunSetting> {
    let mut found = Vec::new();
    for setting in runs.map(RunSetting::of) {
        if !found.contains(&setting) {
            found.push(setting);
        }
    }
    found
}

/// The groups of runs to compare: those of each setting or, if each side has a single one, all
/// runs, which then may differ in their setting.
pub(super) fn groups(sides: &[Side]) -> Vec<ComparedRuns> {
    let of_sides: Vec<_> = sides.iter().map(|side| settings(side.runs())).collect();
    let is_single = of_sides.iter().all(|settings| settings.len() == 1);
    let all = settings(sides.iter().flat_map(Side::runs));
    if is_single && all.len() > 1 {
        return vec![ComparedRuns::Apart { settings: of_sides.concat() }];
    }
    all.into_iter().map(ComparedRuns::Alike).collect()
}

impl Side {
    /// The runs of all reports of the side.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// The runs with the setting of a group; all runs of a group whose sides differ.
    pub(super) fn with(&self, group: &ComparedRuns) -> Vec<&Run> {
        let has_it = |run: &&Run| match group {
            ComparedRuns::Alike(setting) => RunSetting::of(run) == *setting,
            ComparedRuns::Apart { .. } => true,
        };
        self.runs().filter(has_it).collect()
    }

    /// The side with its settings, as in `a.json has 10 connections, 100 connections`.
    pub(super) fn describe(&self) -> String {
        let settings: Vec<String> = settings(self.runs()).iter().map(ToString::to_string).collect();
        format!("{} has {}", self.label, settings.join(", "))
    }
}

impl RunSetting {
    fn of(run: &Run) -> Self {
        Self { connections: run.connections, rate_asked: run.rate_asked }
    }

    /// The setting without its connections.
    fn loop_text(&self) -> String {
        match self.rate_asked {
            Some(rate) => format!("{} requests/s", grouped(rate)),
            None => "closed loop".to_owned(),
        }
    }
}

impl fmt::Display for RunSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.connections == 1 { "connection" } else { "connections" };
        write!(f, "{} {noun}", grouped(f64::from(self.connections)))?;
        match self.rate_asked {
            Some(_) => write!(f, " at {}", self.loop_text()),
            None => Ok(()),
        }
    }
}

impl ComparedRuns {
    /// The settings in which the sides differ, as sentences.
    pub(super) fn differences(&self) -> Vec<String> {
        let Self::Apart { settings } = self else { return Vec::new() };
        let mut found = Vec::new();
        let mut compare = |what: &str, values: Vec<String>| {
            if values.iter().any(|value| *value != values[0]) {
                found.push(format!("The sides differ in their {what}: {}.", values.join(", ")));
            }
        };
        let connections = |of: &RunSetting| grouped(f64::from(of.connections));
        compare("number of connections", settings.iter().map(connections).collect());
        let rate = |of: &RunSetting| {
            of.rate_asked.map_or("none".to_owned(), |rate| format!("{} per second", grouped(rate)))
        };
        compare("rate", settings.iter().map(rate).collect());
        let is_closed = |of: &RunSetting| of.rate_asked.is_none();
        if settings.iter().any(is_closed) && !settings.iter().all(is_closed) {
            found.push(DUE_TIMES.to_owned());
        }
        found
    }
}

impl fmt::Display for ComparedRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alike(setting) => setting.fmt(f),
            Self::Apart { settings } => {
                let is_like_first = |of: &RunSetting| of.connections == settings[0].connections;
                let texts: Vec<String> = if settings.iter().all(is_like_first) {
                    let first = RunSetting { rate_asked: None, ..settings[0] };
                    write!(f, "{first}, ")?;
                    settings.iter().map(RunSetting::loop_text).collect()
                } else {
                    settings.iter().map(ToString::to_string).collect()
                };
                f.write_str(&texts.join(" against "))
            }
        }
    }
}

/// What a comparison of a closed loop with an open one has to say.
const DUE_TIMES: &str = "With a rate, response times count from the time at which each request was \
                         due; without one, from its sending.";
