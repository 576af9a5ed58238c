//! The recording's CSV files as frames, with the columns and types of the
//! schema: an all-empty column has its type, a damaged row is an error.

use crate::error::{ReportError, first_line};
use apportion_recording::{
    ClaimRow, DispatchRow, EventRow, RecordingError, ShareRow, Status, SummaryRow, files, read_rows,
};
use polars::prelude::{DataFrame, DataType, Field, PlSmallStr, PolarsResult, Schema};
use polars_io::prelude::{CsvReadOptions, SerReader as _};
use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// The tables of one recording.
#[derive(Debug)]
pub struct Frames {
    /// `dispatches.csv`.
    pub dispatches: DataFrame,
    /// `events.csv`.
    pub events: DataFrame,
    /// `shares.csv`.
    pub shares: DataFrame,
    /// `summary.csv`.
    pub summary: DataFrame,
    /// `claims.csv`: few rows, read as they are; none where nothing is claimed.
    pub claims: Vec<ClaimRow>,
    /// What had to be left out, in sentences.
    pub notes: Vec<String>,
}

impl Frames {
    /// Loads the tables of the recording in `dir`.
    ///
    /// Of a recording that is not complete, tables may be missing, empty or end
    /// in the middle of a row.
    ///
    /// # Errors
    /// Where a file cannot be read or does not fit the schema.
    pub fn load(dir: &Path, status: Status) -> Result<Frames, ReportError> {
        let mut notes = Vec::new();
        let mut load = |table: &Table| table.load(dir, status, &mut notes);
        Ok(Frames {
            dispatches: load(&DISPATCHES)?,
            events: load(&EVENTS)?,
            shares: load(&SHARES)?,
            summary: load(&SUMMARY)?,
            claims: match dir.join(files::CLAIMS).exists() {
                true => read_rows(dir, files::CLAIMS)?,
                false => Vec::new(),
            },
            notes,
        })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    Int,
    Real,
}

impl Kind {
    fn dtype(self) -> DataType {
        match self {
            Kind::Text | Kind::Word(_) => DataType::String,
            // Signed, so that differences of times cannot wrap.
            Kind::Int => DataType::Int64,
            Kind::Real => DataType::Float64,
        }
    }
}

/// A column: its name, what it holds, and whether a field of it may be empty.
type Column = (&'static str, Kind, bool);

const fn text(name: &'static str) -> Column {
    (name, Kind::Text, false)
}

const fn word(name: &'static str, words: &'static [&'static str]) -> Column {
    (name, Kind::Word(words), false)
}

const fn int(name: &'static str) -> Column {
    (name, Kind::Int, false)
}

const fn real(name: &'static str) -> Column {
    (name, Kind::Real, false)
}

const fn maybe(column: Column) -> Column {
    (column.0, column.1, true)
}

struct Table {
    file: &'static str,
    columns: &'static [Column],
    /// Reads the file row by row, for a message that has the line.
    check: fn(&Path, &str) -> Result<(), RecordingError>,
}

const VERDICTS: &[&str] = &["pass", "fail", "inconclusive", "skipped"];

const DISPATCHES: Table = Table {
    file: files::DISPATCHES,
    columns: &[
        text("experiment"),
        int("repetition"),
        int("lp"),
        text("guest"),
        int("vp"),
        int("ready_ns"),
        int("start_ns"),
        int("end_ns"),
        int("ran_ns"),
        int("work"),
        text("reason"),
    ],
    check: |dir, file| read_rows::<DispatchRow>(dir, file).map(drop),
};

const EVENTS: Table = Table {
    file: files::EVENTS,
    columns: &[
        text("experiment"),
        int("repetition"),
        int("t_ns"),
        text("kind"),
        maybe(int("lp")),
        maybe(text("guest")),
        maybe(int("vp")),
        maybe(int("value")),
        maybe(text("detail")),
    ],
    check: |dir, file| read_rows::<EventRow>(dir, file).map(drop),
};

const SHARES: Table = Table {
    file: files::SHARES,
    columns: &[
        text("experiment"),
        int("repetition"),
        text("engine"),
        text("policy"),
        word("scope", &["guest", "vp"]),
        text("guest"),
        maybe(int("vp")),
        int("weight"),
        real("reserve_pct"),
        real("cap_pct"),
        word("check", &["share", "cap", "reserve"]),
        int("window_ms"),
        int("window_start_ns"),
        real("expected_pct"),
        real("measured_pct"),
        real("work_pct"),
        real("capacity_pct"),
        real("error_pp"),
        real("bound_pp"),
        real("tolerance_pp"),
        word("verdict", VERDICTS),
    ],
    check: |dir, file| read_rows::<ShareRow>(dir, file).map(drop),
};

const SUMMARY: Table = Table {
    file: files::SUMMARY,
    columns: &[
        text("experiment"),
        text("engine"),
        text("policy"),
        text("guest"),
        int("weight"),
        int("vps"),
        int("repetitions"),
        real("expected_pct"),
        real("measured_pct"),
        maybe(real("ci95_low_pct")),
        maybe(real("ci95_high_pct")),
        real("work_pct"),
        real("worst_error_pp"),
        real("tolerance_pp"),
        word("verdict", VERDICTS),
    ],
    check: |dir, file| read_rows::<SummaryRow>(dir, file).map(drop),
};

impl Table {
    fn load(
        &self,
        dir: &Path,
        status: Status,
        notes: &mut Vec<String>,
    ) -> Result<DataFrame, ReportError> {
        let path = dir.join(self.file);
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(source) => {
                return Err(ReportError::Recording {
                    source: RecordingError::Io {
                        action: "read",
                        path,
                        source,
                    },
                });
            }
        };
        // A writer that died leaves part of a row; every whole row has its line end.
        let whole = bytes
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        if whole < bytes.len() {
            if status == Status::Complete {
                return Err(self.damaged(dir, "the last row is cut off".to_owned()));
            }
            bytes.truncate(whole);
            notes.push(format!(
                "The last row of `{}` is cut off and left out.",
                self.file
            ));
        }
        if bytes.is_empty() {
            return if status == Status::Complete {
                Err(ReportError::Incomplete(path))
            } else {
                Ok(DataFrame::empty_with_schema(&self.schema()))
            };
        }
        self.check_header(&path, &bytes)?;
        let frame = self
            .parse(bytes)
            .map_err(|e| self.damaged(dir, first_line(&e)))?;
        self.check_fields(&frame)
            .map_err(|what| self.damaged(dir, what))?;
        Ok(frame)
    }

    fn schema(&self) -> Schema {
        self.columns
            .iter()
            .map(|&(name, kind, _)| Field::new(PlSmallStr::from_static(name), kind.dtype()))
            .collect()
    }

    /// With a schema given, polars goes by position and does not look at the names.
    fn check_header(&self, path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
        let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let found: Vec<&str> = line.trim_end().split(',').collect();
        let name = |i: usize| self.columns.get(i).map(|column| column.0);
        let columns = found.len().max(self.columns.len());
        match (0..columns).find(|&i| found.get(i).copied() != name(i)) {
            None => Ok(()),
            Some(i) => Err(ReportError::Columns {
                path: path.to_owned(),
                number: i + 1,
                found: found.get(i).copied().map(shortened).unwrap_or_default(),
                expected: name(i).unwrap_or_default().to_owned(),
            }),
        }
    }

    fn parse(&self, bytes: Vec<u8>) -> PolarsResult<DataFrame> {
        CsvReadOptions::default()
            .with_has_header(true)
            .with_schema(Some(Arc::new(self.schema())))
            .with_raise_if_empty(false)
            .with_rechunk(true)
            .into_reader_with_file_handle(Cursor::new(bytes))
            .finish()
    }

    /// What the types leave open. Polars fills the missing end of a short row with nulls.
    fn check_fields(&self, frame: &DataFrame) -> Result<(), String> {
        for &(name, kind, may_be_empty) in self.columns {
            let column = frame.column(name).map_err(|e| first_line(&e))?;
            if !may_be_empty && column.null_count() > 0 {
                return Err(format!("empty fields in column `{name}`"));
            }
            if let Kind::Word(words) = kind {
                let values = column.str().map_err(|e| first_line(&e))?;
                if let Some(odd) = values.iter().flatten().find(|v| !words.contains(v)) {
                    return Err(format!("unknown word `{odd}` in column `{name}`"));
                }
            }
        }
        Ok(())
    }

    /// The error for a table that polars refuses: the row reader knows the line.
    fn damaged(&self, dir: &Path, what: String) -> ReportError {
        match (self.check)(dir, self.file) {
            Err(source) => ReportError::Recording { source },
            Ok(()) => ReportError::Table {
                path: dir.join(self.file),
                what,
            },
        }
    }
}

/// Enough of a text to recognise it by.
fn shortened(text: &str) -> String {
    const ENOUGH: usize = 40;
    match text.char_indices().nth(ENOUGH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
