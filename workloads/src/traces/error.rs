//! Why a trace cannot be read: what is wrong, in which file and line, and what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::format::Format;
use crate::suggest::listed;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}:{line}: {column}: {problem}", file.display())]
pub struct BadLine {
    /// The file that it is in.
    pub file: PathBuf,
    /// Its number, counted from 1.
    pub line: u64,
    /// The column or key.
    pub column: String,
    /// What is there, and what was expected.
    pub problem: String,
}

/// Why a trace was not read.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The system does not let us.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file or folder.
        file: PathBuf,
        /// What the system says; not a source, since it is part of the message.
        reason: io::Error,
    },
    /// The compressed data ends too soon.
    #[error(
        "{} is cut off: its gzip data ends in the middle, after {bytes} bytes and {lines} whole lines; \
         copy or download it again",
        file.display()
    )]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// Whole lines before its end.
        lines: u64,
    },
    /// The compressed data is none.
    #[error(
        "{} is damaged: its gzip data is wrong after some {bytes} bytes and {lines} whole lines ({reason}); \
         copy or download it again",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Bytes read until then.
        bytes: u64,
        /// Whole lines before that.
        lines: u64,
        /// What the decompressor says.
        reason: String,
    },
    /// A line that is not as the format has it.
    #[error("{0}")]
    BadLine(BadLine),
    /// Something in a file that has no lines of a table is not as the format has it.
    #[error("{}: {place}: {problem}", file.display())]
    BadItem {
        /// The file.
        file: PathBuf,
        /// Where it is: keys, the outer first.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// The file as a whole is not as the format has it.
    #[error("{}: {problem}", file.display())]
    BadFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// Nothing was named, or a folder is empty.
    #[error("{}: no file of a trace is in this folder", .0.display())]
    NoFiles(PathBuf),
    /// It could be several things, or none.
    #[error("cannot tell the format of {}: {problem}", file.display())]
    UnknownFormat {
        /// The file.
        file: PathBuf,
        /// What its first line looks like.
        problem: String,
    },
    /// The file that says what the VMs are was not found.
    #[error(
        "a trace in the format `{format}` takes a second file, {what}, and {looked_for} is not beside the first"
    )]
    NoTable {
        /// The format.
        format: Format,
        /// What the file says.
        what: &'static str,
        /// The names under which it was looked for.
        looked_for: String,
    },
    /// Demand in units whose worth nobody but the user knows.
    #[error(
        "the format `google` gives CPU time as a part of the largest machine's, and not how many LPs that has"
    )]
    NoMachineLps,
    /// A task without end.
    #[error("{}: task `{task}` has no end, and `global` no `duration`", file.display())]
    Endless {
        /// The file.
        file: PathBuf,
        /// The task.
        task: String,
    },
    /// Tasks that do more than is played.
    #[error("{}: it has more than {steps} steps", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
        /// So many are played.
        steps: u64,
    },
    /// VMs that were asked for and are not there.
    #[error("the trace has no VM {} in the selected time", listed(.0.iter().map(String::as_str)))]
    UnknownVms(Vec<String>),
    /// Nothing is left.
    #[error(
        "nothing is selected: of the rows read, {rows} in all, none is of a selected VM and time"
    )]
    Nothing {
        /// Rows read.
        rows: u64,
    },
    /// What was made of it cannot be written.
    #[error("cannot write: {0}")]
    Unwritable(io::Error),
    /// Who watched the progress wanted no more.
    #[error("interrupted")]
    Interrupted,
}

impl TraceError {
    /// Which option of `apportion trace` helps, where one does.
    pub fn option(&self) -> Option<String> {
        let option = match self {
            TraceError::BadLine(_) | TraceError::BadItem { .. } => {
                "--skip-bad counts what is bad and leaves it out"
            }
            TraceError::UnknownFormat { .. } => {
                let formats = listed(Format::ALL.map(Format::name));
                return Some(format!("say it with --format: {formats}"));
            }
            TraceError::NoTable { .. } => "name it with --vmtable",
            TraceError::NoMachineLps => "say it with --machine-lps, such as 64",
            TraceError::Endless { .. } | TraceError::TooLong { .. } => {
                "say with --span how much of it to take"
            }
            _ => return None,
        };
        Some(option.to_owned())
    }
}
