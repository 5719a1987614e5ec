//! The logger's process.

use super::beginning::{Beginning, report_failure, report_ready};
use crate::os::channel::Channel;
use crate::sandbox::calls::LoggerDescriptors;
use crate::service::messages::BYTES_MAX;
use crate::start::confine_logger;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Runs a logger until the supervisor closes the channel. Returns the exit status.
pub(super) fn run(mut beginning: Beginning<'_>) -> u8 {
    let output = match beginning.claim(0) {
        Ok(output) => output,
        Err(failure) => return report_failure(&beginning.channel, &failure),
    };
    let Beginning { settings, spec, channel, inherited } = beginning;
    let descriptors =
        LoggerDescriptors { channel: channel.as_fd().as_raw_fd(), output: output.as_raw_fd() };
    let confined = report_ready(&channel)
        .and_then(|()| confine_logger(settings, spec.account.clone(), inherited, descriptors));
    match confined {
        Ok(_) => write(&channel, &output),
        Err(failure) => report_failure(&channel, &failure),
    }
}

fn write(channel: &Channel, _output: &OwnedFd) -> u8 {
    let mut place = [0; BYTES_MAX];
    while let Ok(Some(_)) = channel.receive(&mut place) {}
    0
}
