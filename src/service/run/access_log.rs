//! The supervisor's part in the access log: it opens the file, has the logger use it, and recovers
//! the records of workers that have ended.

use super::Service;
use crate::error::Failure;
use crate::os::log_file::LogFile;
use crate::os::terminal;
use crate::service::auxiliary::{Auxiliaries, AuxiliaryRole};
use crate::service::board_layout::Place;
use crate::start::settings::StartSettings;
use crate::telemetry::log_memory::{LogMemory, LoggerCounter};
use crate::telemetry::snapshot::LogFacts;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Opens the log, if one is wanted, and adds its logger to the auxiliary processes.
///
/// # Errors
/// If the file can't be opened, or there is no memory for the log.
pub(super) fn open(
    settings: &StartSettings,
    places: usize,
    auxiliaries: &mut Auxiliaries,
) -> Result<Option<LogMemory>, Failure> {
    let Some(path) = &settings.log.access_log else { return Ok(None) };
    let memory = LogMemory::new(places, settings.slots())?;
    let file = open_file(path).map_err(|error| {
        let what = format!("opening the access log {}", path.display());
        Failure::new(what, error, "--access-log names a file in a folder that exists, or -")
    })?;
    let descriptors = descriptors(file, &memory).map_err(|error| {
        Failure::new("preparing the access log", error, "raise the limit of open files")
    })?;
    auxiliaries.add(AuxiliaryRole::Logger, descriptors);
    Ok(Some(memory))
}

fn open_file(path: &Path) -> io::Result<LogFile> {
    if path.as_os_str() == "-" { LogFile::standard_output() } else { LogFile::open(path) }
}

/// What a logger inherits.
fn descriptors(file: LogFile, memory: &LogMemory) -> io::Result<Vec<OwnedFd>> {
    Ok(vec![file.into(), memory.as_fd().try_clone_to_owned()?])
}

impl Service<'_> {
    /// Opens the log anew, for this logger and those that replace it. If that fails, the old file
    /// stays in use.
    pub(super) fn reopen_access_log(&mut self) {
        let (Some(memory), Some(path)) = (&self.log, &self.settings.log.access_log) else {
            terminal::err(
                "uringstatic: SIGUSR1 has no effect without --access-log: SIGHUP reloads, SIGTERM \
                 ends",
            );
            return;
        };
        if path.as_os_str() == "-" {
            // Standard output can't be opened anew.
            return;
        }
        let mut reopen = || -> io::Result<()> {
            let file = open_file(path)?;
            let kind = file.kind();
            let descriptors = descriptors(file, memory)?;
            let output = descriptors[0].try_clone()?;
            self.auxiliaries.replace_descriptors(AuxiliaryRole::Logger, descriptors);
            let sent = self.auxiliaries.send(
                AuxiliaryRole::Logger,
                &[kind.to_byte()],
                Some(output.as_fd()),
            );
            match sent {
                // The next logger starts with it.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                sent => sent,
            }
        };
        if let Err(error) = reopen() {
            terminal::err(format_args!(
                "uringstatic: opening the access log {} anew: {error}; the old file stays in use",
                path.display()
            ));
        }
    }

    /// Saves the records of requests that were in progress when a worker ended.
    pub(super) fn recover_records(&self, place: Place) {
        if let Some(memory) = &self.log {
            memory.recover(place);
        }
    }

    /// What metrics say about the log.
    pub(super) fn log_facts(&self) -> LogFacts {
        let count = |memory: &LogMemory| LogFacts {
            dropped: memory.dropped(),
            write_errors: memory.counter(LoggerCounter::WriteErrors).load(Ordering::Relaxed),
        };
        self.log.as_ref().map(count).unwrap_or_default()
    }
}
