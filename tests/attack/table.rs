//! The table: a line for each attack, with what became of every request.

use crate::good_client::Good;
use crate::watch::Figures;
use std::time::Duration;

/// What an attack came to.
pub(crate) enum Verdict {
    Held(Row),
    /// It can't be made here, and why.
    Skipped(String),
}

/// What became of what the attack sent: requests, or connections if it made none. Nothing may be
/// lost that no column has.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) sent: u64,
    pub(crate) fates: Fates,
    pub(crate) aftermath: Option<Aftermath>,
    /// What else there is to say.
    pub(crate) note: String,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    /// A whole page came, or what else a valid request gets.
    pub(crate) served: u64,
    /// The server said that it isn't valid or allowed.
    pub(crate) refused: u64,
    /// The server ended it after its time.
    pub(crate) late: u64,
    /// The client left before there was a response, or without waiting for all of it.
    pub(crate) left: u64,
    /// The server ended the connection before the response had begun, as it was ending itself.
    pub(crate) cut: u64,
}

/// How the server was afterwards.
#[derive(Debug)]
pub(crate) struct Aftermath {
    pub(crate) good: Option<Good>,
    pub(crate) descriptors: Option<usize>,
    pub(crate) before_kib: u64,
    pub(crate) after: Figures,
}

impl Row {
    /// A row whose fates must account for everything.
    pub(crate) fn new(sent: u64, fates: Fates, aftermath: impl Into<Option<Aftermath>>) -> Self {
        let row = Self { sent, fates, aftermath: aftermath.into(), note: String::new() };
        assert_eq!(row.lost(), 0, "lost: {row:?}");
        row
    }

    /// The row with what else there is to say.
    pub(crate) fn noting(mut self, note: String) -> Self {
        self.note = note;
        self
    }

    fn lost(&self) -> u64 {
        let Fates { served, refused, late, left, cut } = self.fates;
        self.sent.checked_sub(served + refused + late + left + cut).expect("each has one fate")
    }

    /// It goes into the table as this.
    pub(crate) fn noted(self, note: String) -> Verdict {
        Verdict::Held(self.noting(note))
    }

    /// The figures of the line.
    fn figures(&self) -> String {
        let Fates { served, refused, late, left, cut } = self.fates;
        let counts = format!(
            "{:>6} {served:>7} {refused:>7} {late:>6} {left:>6} {cut:>6} {:>5}",
            self.sent,
            self.lost()
        );
        let Some(aftermath) = &self.aftermath else { return counts };
        let good = aftermath.good.as_ref().map_or_else(|| " ".repeat(36), good_figures);
        let [before, after] = [aftermath.descriptors, aftermath.after.descriptors]
            .map(|count| count.map_or("?".into(), |n| n.to_string()));
        let (before_kib, after_kib) = (aftermath.before_kib, aftermath.after.memory_kib);
        format!("{counts} {good} {before:>3} {after:>3} {before_kib:>7} {after_kib:>7}")
    }
}

fn good_figures(good: &Good) -> String {
    let (p50, p99) = (good.percentile_ms(50), good.percentile_ms(99));
    let mark = if p99 > P99_GOAL_MS { '*' } else { ' ' };
    format!("{:>6} {p50:>8.2} {p99:>9.2}{mark} {:>9.2}", good.took.len(), good.max_ms())
}

/// What stands above the lines.
pub(crate) fn print_title() {
    println!("{TITLE}");
}

/// A line; a verdict that is none is a failure, of which stderr has the reason.
pub(crate) fn print_line(name: &str, verdict: Option<&Verdict>, took: Duration) {
    let (mark, text, note) = match verdict {
        Some(Verdict::Held(row)) => ("ok", row.figures(), row.note.as_str()),
        Some(Verdict::Skipped(why)) => ("-", String::new(), why.as_str()),
        None => ("FAIL", String::new(), ""),
    };
    let line = format!("{mark:<5} {name:<19} {text:<105} {:>6.1}  {note}", took.as_secs_f64());
    println!("{}", line.trim_end());
}

/// Where there are slots, 99 of 100 requests of the good client take no longer. Printed and not
/// asserted: on a machine that others use, a time says little about the server.
pub(crate) const P99_GOAL_MS: f64 = 50.0;
const TITLE: &str = "      attack                sent  served refused   late   left    cut  lost\
   \x20  good   p50 ms    p99 ms     max ms   files      memory KiB      s";
