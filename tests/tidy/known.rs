//! The exceptions to the rules of `modules.rs`.

/// Pairs of modules that import each other, to be resolved.
pub(crate) const KNOWN_PAIRS: &[(&str, &str)] = &[];

/// Type names that more than one file defines, with the reason for each.
pub(crate) const KNOWN_DUPLICATES: &[(&str, &str)] = &[];
