//! Random scripts, what executes them, and what they are held against.
#![allow(dead_code, reason = "each test file uses a part of it")]

mod bounds;
pub(crate) mod checks;
pub(crate) mod driver;
pub(crate) mod fluid;
pub(crate) mod machines;
pub(crate) mod places;
mod promises;
mod replay;
pub(crate) mod script;

use crate::seed::same_every_time;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// How many scripts a test runs: `APPORTION_SCRIPTS`, or so many by default.
pub(crate) fn cases(default: u32) -> u32 {
    let wanted = std::env::var("APPORTION_SCRIPTS").ok();
    wanted.map_or(default, |text| {
        text.parse()
            .expect("APPORTION_SCRIPTS is a whole number of scripts")
    })
}

/// Runs a test over random values, [the same ones every time](same_every_time). What fails is made as small as can be,
/// and printed as a value that can be pasted into a test.
pub(crate) fn check<T: std::fmt::Debug>(
    cases: u32,
    values: impl Strategy<Value = T>,
    test: impl Fn(&T) -> Result<(), String>,
) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        max_shrink_time: 20_000,
        ..same_every_time()
    };
    let run = |value: T| test(&value).map_err(TestCaseError::fail);
    if let Err(error) = TestRunner::new(config).run(&values, run) {
        panic!("{error}");
    }
}
