//! The logger's process: the loop around [`Logger`](crate::telemetry::logger::Logger).

use super::beginning::{Beginning, report_failure, report_ready};
use crate::error::Failure;
use crate::os::channel::Channel;
use crate::os::log_file::{LogFile, LogFileKind};
use crate::os::poll::wait_readable_or_writable;
use crate::os::process::{self, monotonic_ns, unix_ns};
use crate::os::{signal, terminal};
use crate::sandbox::calls::LoggerDescriptors;
use crate::start::confine_logger;
use crate::telemetry::log_memory::LogMemory;
use crate::telemetry::logger::Logger;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Runs a logger until the supervisor closes the channel, and everything is written then. Returns
/// the exit status.
pub(super) fn run(mut beginning: Beginning<'_>) -> u8 {
    // A limit on the size of files (RLIMIT_FSIZE, setrlimit(2)) is an error of the write then.
    signal::block(&[libc::SIGXFSZ]);
    let (output, memory) = match begin(&mut beginning) {
        Ok(begun) => begun,
        Err(failure) => return report_failure(&beginning.channel, &failure),
    };
    let Beginning { settings, spec, channel, inherited } = beginning;
    let logger = Logger::new(memory, settings.log.log_format);
    // The first reading of this clock looks for the vDSO, by a call (`PR_GET_AUXV`, prctl(2)) that
    // isn't permitted once the process is locked down.
    let _ = monotonic_ns();
    let descriptors = LoggerDescriptors {
        channel: channel.as_fd().as_raw_fd(),
        output: output.as_fd().as_raw_fd(),
    };
    // A supervisor that ends meanwhile has closed the channel, and still waits for the lines.
    let _ = report_ready(&channel);
    let confined = confine_logger(settings, spec.account.clone(), inherited, descriptors);
    match confined {
        Ok(sandbox) => {
            let state = OutputState::Writes;
            let code = LogLoop { channel: Some(channel), output, logger, state }.run();
            if sandbox.is_on() {
                // The sandbox permits no orderly teardown; the kernel closes everything at exit.
                process::end(code);
            }
            code
        }
        Err(failure) => report_failure(&channel, &failure),
    }
}

fn begin(beginning: &mut Beginning<'_>) -> Result<(LogFile, LogMemory), Failure> {
    let output = LogFile::of(beginning.claim(0)?).map_err(|error| {
        Failure::new("inheriting the access log from the supervisor", error, "")
    })?;
    let memory = beginning.claim(1)?;
    let Beginning { settings, spec, .. } = beginning;
    let memory = LogMemory::inherited(memory.as_raw_fd(), spec.places as usize, settings.slots())?;
    Ok((output, memory))
}

struct LogLoop {
    /// Unset once the supervisor has closed it: no worker is left.
    channel: Option<Channel>,
    output: LogFile,
    logger: Logger,
    state: OutputState,
}

/// The outcome of the latest write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputState {
    /// It takes bytes.
    Writes,
    /// It is a stream whose reader is stalled.
    IsBlocked,
    /// It failed, which was reported; requests without a line by then.
    Fails { dropped: u64 },
}

impl LogLoop {
    fn run(mut self) -> u8 {
        loop {
            let has_more = self.logger.collect(unix_ns(), monotonic_ns());
            if !self.logger.unwritten().is_empty() {
                self.write();
            } else if self.channel.is_none() {
                return 0;
            }
            let is_done = self.logger.unwritten().is_empty();
            let pause = match self.state {
                OutputState::Writes if has_more || !is_done => Duration::ZERO,
                OutputState::Writes if self.channel.is_none() => Duration::ZERO,
                OutputState::Writes => self.logger.pause(),
                // The service waits for its logger.
                OutputState::Fails { .. } if self.channel.is_none() => return 1,
                OutputState::IsBlocked | OutputState::Fails { .. } => RETRY_AFTER,
            };
            self.wait(pause);
        }
    }

    fn write(&mut self) {
        self.logger.begin_write();
        match self.output.write(self.logger.unwritten()) {
            Ok(count) => {
                self.logger.wrote(count);
                if let OutputState::Fails { dropped } = self.state {
                    terminal::err(format_args!(
                        "uringstatic: the access log is written again; {} requests have no line",
                        self.logger.dropped().saturating_sub(dropped)
                    ));
                }
                self.state = OutputState::Writes;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !matches!(self.state, OutputState::Fails { .. }) {
                    self.state = OutputState::IsBlocked;
                }
            }
            Err(error) => {
                self.logger.failed();
                if !matches!(self.state, OutputState::Fails { .. }) {
                    self.state = OutputState::Fails { dropped: self.logger.dropped() };
                    terminal::err(format_args!(
                        "uringstatic: writing the access log: {error}; it is tried again every \
                         second, and requests have no line once the memory for them is full"
                    ));
                }
            }
        }
    }

    /// Waits for the supervisor, for the reader of a stream, and for the time.
    fn wait(&mut self, time: Duration) {
        let output = (self.state == OutputState::IsBlocked).then(|| self.output.as_fd());
        let channel = self.channel.as_ref().map(AsFd::as_fd);
        if wait_readable_or_writable(channel, output, time).unwrap_or(false) {
            self.receive();
        }
    }

    /// Takes a new output, or the end of the channel.
    fn receive(&mut self) {
        let Some(channel) = &self.channel else { return };
        let mut place = [0; MESSAGE_BYTES];
        match channel.receive(&mut place) {
            Ok(Some(message)) => {
                let Some(new) = message.fd else { return };
                // The rest of a line that is written in part belongs to the old file, if it can
                // still be written.
                if self.state == OutputState::Writes && !self.logger.unwritten().is_empty() {
                    self.write();
                }
                match self.output.replace(&new, LogFileKind::of_byte(place[0])) {
                    Ok(()) => self.logger.changed_output(),
                    Err(error) => terminal::err(format_args!(
                        "uringstatic: using the access log that was opened anew: {error}; the old \
                         file stays in use"
                    )),
                }
                if self.state == OutputState::IsBlocked {
                    self.state = OutputState::Writes;
                }
            }
            Ok(None) | Err(_) => self.channel = None,
        }
    }
}

/// How often a write that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const MESSAGE_BYTES: usize = 8;
