//! The load client of a point: runs it, and reads its report.

use super::config;
use super::harness::{Harness, Point, Stop};
use super::output::tail;
use super::server::name;
use crate::load::report::{LoadReport, Run, SCHEMA};
use crate::os::children::{Orphan, Process, WaitOutcome};
use std::fs::{self, File};
use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

impl Harness<'_> {
    /// The figures of a load on `url`, or the reason for their absence; calls `sample` every
    /// [`SAMPLE_PERIOD`].
    ///
    /// # Errors
    /// If the load was interrupted, or a file can't be written.
    pub(super) fn run_load(
        &self,
        point: &Point<'_>,
        url: &str,
        sample: impl FnMut(),
    ) -> Result<Result<Run, String>, Stop> {
        let ended = self.run_client(point, url, sample)?;
        Ok(ended.and_then(|status| self.read_report(point, status)))
    }

    /// Runs the load client until it ends, or kills it after [`time_limit`].
    fn run_client(
        &self,
        point: &Point<'_>,
        url: &str,
        mut sample: impl FnMut(),
    ) -> Result<Result<ExitStatus, String>, Stop> {
        let command = self.client_command(point, url)?;
        let mut client = match Process::start(command, self.client_cpu, Orphan::Killed) {
            Ok(client) => client,
            Err(error) => return Ok(Err(format!("{}: {error}", self.client.display()))),
        };
        let limit = time_limit(point);
        let begun = Instant::now();
        loop {
            match client.wait(SAMPLE_PERIOD, Some(self.interrupts))? {
                WaitOutcome::Ended(status) => return Ok(Ok(status)),
                // Dropping the client kills its process group; its report isn't needed.
                WaitOutcome::Interrupted => return Err(Stop::Interrupted),
                WaitOutcome::TimedOut => sample(),
            }
            if begun.elapsed() > limit {
                let after = begun.elapsed().as_secs();
                return Ok(Err(format!("killed after {after} s, as it didn't end by itself")));
            }
        }
    }

    fn client_command(&self, point: &Point<'_>, url: &str) -> io::Result<Command> {
        let output = File::create(self.folder.join(CLIENT_OUTPUT))?;
        let time_max = Duration::from_secs_f64(point.load.time_max_seconds);
        let mut command = Command::new(&self.client);
        command
            .args(&point.load.options)
            .args(["--connections", &point.connections.to_string()])
            .args(["--requests", &point.load.requests.to_string()])
            .args(["--duration", &humantime::format_duration(time_max).to_string()])
            .args(["--quiet", "--json"])
            .arg(self.folder.join(REPORT))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(command)
    }

    /// The run in the load client's report, or the reason for its absence.
    fn read_report(&self, point: &Point<'_>, status: ExitStatus) -> Result<Run, String> {
        let output = || tail(&self.folder.join(CLIENT_OUTPUT)).unwrap_or_default();
        let text = fs::read(self.folder.join(REPORT))
            .map_err(|_| format!("{} without a report: {}", name(status), output()))?;
        let report: LoadReport =
            serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if report.schema != SCHEMA {
            return Err(format!("the schema of its report is {}, not {SCHEMA}", report.schema));
        }
        let [mut run] = <[Run; 1]>::try_from(report.runs)
            .map_err(|runs| format!("its report has {} runs", runs.len()))?;
        if run.connections != point.connections {
            return Err(format!("its report is of {} connections", run.connections));
        }
        for latency in
            [&mut run.connect_us, &mut run.handshake_us, &mut run.response_us, &mut run.error_us]
        {
            latency.percentiles.clear();
            latency.histogram.clear();
        }
        Ok(run)
    }
}

/// The time after which a load client is killed. It ends by itself before: at the end of its load
/// and of its grace for responses that are outstanding.
fn time_limit(point: &Point<'_>) -> Duration {
    let grace = config::grace(&point.load.options);
    Duration::from_secs_f64(point.load.time_max_seconds) + grace + CLIENT_SLACK
}

/// The files of the load client, which [`Harness::measure`] removes.
pub(super) const CLIENT_OUTPUT: &str = "client.output";
pub(super) const REPORT: &str = "report.json";
/// Reading `/proc` takes a millisecond or two of the client's core.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);
/// Time of the load client for the start of its processes and for its report, on a busy machine.
const CLIENT_SLACK: Duration = Duration::from_secs(20);
