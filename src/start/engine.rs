//! The decision for an engine, made once for all processes of a service.

use super::feature::Feature;
use super::hints;
use super::settings::StartSettings;
use crate::engine::chosen::{Chosen, Decision, EngineChoice, TRIAL};
use crate::error::Failure;
use crate::os::privileges::Account;
use crate::os::terminal;
use crate::sandbox::options::LockdownOptions;
use crate::sandbox::{SandboxError, rehearsal};

/// Decides for the engine of processes that become `account` and enter the sandbox of these
/// options.
///
/// # Errors
/// If `auto` can't be tried.
pub fn decide_engine(
    choice: EngineChoice,
    options: &LockdownOptions,
    without: &[Feature],
    account: Option<&Account>,
) -> Result<Decision, Failure> {
    let config = options.wanted(Feature::layers(without));
    let create = || match rehearsal::create_engine::<Chosen>(&config, account.cloned(), &TRIAL) {
        Ok(engine) => Ok(Some(engine)),
        Err(SandboxError::Engine(error)) => Err(error),
        // The real start fails by this step, too, and reports it.
        Err(_) => Ok(None),
    };
    choice.decide(create).map_err(hints::of_undecided)
}

/// The engine of a server with default options.
///
/// # Errors
/// As [`decide_engine`].
pub fn decide_by_default() -> Result<Decision, Failure> {
    let options = LockdownOptions::default();
    let account = options.wanted(Vec::new()).look_up_account().map_err(hints::of_sandbox)?;
    decide_engine(EngineChoice::Auto, &options, &[], account.as_ref())
}

/// These settings with a decided engine. If that isn't the one on `io_uring` although it would have
/// been preferred, a line says why, and which options have no effect because of it.
///
/// # Errors
/// As [`decide_engine`].
pub fn with_engine(
    settings: &StartSettings,
    account: Option<&Account>,
) -> Result<StartSettings, Failure> {
    let decision = decide_engine(settings.engine, &settings.lockdown, &settings.without, account)?;
    if let Some(message) = decision.message().filter(|_| !settings.quiet) {
        terminal::err(format_args!("uringstatic: {message}"));
        for feature in Feature::unknown_to(decision.kind, &settings.without) {
            terminal::err(format_args!(
                "uringstatic: --without {} has no effect: engine {} has no such feature",
                feature.name(),
                decision.kind.name()
            ));
        }
    }
    Ok(StartSettings { engine: decision.kind.into(), ..settings.clone() })
}
