//! Durations in the file of a sweep: a text with a unit, or a number of seconds.

use crate::value_parsers;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// A duration longer than zero and at most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileDuration(pub(super) Duration);

impl FileDuration {
    pub(super) fn as_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl<'a> Deserialize<'a> for FileDuration {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = FileDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration: a number of seconds (60, 0.5) or a text (\"60s\", \"500ms\")")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<FileDuration, E> {
        value_parsers::duration(text).map(FileDuration).map_err(E::custom)
    }

    #[allow(clippy::cast_precision_loss, reason = "a day has far fewer than 2^53 seconds")]
    fn visit_i64<E: Error>(self, seconds: i64) -> Result<FileDuration, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<FileDuration, E> {
        if seconds.is_nan() {
            return Err(E::custom("nan is no number of seconds"));
        }
        if seconds <= 0.0 {
            return Err(E::custom("the duration must be longer than zero"));
        }
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if duration <= DAY => Ok(FileDuration(duration.max(SHORTEST))),
            _ => Err(E::custom("the duration must be one day (86400 seconds) at most")),
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A shorter one would be zero.
const SHORTEST: Duration = Duration::from_nanos(1);
