//! What the service manager is told: that the service is ready, reloads, ends and lives, and a line
//! about it.

use super::Service;
use crate::engine::Nanos;
use crate::os::process::monotonic_ns;
use crate::service::notifier::line_of;
use crate::service::supervisor::Report;
use sd_notify::NotifyState;

impl Service<'_> {
    /// A loader is started. The clock tells the manager which SIGHUP is meant.
    pub(super) fn notify_load(&mut self) {
        if !self.is_ready {
            self.notifier.send(&[NotifyState::Status("starting: the content is read")]);
            return;
        }
        let Ok(clock) = NotifyState::monotonic_usec_now() else { return };
        let status = format!("reloading; {}", self.serving);
        self.notifier.send(&[NotifyState::Reloading, clock, NotifyState::Status(&status)]);
    }

    /// A signal to end has arrived.
    pub(super) fn notify_end(&mut self) {
        self.notifier.send(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// The service ends by itself, and `why` is the last that the manager shows.
    pub(super) fn notify_failure(&mut self, why: &str) {
        self.notifier.send(&[NotifyState::Status(&line_of(why))]);
    }

    /// The manager learns of the reports after which a generation serves, the new one or, if a
    /// reload has failed, the one before it.
    pub(super) fn notify_report(&mut self, report: &Report) {
        let status = match report {
            Report::Ready { generation } | Report::Reloaded { generation } => {
                let workers = match self.worker_count {
                    1 => "1 worker serves".to_owned(),
                    count => format!("{count} workers serve"),
                };
                self.serving =
                    format!("generation {generation}: {workers} {}", self.what(*generation));
                line_of(&self.serving)
            }
            Report::ReloadFailed { why, .. } => {
                format!("not reloaded: {}; {}", line_of(why), line_of(&self.serving))
            }
            Report::Replacing { .. }
            | Report::Hangs(_)
            | Report::TooManyDeaths
            | Report::LoaderLost { .. } => return,
        };
        if !self.is_ending {
            self.notifier.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
        }
    }

    /// Sends what was left unsent, and a sign of life when it is due, if every worker gives one.
    pub(super) fn notify_life(&mut self) {
        self.notifier.flush();
        let now = Nanos(monotonic_ns() - self.started);
        if self.notifier.is_sign_due() && self.supervisor.takes_turns(now) {
            self.notifier.send(&[NotifyState::Watchdog]);
        }
    }
}
