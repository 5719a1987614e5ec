//! The table: one line per attack, which accounts for every request.

use crate::good_client::Good;
use crate::watch::Figures;
use std::time::Duration;

/// The result of an attack.
pub(crate) enum Verdict {
    Held(Row),
    /// The attack is not possible on this machine, for this reason.
    Skipped(String),
}

/// The fates of all requests that an attack sent, or of its connections if it sent none.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) sent: u64,
    pub(crate) fates: Fates,
    pub(crate) aftermath: Option<Aftermath>,
    /// The last column.
    pub(crate) note: String,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    /// Complete responses to valid requests.
    pub(crate) served: u64,
    /// Responses with an error status.
    pub(crate) refused: u64,
    /// Ended by a timeout of the server.
    pub(crate) late: u64,
    /// Left by the client before the response was complete.
    pub(crate) left: u64,
    /// Connections closed before the response began, as the server itself ended.
    pub(crate) cut: u64,
}

/// The state of the server after an attack.
#[derive(Debug)]
pub(crate) struct Aftermath {
    pub(crate) good: Option<Good>,
    pub(crate) descriptors: Option<usize>,
    pub(crate) before_kib: u64,
    pub(crate) after: Figures,
}

impl Row {
    /// A row; fails unless the fates account for everything sent.
    pub(crate) fn new(sent: u64, fates: Fates, aftermath: impl Into<Option<Aftermath>>) -> Self {
        let row = Self { sent, fates, aftermath: aftermath.into(), note: String::new() };
        assert_eq!(row.lost(), 0, "lost: {row:?}");
        row
    }

    /// The row with a note.
    pub(crate) fn noting(mut self, note: String) -> Self {
        self.note = note;
        self
    }

    fn lost(&self) -> u64 {
        let Fates { served, refused, late, left, cut } = self.fates;
        self.sent
            .checked_sub(served + refused + late + left + cut)
            .expect("each request has one fate")
    }

    /// The verdict that the attack was withstood, with a note.
    pub(crate) fn noted(self, note: String) -> Verdict {
        Verdict::Held(self.noting(note))
    }

    /// The columns between the name and the time.
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

/// Prints the line above the table.
pub(crate) fn print_title() {
    println!("{TITLE}");
}

/// Prints a line; no verdict is a failure, whose reason was printed by its panic.
pub(crate) fn print_line(name: &str, verdict: Option<&Verdict>, took: Duration) {
    let (mark, text, note) = match verdict {
        Some(Verdict::Held(row)) => ("ok", row.figures(), row.note.as_str()),
        Some(Verdict::Skipped(why)) => ("-", String::new(), why.as_str()),
        None => ("FAIL", String::new(), ""),
    };
    let line = format!("{mark:<5} {name:<19} {text:<105} {:>6.1}  {note}", took.as_secs_f64());
    println!("{}", line.trim_end());
}

/// While slots are free, 99 of 100 requests of the good client should take no longer. Marked with
/// `*` and not asserted: on a busy machine, a time says little about the server.
pub(crate) const P99_GOAL_MS: f64 = 50.0;
const TITLE: &str = "      attack                sent  served refused   late   left    cut  lost\
   \x20  good   p50 ms    p99 ms     max ms   files      memory KiB      s";
