//! Numbers, times and sizes of the language as JSON Schema has them.

use std::fmt::Display;

use apportion_scheduler::Nanos;
use serde_json::{Value, json};

use crate::limits::Limit;
use crate::size::Bytes;
use crate::{duration, size};

/// What a [`Limit`] can be a limit of.
pub(crate) trait Bounded: PartialOrd + Display + Sync + 'static {
    /// Type and range. Of what stands in quotes JSON Schema can tell the form alone.
    fn schema(lowest: &Self, highest: &Self) -> Value;
}

/// A limit, whatever its numbers are.
pub(crate) trait Limited: Sync {
    /// The range in words.
    fn allowed(&self) -> &'static str;

    /// What a value must be.
    fn schema(&self) -> Value;
}

impl<T: Bounded> Limited for Limit<T> {
    fn allowed(&self) -> &'static str {
        self.allowed
    }

    fn schema(&self) -> Value {
        T::schema(&self.lowest, &self.highest)
    }
}

macro_rules! whole_numbers {
    ($($kind:ty),*) => {$(
        impl Bounded for $kind {
            fn schema(lowest: &Self, highest: &Self) -> Value {
                json!({"type": "integer", "minimum": lowest, "maximum": highest})
            }
        }
    )*};
}

whole_numbers!(u32, i64, u64);

impl Bounded for f64 {
    fn schema(lowest: &f64, highest: &f64) -> Value {
        match *lowest {
            // The least float above zero: that is what it stands for.
            f64::MIN_POSITIVE => {
                json!({"type": "number", "exclusiveMinimum": 0, "maximum": highest})
            }
            _ => json!({"type": "number", "minimum": lowest, "maximum": highest}),
        }
    }
}

impl Bounded for Nanos {
    fn schema(_: &Nanos, _: &Nanos) -> Value {
        let units: Vec<&str> = duration::UNITS.iter().map(|(unit, _)| *unit).collect();
        json!({"type": "string", "pattern": format!(r"^[0-9]+(\.[0-9]+)?({})$", units.join("|"))})
    }
}

impl Bounded for Bytes {
    fn schema(_: &Bytes, _: &Bytes) -> Value {
        let units: Vec<&str> = size::UNITS.iter().map(|(unit, _)| *unit).collect();
        json!({"type": "string", "pattern": format!("^[0-9]+({})$", units.join("|"))})
    }
}
