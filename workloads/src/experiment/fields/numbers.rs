//! Whole numbers, numbers, durations and sizes, each within its limit.

use std::fmt::Display;
use std::ops::Range;

use apportion_scheduler::Nanos;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::Fields;
use crate::duration::{self, parse_duration};
use crate::experiment::diagnostics::Problem;
use crate::limits::{Limit, OutOfRange};
use crate::size::{self, Bytes, parse_size};

/// A whole number in whichever base it is written, if it has no more than 64 bits.
pub(in super::super) fn whole(digits: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

impl Fields<'_, '_> {
    /// A whole number within `limit`.
    pub(in super::super) fn integer<T>(&mut self, limit: &Limit<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let value = self.take(limit.key)?;
        self.integer_in(&value, limit)
    }

    /// A whole number within `limit` that stands alone or in a list.
    pub(in super::super) fn integer_in<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        limit: &Limit<T>,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let DeValue::Integer(digits) = value.get_ref() else {
            let remedy = format!("use {}", limit.allowed);
            self.wrong_type(limit.key, "a whole number", value, &remedy);
            return None;
        };
        let checked = match whole(digits).and_then(|number| T::try_from(number).ok()) {
            Some(number) => limit.check(number),
            None => Err(limit.refuse(digits)),
        };
        self.in_range(checked, value.span())
    }

    /// A number, decimals allowed, within `limit`.
    pub(in super::super) fn number(&mut self, limit: &Limit<f64>) -> Option<f64> {
        let value = self.take(limit.key)?;
        let checked = match value.get_ref() {
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(number) => limit.check(number),
                Err(_) => Err(limit.refuse(float)),
            },
            DeValue::Integer(digits) => match whole(digits) {
                Some(number) => limit.check(number as f64),
                None => Err(limit.refuse(digits)),
            },
            _ => {
                let remedy = format!("use {}", limit.allowed);
                self.wrong_type(limit.key, "a number", &value, &remedy);
                return None;
            }
        };
        self.in_range(checked, value.span())
    }

    /// A duration in quotes within `limit`.
    pub(in super::super) fn duration(&mut self, limit: &Limit<Nanos>) -> Option<Nanos> {
        let remedy = "write a number and a unit in quotes, such as \"10s\" or \"500ms\"";
        self.measure(limit, remedy, duration::FORM, |text| {
            parse_duration(text).map_err(|error| error.cause().to_owned())
        })
    }

    /// A size in quotes within `limit` that is a multiple of `step`.
    pub(in super::super) fn size(&mut self, limit: &Limit<Bytes>, step: Bytes) -> Option<Bytes> {
        let span = self.table.get(limit.key)?.span();
        let remedy = "write a number and a unit in quotes, such as \"64B\" or \"1MiB\"";
        let size = self.measure(limit, remedy, size::FORM, |text| {
            parse_size(text).map_err(|error| error.cause().to_owned())
        })?;
        if !size.0.is_multiple_of(step.0) {
            let title = format!("{} {size} is no multiple of {step}", limit.key);
            let label = format!("use {}", Bytes(size.0.next_multiple_of(step.0)));
            self.problems.push(Problem::at(span, title, label));
            return None;
        }
        Some(size)
    }

    /// A number with a unit, in quotes; `parse` gives it or what is wrong with it.
    fn measure<T>(
        &mut self,
        limit: &Limit<T>,
        remedy: &str,
        form: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T>
    where
        T: PartialOrd + Display,
    {
        let value = self.take(limit.key)?;
        let text = self.text_in(limit.key, &value, remedy)?;
        match parse(&text) {
            // Refused as it was written: 25h says more than 90000s.
            Ok(measure) => {
                let checked = limit.check(measure).map_err(|_| limit.refuse(&text));
                self.in_range(checked, value.span())
            }
            Err(cause) => {
                let title = format!("{} {cause}", limit.key);
                self.problems.push(Problem::at(value.span(), title, form));
                None
            }
        }
    }

    fn in_range<T>(&mut self, checked: Result<T, OutOfRange>, span: Range<usize>) -> Option<T> {
        checked
            .map_err(|error| {
                let title = format!("{} {} is out of range", error.key, error.given);
                let label = format!("use {}", error.allowed);
                self.problems.push(Problem::at(span, title, label));
            })
            .ok()
    }
}
