//! The server's totals, parsed from its last line.

use std::collections::BTreeMap;

/// The counts of the last line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    pub(crate) in_flight_max: u64,
    /// By their names in the line, without those that did not occur.
    errors: BTreeMap<String, u64>,
}

impl Totals {
    /// Reads the last line: `served 2 connections, ... at most 1 in flight; errors: none`.
    pub(crate) fn parse(text: &str) -> Self {
        let line = text.lines().last().unwrap_or_default();
        let (_, rest) = line.split_once(" served ").unwrap_or_else(|| panic!("no totals: {text}"));
        let (counts, errors) = rest.split_once("; errors: ").expect("errors follow");
        let mut totals = Self::default();
        for (count, name) in counts.split(", ").map(counted) {
            match name {
                "connections" => totals.connections = count,
                "requests" => totals.requests = count,
                "in flight" => totals.in_flight_max = count,
                _ => {}
            }
        }
        if errors != "none" {
            let errors = errors.split(", ").map(counted);
            totals.errors = errors.map(|(count, name)| (name.to_owned(), count)).collect();
        }
        totals
    }

    /// The number of errors with this name.
    pub(crate) fn errors(&self, name: &str) -> u64 {
        self.errors.get(name).copied().unwrap_or(0)
    }

    /// Fails if errors with other names occurred.
    pub(crate) fn assert_no_errors_but(&self, names: &[&str]) {
        let others = self.errors.keys().filter(|name| !names.contains(&name.as_str()));
        assert_eq!(others.count(), 0, "errors beside {names:?}: {:?}", self.errors);
    }
}

fn counted(words: &str) -> (u64, &str) {
    let words = words.trim_start_matches("at most ");
    let (count, name) = words.split_once(' ').expect("a count and its name");
    (count.parse().expect("a count is a number"), name)
}
