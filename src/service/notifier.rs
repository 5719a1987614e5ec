//! Messages to the service manager (`sd_notify(3)`): kept while it has no room for them, and the
//! times at which it expects a sign of life. Without a manager, nothing of it happens.

use crate::os::service_manager::{NotificationSocket, message, watchdog_period};
use crate::os::terminal;
use sd_notify::NotifyState;
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// The connection to the service manager.
pub(super) struct Notifier {
    socket: Option<NotificationSocket>,
    /// Messages that the manager had no room for, in their order.
    unsent: VecDeque<String>,
    watchdog: Option<Watchdog>,
}

/// The manager kills the service unless it gets a sign of life within each period.
struct Watchdog {
    period: Duration,
    /// When the last sign of life was due.
    due: Instant,
}

impl Notifier {
    /// Connects to the manager of the environment.
    pub(super) fn of_environment() -> Self {
        let socket = NotificationSocket::of_environment().unwrap_or_else(|error| {
            report_failure(&error);
            None
        });
        let of_period = |period| Watchdog { period, due: Instant::now() };
        let watchdog = watchdog_period().filter(|_| socket.is_some()).map(of_period);
        Self { socket, unsent: VecDeque::new(), watchdog }
    }

    /// The period of the watchdog; zero if there is none.
    pub(super) fn watchdog_period(&self) -> Duration {
        self.watchdog.as_ref().map_or(Duration::ZERO, |watchdog| watchdog.period)
    }

    /// The time until something is to be sent.
    pub(super) fn next(&self) -> Option<Duration> {
        let retry = (!self.unsent.is_empty()).then_some(RETRY);
        let sign = self.watchdog.as_ref().map(|it| {
            (it.due + it.period / SIGNS_PER_PERIOD).saturating_duration_since(Instant::now())
        });
        retry.into_iter().chain(sign).min()
    }

    /// Sends a message, now or as soon as the manager has room for it.
    pub(super) fn send(&mut self, states: &[NotifyState<'_>]) {
        if self.socket.is_some() {
            self.unsent.truncate(UNSENT_MAX - 1);
            self.unsent.push_back(message(states));
            self.flush();
        }
    }

    /// Sends what the manager has room for by now.
    pub(super) fn flush(&mut self) {
        while let (Some(socket), Some(message)) = (&self.socket, self.unsent.front()) {
            match socket.send(message) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    report_failure(&error);
                    self.socket = None;
                    self.unsent.clear();
                }
            }
        }
    }

    /// Whether a sign of life is due, once for each time that it is.
    pub(super) fn is_sign_due(&mut self) -> bool {
        let Some(watchdog) = &mut self.watchdog else { return false };
        let is_due = watchdog.due.elapsed() >= watchdog.period / SIGNS_PER_PERIOD;
        if is_due {
            watchdog.due = Instant::now();
        }
        is_due
    }
}

fn report_failure(error: &io::Error) {
    terminal::err(format_args!(
        "uringstatic: notifying the service manager (NOTIFY_SOCKET): {error}; the service goes on \
         without it"
    ));
}

/// A text in one line, because a line is a state of its own in a message, and not longer than a
/// manager takes it: systemd ignores messages over 4096 bytes.
pub(super) fn line_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut line: String = lines.join("; ").chars().filter(|c| !c.is_control()).collect();
    let ends = line.char_indices().map(|(start, c)| start + c.len_utf8());
    let end = ends.take_while(|&end| end <= STATUS_BYTES_MAX).last();
    line.truncate(end.unwrap_or(0));
    line
}

/// A manager that is told at the last moment may learn it too late.
const SIGNS_PER_PERIOD: u32 = 4;
/// Half of what systemd takes, as a status may have two parts.
const STATUS_BYTES_MAX: usize = 1500;
/// Beyond it, the newest message takes the place of the one before it.
const UNSENT_MAX: usize = 16;
const RETRY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_one_line_of_bounded_length() {
        let failure = "reading the root /srv: No such file\n  `ls -ld /srv` shows it\n\nREADY=1";
        let line = "reading the root /srv: No such file; `ls -ld /srv` shows it; READY=1";
        assert_eq!(line_of(failure), line);
        assert_eq!(line_of("a\u{1b}[2Jb"), "a[2Jb");
        let long = line_of(&"ä".repeat(4000));
        assert!(long.len() <= STATUS_BYTES_MAX && long.ends_with('ä'));
    }
}
