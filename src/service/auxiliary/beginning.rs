//! What the work of an auxiliary process begins with, and how it reports to the supervisor.

use crate::error::Failure;
use crate::os::channel::Channel;
use crate::os::inherited::InheritedDescriptors;
use crate::service::messages::{LoaderReport, LoaderSpec};
use crate::start::settings::StartSettings;
use std::os::fd::OwnedFd;

/// What a role begins with.
pub(super) struct Beginning<'a> {
    pub(super) settings: &'a StartSettings,
    pub(super) spec: &'a LoaderSpec,
    pub(super) channel: Channel,
    pub(super) inherited: InheritedDescriptors,
}

impl Beginning<'_> {
    /// Takes the descriptor of the role at this place of the specification.
    ///
    /// # Errors
    /// If it wasn't inherited.
    pub(super) fn claim(&mut self, place: usize) -> Result<OwnedFd, Failure> {
        let number = self.spec.listeners.get(place);
        let fd = number.and_then(|&number| self.inherited.claim(number));
        fd.ok_or_else(|| {
            Failure::new("inheriting from the supervisor", "a descriptor is missing", "")
        })
    }
}

/// Reports that a process is ready. The channel of a process that is about to be locked down may
/// be unusable afterwards, so this comes before.
pub(super) fn report_ready(channel: &Channel) -> Result<(), Failure> {
    let sent = channel.send(&LoaderReport::Loaded(String::new()).to_bytes(), None);
    sent.map_err(|error| Failure::new("reporting to the supervisor", error, ""))
}

/// Reports why a process gives up. Returns the exit status.
pub(super) fn report_failure(channel: &Channel, failure: &Failure) -> u8 {
    let _ = channel.send(&LoaderReport::Failed(failure.to_string()).to_bytes(), None);
    1
}
