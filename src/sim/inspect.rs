//! What can be asked of a simulated ring from outside: whether its user keeps the rules, and what
//! is under way.

use super::flight::With;
use super::ring::SimRing;

impl SimRing {
    /// What went wrong, if anything did.
    #[must_use]
    pub fn violation(&self) -> Option<&str> {
        self.violations.first().map(String::as_str)
    }

    /// How many slots have a connection.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// How many buffers are with the ring's user.
    #[must_use]
    pub fn lent(&self) -> usize {
        self.buffers.iter().filter(|buffer| buffer.with == With::User).count()
    }

    /// How many buffers are free to be filled.
    #[must_use]
    pub fn free_buffers(&self) -> usize {
        self.buffers.iter().filter(|buffer| buffer.with == With::Ring).count()
    }

    /// Checks, after a turn of its user, that it kept the rules and no buffer.
    pub(super) fn check_turn(&self) -> Result<(), String> {
        if let Some(violation) = self.violation() {
            return Err(violation.to_owned());
        }
        match self.lent() {
            0 => Ok(()),
            lent => Err(format!("{lent} buffers lent after a turn")),
        }
    }

    /// Checks, when its user is done, that everything came home.
    pub(super) fn check_home(&self) -> Result<(), String> {
        if self.occupied() > 0 || self.free_buffers() < self.buffers.len() {
            return Err("slots or buffers didn't come home".to_owned());
        }
        Ok(())
    }
}
