//! What the operator gets from the supervisor: its lines, and its end.

use super::{SOON, Service};
use crate::os::poll::wait_any_readable;
use crate::os::terminal;
use crate::service::processes::WorkerProcess;
use crate::service::report::{STILL_CRASHING, line_of};
use crate::service::supervisor::{Outcome, Report, WorkerId};
use crate::start::ready_line;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

impl Service<'_> {
    /// Prints a line for the operator: always if something is wrong.
    pub(super) fn report(&mut self, report: &Report) {
        self.notify_report(report);
        self.published.note(report);
        self.is_ready |= matches!(report, Report::Ready { .. });
        // A reader of the line finds what it says.
        self.publish();
        match report {
            Report::Ready { generation } => {
                if !self.settings.quiet {
                    terminal::err(self.ready_line(*generation));
                }
            }
            Report::Reloaded { .. } if self.settings.quiet => {}
            Report::Reloaded { generation } => {
                let what = self.what(*generation);
                terminal::err(format_args!(
                    "uringstatic: reloaded: generation {generation} serves {what}"
                ));
            }
            other => {
                if let Report::Hangs(id) = *other
                    && let Some(worker) = self.worker(id)
                {
                    worker.hangs = true;
                }
                terminal::err(format_args!("uringstatic: {}", line_of(other)));
            }
        }
    }

    pub(super) fn what(&self, generation: u32) -> &str {
        let loader = self.loaders.iter().find(|loader| loader.generation == generation);
        loader.and_then(|loader| loader.what.as_deref()).unwrap_or("the content")
    }

    fn ready_line(&self, generation: u32) -> String {
        let is_first = |id: WorkerId| id.generation == generation && id.number == 0;
        let first = self.workers.iter().find(|worker| is_first(worker.id));
        let engine = first.map_or_else(String::new, |it| self.scoreboard.text(it.place));
        let addresses = self.listeners.iter().map(|listener| &listener.endpoint);
        let admin = self.admin.first().map(|listener| &listener.endpoint);
        ready_line(self.settings, addresses, admin, self.what(generation), &engine)
    }

    /// Ends all processes and prints the totals.
    pub(super) fn exit(&mut self, outcome: &Outcome) -> u8 {
        let code = match outcome {
            Outcome::Drained => 0,
            // The exit status that a shell reports for a process ended by a signal.
            Outcome::Forced(signal) => 128u8.saturating_add(u8::try_from(*signal).unwrap_or(0)),
            Outcome::NotStarted(why) => {
                self.notify_failure(why);
                terminal::err(format_args!("uringstatic: {why}"));
                1
            }
            Outcome::Failed(why) => {
                self.notify_failure(why);
                terminal::err(format_args!("uringstatic: {STILL_CRASHING}: {why}"));
                1
            }
        };
        self.end_all();
        if self.is_ready && !self.settings.quiet {
            terminal::err(format_args!(
                "uringstatic: served {}",
                self.total.line(self.settings.spawn)
            ));
        }
        code
    }

    /// Kills what is left, and waits until it is gone, but not for long.
    fn end_all(&mut self) {
        self.is_over = true;
        for worker in &mut self.workers {
            worker.signal(libc::SIGKILL);
        }
        for loader in &mut self.loaders {
            loader.kill();
        }
        let started = Instant::now();
        let has_ended = |worker: &WorkerProcess| worker.end.is_some() || worker.process.is_none();
        while started.elapsed() < ENDED_WITHIN {
            self.reap();
            while self.supervisor.pop().is_some() {}
            if self.loaders.is_empty() && self.workers.iter().all(has_ended) {
                break;
            }
            let _ = wait_any_readable(&[self.signals.as_fd()], Some(SOON));
            while self.signals.read().is_ok() {}
        }
        self.end_auxiliaries();
    }
}

const ENDED_WITHIN: Duration = Duration::from_secs(1);
