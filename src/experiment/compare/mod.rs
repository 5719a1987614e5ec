//! Comparisons of load reports: `uringload compare`.
//!
//! `sides` groups the runs, `comparison` compares their figures by `inference`, `notes` has reasons
//! for caution, and `table` makes text of it. This module connects them with files and the chart.

pub mod comparison;
mod inference;
mod notes;
pub mod sides;
pub mod table;

use crate::error::Failure;
use crate::experiment::chart;
use crate::load::{files, saved};
pub use comparison::{ReportComparison, compare};
use std::path::PathBuf;

/// Options of `uringload compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    /// Reports that --json wrote; each is compared to the first one. Reports with the same --label
    /// are one side
    #[arg(value_name = "REPORT", required = true, value_hint = clap::ValueHint::FilePath)]
    pub reports: Vec<PathBuf>,

    /// Write the comparison as JSON
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub json: Option<PathBuf>,

    /// Write the response times as an SVG chart
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub svg: Option<PathBuf>,

    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Runs `uringload compare`.
///
/// # Errors
/// If a file isn't a report, the reports have nothing to compare, or an output can't be written.
pub fn run(args: &CompareArgs) -> Result<(), Failure> {
    let reports = saved::read(&args.reports)?;
    let comparison = compare(&reports)?;
    if let Some(path) = &args.json {
        let mut text =
            serde_json::to_string_pretty(&comparison).expect("a comparison has text as keys");
        text.push('\n');
        files::write(path, &text)?;
    }
    if let Some(path) = &args.svg {
        files::write(path, &chart_of(&comparison))?;
    }
    // After the files, as the table may not find room.
    let is_stdout = |path: &Option<PathBuf>| path.as_deref().is_some_and(files::is_stdout);
    if args.quiet || is_stdout(&args.json) || is_stdout(&args.svg) {
        return Ok(());
    }
    files::print(&format!("{}\n", table::text(&comparison).trim_end()))
}

/// The response times of all runs as SVG: a panel for each setting, a line for each side.
fn chart_of(comparison: &ReportComparison) -> String {
    let labels = || comparison.sides.iter().map(|side| side.label.clone());
    let panels: Vec<_> = (comparison.settings.iter())
        .map(|compared| (compared.setting.to_string(), labels().zip(&compared.latencies).collect()))
        .collect();
    let title = format!("Response times: {}", labels().collect::<Vec<_>>().join(", "));
    chart::distributions(&title, &panels, comparison.notes.clone())
}
