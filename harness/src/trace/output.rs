//! A file or folder that appears when it is complete, and not at all otherwise. Nothing is overwritten.

use crate::exit::{Code, Failure};
use anyhow::anyhow;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// How often a folder is emptied in which files appear.
const TRIES: u32 = 8;

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

    /// Before anything is written: whoever has to be refused is not kept waiting.
    fn check(&self) -> Result<(), Failure> {
        match self.path.symlink_metadata() {
            Ok(_) => Err(self.is_taken()),
            Err(_) => Ok(()),
        }
    }

    fn is_taken(&self) -> Failure {
        Failure::refused(anyhow!(
            "{} is there already: name another output, or remove it",
            self.path.display()
        ))
    }

    /// What removes all that was written so far, where the process ends at once.
    pub(super) fn removal(&self) -> impl Fn() + Send + use<> {
        let temporary = self.temporary.clone();
        move || remove(&temporary)
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
        let what = format!("cannot write {}", self.path.display());
        Failure::new(Code::Failed, anyhow::Error::new(error).context(what))
    }

    /// Gives it its name, unless something has come there in the meantime.
    pub(super) fn keep(self) -> Result<(), Failure> {
        rename(&self.temporary, &self.path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => self.is_taken(),
            _ => self.failed(error),
        })
    }
}

/// Renames a file or folder to what nothing is called yet, in one step: wherever the process ends, there is all of it or
/// nothing.
fn rename(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => look_and_rename(temporary, path),
        renamed => Ok(renamed?),
    }
}

/// The same where the file system does not know how to: a file or an empty folder that comes between the two is lost.
fn look_and_rename(temporary: &Path, path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(temporary, path),
    }
}

/// A file, or a folder with all that is in it, if it is there.
fn remove(temporary: &Path) {
    let _ = fs::remove_file(temporary);
    // Somebody may still be writing to it.
    for _ in 0..TRIES {
        match fs::remove_dir_all(temporary) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}

/// What was not kept is not left behind.
impl Drop for Output {
    fn drop(&mut self) {
        remove(&self.temporary);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::{Duration, Instant};

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|it| it.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_or_folder_appears_when_it_is_kept() {
        let there = tempfile::tempdir().unwrap();
        let path = there.path().join("file");
        let output = Output::new(&path).unwrap();
        let mut file = output.file().unwrap();
        file.write_all(b"text").unwrap();
        file.finish().unwrap();
        assert!(!path.exists());
        output.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        let output = Output::new(&there.path().join("folder")).unwrap();
        fs::write(output.folder().unwrap().join("in"), "it").unwrap();
        output.keep().unwrap();
        assert_eq!(names(there.path()), ["file", "folder"]);
        assert_eq!(names(&there.path().join("folder")), ["in"]);
    }

    #[test]
    fn what_came_in_the_meantime_stays() {
        let there = tempfile::tempdir().unwrap();
        let begun = |name: &str, is_folder: bool| {
            let output = Output::new(&there.path().join(name)).unwrap();
            match is_folder {
                true => drop(output.folder().unwrap()),
                false => output.file().unwrap().finish().unwrap(),
            }
            output
        };
        for is_folder in [false, true] {
            let (file, folder) = (begun("file", is_folder), begun("folder", is_folder));
            fs::write(there.path().join("file"), "other").unwrap();
            fs::create_dir(there.path().join("folder")).unwrap();
            for output in [file, folder] {
                let error = format!("{:?}", output.keep().unwrap_err());
                assert!(error.contains("there already"), "{error}");
            }
            assert_eq!(names(there.path()), ["file", "folder"]);
            assert_eq!(fs::read(there.path().join("file")).unwrap(), b"other");
            fs::remove_file(there.path().join("file")).unwrap();
            fs::remove_dir(there.path().join("folder")).unwrap();
        }
    }

    #[test]
    fn where_it_takes_two_steps_what_is_there_stays_too() {
        let there = tempfile::tempdir().unwrap();
        let (temporary, path) = (there.path().join("part"), there.path().join("file"));
        fs::write(&temporary, "text").unwrap();
        fs::write(&path, "other").unwrap();
        let error = look_and_rename(&temporary, &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"other");
        fs::remove_file(&path).unwrap();
        look_and_rename(&temporary, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert_eq!(names(there.path()), ["file"]);
    }

    #[test]
    fn nobody_sees_a_folder_before_all_is_in_it() {
        let there = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..500)
            .map(|it| there.path().join(it.to_string()))
            .collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                for path in &paths {
                    let begun = Instant::now();
                    let seen = loop {
                        match fs::read_dir(path) {
                            Ok(mut entries) => break entries.next().is_some(),
                            Err(_) if begun.elapsed() > Duration::from_secs(60) => break false,
                            Err(_) => {}
                        }
                    };
                    assert!(seen, "{}", path.display());
                }
            });
            for path in &paths {
                let output = Output::new(path).unwrap();
                fs::write(output.folder().unwrap().join("in"), "it").unwrap();
                output.keep().unwrap();
            }
        });
    }

    #[test]
    fn what_was_removed_before_it_is_kept_leaves_nothing() {
        let there = tempfile::tempdir().unwrap();
        for is_folder in [false, true] {
            let output = Output::new(&there.path().join("out")).unwrap();
            match is_folder {
                true => drop(output.folder().unwrap()),
                false => output.file().unwrap().finish().unwrap(),
            }
            output.removal()();
            let error = format!("{:?}", output.keep().unwrap_err());
            assert!(error.contains("cannot write"), "{error}");
            assert_eq!(names(there.path()), Vec::<String>::new());
        }
    }

    #[test]
    fn a_removal_leaves_nothing_of_what_was_begun() {
        let there = tempfile::tempdir().unwrap();
        let output = Output::new(&there.path().join("folder")).unwrap();
        fs::write(output.folder().unwrap().join("in"), "it").unwrap();
        output.removal()();
        assert_eq!(names(there.path()), Vec::<String>::new());
    }
}
