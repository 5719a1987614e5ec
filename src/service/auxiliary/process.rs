//! The side of the auxiliary process: what all roles do before their work.

use super::beginning::Beginning;
use super::spec::{AuxiliaryRole, AuxiliarySpec};
use super::{admin, logger};
use crate::os::channel::Channel;
use crate::os::inherited::InheritedDescriptors;
use crate::os::privileges::Account;
use crate::os::reaping::die_with_parent;
use crate::os::{process, signal, terminal};
use crate::server::WITHOUT_EFFECT;
use crate::service::loader::DRAIN;
use crate::start::settings::StartSettings;
use crate::start::workers::WorkerCount;

/// Runs an auxiliary process. Returns the exit status.
#[must_use]
pub fn run(settings: &StartSettings, spec: &AuxiliarySpec) -> u8 {
    let AuxiliarySpec { role, inherits: spec } = spec;
    let settings = &StartSettings {
        workers: WorkerCount::Count(spec.workers),
        engine: spec.engine.into(),
        ..settings.clone()
    };
    let user = spec.account.clone().unwrap_or_else(Account::current);
    user.remember(spec.user_name.clone());
    // The supervisor decides when it ends: signals to the process group or the control group reach
    // it, too.
    signal::block(&signal::ENDING);
    signal::block(&WITHOUT_EFFECT);
    signal::block(&[DRAIN]);
    process::set_name(role.process_name());
    let refuse = |why: &str| {
        terminal::err(format_args!("uringstatic: starting the {} process: {why}", role.name()));
        1
    };
    let mut inherited = match InheritedDescriptors::take() {
        Ok(inherited) => inherited,
        Err(error) => return refuse(&format!("reading /proc/self/fd: {error}")),
    };
    let Some(channel) = inherited.claim(spec.channel).map(Channel::inherited) else {
        return refuse("it has no channel to a supervisor");
    };
    if die_with_parent(spec.supervisor).is_err() {
        return refuse("the supervisor has ended");
    }
    let beginning = Beginning { settings, spec, channel, inherited };
    match role {
        AuxiliaryRole::Logger => logger::run(beginning),
        AuxiliaryRole::Admin => admin::run(beginning),
    }
}
