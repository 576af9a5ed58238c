//! Exit codes: the contract with scripts and CI, in one place.

use apportion_hypervisor::EngineError;
use apportion_recording::{RecordingError, Verdict};
use std::process::ExitCode;

/// How the tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Every verdict is a pass.
    Pass = 0,
    /// The tool itself failed.
    Failed = 1,
    /// The command line, an experiment or a guest was refused.
    Refused = 2,
    /// A verdict is a fail.
    Verdict = 3,
    /// Nothing can be said: too short or too noisy.
    Inconclusive = 4,
    /// What is needed is not on this host.
    Skipped = 77,
    /// Stopped by the user.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

impl From<Verdict> for Code {
    fn from(verdict: Verdict) -> Code {
        match verdict {
            Verdict::Pass => Code::Pass,
            Verdict::Fail => Code::Verdict,
            Verdict::Inconclusive => Code::Inconclusive,
            Verdict::Skipped => Code::Skipped,
        }
    }
}

/// Of several verdicts the one that counts: fail before inconclusive before skipped before pass.
pub(crate) fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Fail => 3,
        Verdict::Inconclusive => 2,
        Verdict::Skipped => 1,
        Verdict::Pass => 0,
    };
    verdicts
        .into_iter()
        .max_by_key(rank)
        .unwrap_or(Verdict::Skipped)
}

/// An error with the code that it ends the tool with.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(code: Code, error: impl Into<anyhow::Error>) -> Failure {
        Failure {
            code,
            error: error.into(),
        }
    }

    pub(crate) fn refused(error: impl Into<anyhow::Error>) -> Failure {
        Failure::new(Code::Refused, error)
    }

    /// As printed. A diagnostic that brings its own `error:` keeps it.
    pub(crate) fn message(&self) -> String {
        // Some errors have their cause in their own text: each is told once.
        let mut text = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        if text.starts_with("error") {
            text
        } else {
            format!("error: {text}")
        }
    }
}

/// Whatever has no better code is a failure of the tool.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        let error = error.into();
        let code = match (error.downcast_ref(), error.downcast_ref()) {
            (Some(EngineError::Unavailable { .. }), _) => Code::Skipped,
            (
                Some(
                    EngineError::TooFewLps { .. }
                    | EngineError::TooLittleMemory { .. }
                    | EngineError::Refused(_)
                    | EngineError::ChangeRefused { .. }
                    | EngineError::Unsupported { .. },
                ),
                _,
            )
            | (_, Some(RecordingError::Exists(_))) => Code::Refused,
            _ => Code::Failed,
        };
        Failure { code, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_verdicts_the_worst_counts() {
        use Verdict::{Fail, Inconclusive, Pass, Skipped};
        assert_eq!(worst([Pass, Inconclusive, Fail, Skipped]), Fail);
        assert_eq!(worst([Pass, Inconclusive, Skipped]), Inconclusive);
        assert_eq!(worst([Pass, Skipped]), Skipped);
        assert_eq!(worst([Pass, Pass]), Pass);
        assert_eq!(worst([]), Skipped);
    }

    #[test]
    fn a_host_without_kvm_is_a_skip_and_a_refused_guest_a_usage_error() {
        let unavailable = EngineError::Unavailable {
            reason: String::new(),
            remedy: String::new(),
        };
        assert_eq!(Failure::from(unavailable).code, Code::Skipped);
        let too_few = EngineError::TooFewLps {
            wanted: 9,
            available: 2,
        };
        assert_eq!(Failure::from(too_few).code, Code::Refused);
        let too_little = EngineError::TooLittleMemory {
            wanted: 9,
            available: 2,
        };
        assert_eq!(Failure::from(too_little).code, Code::Refused);
        assert_eq!(Failure::from(EngineError::Dropped(1)).code, Code::Failed);
    }
}
