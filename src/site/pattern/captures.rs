//! The values that a pattern takes from a path, and a rule from a query.

/// The parts of a path that the placeholders and the splat of a pattern match, followed by the
/// values of a query that a rule names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    values: [&'p [u8]; CAPTURES_MAX],
    count: usize,
}

impl<'p> Captures<'p> {
    /// The captured values, in the order of the pattern.
    #[must_use]
    pub fn values(&self) -> &[&'p [u8]] {
        &self.values[..self.count]
    }

    /// Adds a value. Patterns and rules have [`CAPTURES_MAX`] placeholders at most.
    pub(in crate::site) fn add(&mut self, value: &'p [u8]) {
        self.values[self.count] = value;
        self.count += 1;
    }

    /// Adds values that were found from the end on.
    pub(super) fn add_reversed(&mut self, values: &Self) {
        values.values().iter().rev().for_each(|value| self.add(value));
    }
}

/// Most placeholders of a pattern, its splat included.
pub const CAPTURES_MAX: usize = 8;
