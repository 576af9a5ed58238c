//! A file or folder that appears when it is complete, and not at all otherwise. Nothing is overwritten.

use crate::exit::{Code, Failure};
use anyhow::{Context as _, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;

/// A place that is written to under another name until it is done.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    /// Beside it.
    temporary: PathBuf,
}

impl Output {
    /// Takes a place at which nothing is.
    pub(super) fn new(path: &Path) -> Result<Output, Failure> {
        let Some(name) = path.file_name() else {
            return Err(Failure::refused(anyhow!(
                "{} is no name for an output",
                path.display()
            )));
        };
        let output = Output {
            path: path.to_owned(),
            temporary: path.with_file_name(format!(
                ".{}.{}.part",
                name.to_string_lossy(),
                process::id()
            )),
        };
        output.check()?;
        Ok(output)
    }

    fn check(&self) -> Result<(), Failure> {
        match self.path.symlink_metadata() {
            Ok(_) => Err(Failure::refused(anyhow!(
                "{} is there already: name another output, or remove it",
                self.path.display()
            ))),
            Err(_) => Ok(()),
        }
    }

    /// A file in its place, compressed if its name says so.
    pub(super) fn file(&self) -> Result<Written, Failure> {
        let packed = self.path.extension().is_some_and(|it| it == "gz");
        Written::create(&self.temporary, packed).map_err(|error| self.failed(error))
    }

    /// A folder in its place.
    pub(super) fn folder(&self) -> Result<&Path, Failure> {
        fs::create_dir(&self.temporary).map_err(|error| self.failed(error))?;
        Ok(&self.temporary)
    }

    /// What an error in writing means.
    pub(super) fn failed(&self, error: io::Error) -> Failure {
        let told =
            Err::<(), _>(error).with_context(|| format!("cannot write {}", self.path.display()));
        match told {
            Err(error) => Failure::new(Code::Failed, error),
            Ok(()) => unreachable!("it is an error"),
        }
    }

    /// Gives it its name.
    pub(super) fn keep(self) -> Result<(), Failure> {
        self.check()?;
        fs::rename(&self.temporary, &self.path).map_err(|error| self.failed(error))
    }
}

/// What was not kept is not left behind.
impl Drop for Output {
    fn drop(&mut self) {
        // Either is there, or neither.
        let _ = fs::remove_file(&self.temporary);
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// A file that may be compressed.
#[derive(Debug)]
pub(super) enum Written {
    Plain(BufWriter<File>),
    Packed(Box<GzEncoder<BufWriter<File>>>),
}

impl Written {
    pub(super) fn create(path: &Path, packed: bool) -> io::Result<Written> {
        let file = BufWriter::with_capacity(1 << 18, File::create_new(path)?);
        Ok(match packed {
            false => Written::Plain(file),
            // The fastest: what it leaves is little more than what others do.
            true => Written::Packed(Box::new(GzEncoder::new(file, Compression::fast()))),
        })
    }

    /// Writes what is left of it.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Written::Plain(file) => file,
            Written::Packed(packed) => packed.finish()?,
        };
        file.flush()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Written::Plain(file) => file.write(bytes),
            Written::Packed(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Written::Plain(file) => file.flush(),
            Written::Packed(file) => file.flush(),
        }
    }
}
