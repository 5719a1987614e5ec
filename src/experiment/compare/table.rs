//! A comparison as text: a table for each setting, then the notes.

use super::comparison::{
    ComparedFigure, ComparedSetting, ReportComparison, RunFigure, SideFigure, Verdict,
};
use crate::experiment::numbers::{fixed, trimmed};
use crate::load::show::unit_of_us;
use crate::text::{columns, paragraph};

/// The tables and the notes.
#[must_use]
pub fn text(comparison: &ReportComparison) -> String {
    let mut text = String::new();
    for setting in &comparison.settings {
        text += &table(comparison, setting);
        text.push('\n');
    }
    let mut notes = comparison.notes.clone();
    notes.extend(evidence(comparison));
    for note in &notes {
        text += &paragraph("", 0, note, COLUMNS);
    }
    text
}

fn table(comparison: &ReportComparison, compared: &ComparedSetting) -> String {
    let runs: Vec<String> = compared.runs.iter().map(ToString::to_string).collect();
    let mut lines = vec![format!("{}, {} runs", compared.setting, runs.join(" and "))];
    let mut rows = vec![HEAD.map(str::to_owned)];
    for figure in &compared.figures {
        rows.extend(figure_rows(comparison, figure));
    }
    lines.extend(columns(&rows));
    lines.push(String::new());
    lines.join("\n")
}

fn figure_rows(comparison: &ReportComparison, compared: &ComparedFigure) -> Vec<[String; 7]> {
    let mut rows = Vec::new();
    for (side, found) in comparison.sides.iter().zip(&compared.sides) {
        let name = if rows.is_empty() { name(compared.figure) } else { "" };
        let median =
            found.median.map_or("none".to_owned(), |value| value_of(compared.figure, value));
        rows.push([
            name.to_owned(),
            side.label.clone(),
            median,
            found.ratio.map_or(String::new(), |ratio| fixed(ratio, 3)),
            found.interval.map_or(String::new(), |interval| {
                format!("{} to {}", fixed(interval.low, 3), fixed(interval.high, 3))
            }),
            found.p.map_or(String::new(), probability),
            verdict(found).to_owned(),
        ]);
    }
    rows
}

fn name(figure: RunFigure) -> &'static str {
    match figure {
        RunFigure::Rate => "rate",
        RunFigure::P50Us => "p50",
        RunFigure::P90Us => "p90",
        RunFigure::P99Us => "p99",
        RunFigure::P999Us => "p99.9",
        RunFigure::MaxUs => "max",
        RunFigure::FailedShare => "failed",
        RunFigure::ClientCpuUs => "client CPU",
    }
}

fn value_of(figure: RunFigure, value: f64) -> String {
    match figure {
        RunFigure::Rate => format!("{}/s", digits(value)),
        RunFigure::P50Us
        | RunFigure::P90Us
        | RunFigure::P99Us
        | RunFigure::P999Us
        | RunFigure::MaxUs => time(value),
        RunFigure::FailedShare => format!("{} %", trimmed(value * 100.0, 4)),
        RunFigure::ClientCpuUs => format!("{}/request", time(value)),
    }
}

/// A latency in a suitable unit.
fn time(us: f64) -> String {
    let (divisor, unit) = unit_of_us(us);
    format!("{} {unit}", digits(us / divisor))
}

/// A number with three significant digits at least, from 1 on.
fn digits(value: f64) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    fixed(value, decimals)
}

fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

fn verdict(found: &SideFigure) -> &'static str {
    match found.verdict {
        None => "",
        Some(Verdict::Same) => "same",
        Some(Verdict::Differs) => "differs",
        Some(Verdict::Noise) => "noise",
        Some(Verdict::DiffersInOneRun) => "differs in one run each",
        Some(Verdict::TooFewRuns) => "too few runs",
        Some(Verdict::OneRun) => "one run each",
    }
}

/// How the verdicts were found, and what they leave open.
fn evidence(comparison: &ReportComparison) -> Vec<String> {
    let found = || {
        let figures = comparison.settings.iter().flat_map(|setting| &setting.figures);
        figures.flat_map(|figure| &figure.sides)
    };
    let has = |wanted: Verdict| found().any(|side| side.verdict == Some(wanted));
    let mut notes = Vec::new();
    let tests = found().map(|side| if side.p.is_some() { 1.0 } else { 0.0 }).sum::<f64>();
    if tests > 0.0 {
        let (alpha, one_in) = (comparison.alpha, 1.0 / comparison.alpha);
        notes.push(format!(
            "p is the probability that repetitions of one and the same differ as much; up to \
             {alpha} is called a difference. One in {one_in:.0} comparisons of equal figures has \
             such a p by chance; {} here.",
            if tests > 1.0 { format!("there are {tests}") } else { "there is one".to_owned() }
        ));
    }
    if has(Verdict::TooFewRuns) {
        notes.push(
            "Too few runs: even sides without an overlap would occur by chance too often. Four \
             runs of each side (--repeat 4) can show a difference, ten a small one."
                .to_owned(),
        );
    }
    if has(Verdict::OneRun) || has(Verdict::DiffersInOneRun) {
        notes.push(
            "One run each doesn't tell a difference from noise: use --repeat 10 for both. The \
             interval of a percentile covers the chance among the requests of these two runs, if \
             they are independent of each other, and not what changes from run to run."
                .to_owned(),
        );
    }
    notes
}

const HEAD: [&str; 7] = ["figure", "report", "median", "ratio", "95 % interval", "p", "verdict"];
/// The width to which notes are wrapped.
const COLUMNS: usize = 100;
