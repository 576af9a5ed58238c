//! Where a trace is: its files, what they are written in, and the file beside them that says what the VMs are.

use std::cmp::Ordering;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::TraceError;
use super::format::Format;
use super::shipped;

/// Reads in advance: whoever has threads can let one decompress what another takes apart.
pub type Ahead = fn(Box<dyn Read + Send>) -> Box<dyn Read>;

/// A trace on the disk.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its files, in the order in which they are read. A folder stands for the files in it, with numbers in their
    /// names in order of size.
    pub files: Vec<PathBuf>,
    /// What it is written in; told from the beginning of the first file where it is not said.
    pub format: Option<Format>,
    /// The file that says what the VMs are (`vmtable`, `container_meta`); looked for beside the first file where it is
    /// not said.
    pub vmtable: Option<PathBuf>,
    /// LPs of the largest machine, which `google` measures by.
    pub machine_lps: Option<f64>,
    /// Whether bad lines are counted and left out; else the first is an error.
    pub skip_bad: bool,
    /// Who reads ahead of what compressed files hold, if anybody does.
    pub ahead: Option<Ahead>,
}

/// Names, without an end that says how they are packed, of files that say what VMs are.
const TABLES: [&str; 2] = ["vmtable.csv", "container_meta.csv"];

impl Source {
    /// All files, folders taken apart.
    pub(super) fn list(&self) -> Result<Vec<PathBuf>, TraceError> {
        let mut files = Vec::new();
        for path in &self.files {
            let of_it = match fs::metadata(path) {
                Err(_) if shipped::text(path).is_some() => Ok(vec![path.clone()]),
                Ok(it) if it.is_dir() => folder(path),
                Ok(_) => Ok(vec![path.clone()]),
                Err(reason) => Err(reason),
            };
            let of_it = of_it.map_err(|reason| TraceError::Unreadable {
                file: path.clone(),
                reason,
            })?;
            if of_it.is_empty() {
                return Err(TraceError::NoFiles(path.clone()));
            }
            files.extend(of_it);
        }
        Ok(files)
    }

    /// The file that says what the VMs are, for a trace that begins with this file.
    pub(super) fn table(&self, format: Format, first: &Path) -> Result<PathBuf, TraceError> {
        if let Some(named) = &self.vmtable {
            return Ok(named.clone());
        }
        let (name, what) = match format {
            Format::Alibaba => (TABLES[1], "which says what the containers request"),
            _ => (TABLES[0], "which says how many cores the VMs have"),
        };
        let beside = first.parent().unwrap_or(Path::new(""));
        // The folders of the Azure dataset as they are published: vmtable/ beside vm_cpu_readings/.
        let stem = name.trim_end_matches(".csv");
        let folders = [beside.to_owned(), beside.join("..").join(stem)];
        let packed = format!("{name}.gz");
        let mut places = folders
            .iter()
            .flat_map(|it| [it.join(name), it.join(&packed)]);
        places
            .find(|it| it.is_file())
            .ok_or_else(|| TraceError::NoTable {
                format,
                what,
                looked_for: format!("{name} or {packed}"),
            })
    }
}

/// The files of a folder that may be part of a trace.
fn folder(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = name.trim_end_matches(".gz");
        if path.is_file() && !name.starts_with('.') && !TABLES.contains(&plain) {
            files.push(path);
        }
    }
    files.sort_by(|a, b| by_number(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files)
}

/// As text, but numbers in it by their size: `2.csv` before `10.csv`.
fn by_number(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |it: &[u8]| it.iter().take_while(|it| it.is_ascii_digit()).count();
        let (in_a, in_b) = (digits(a), digits(b));
        let order = if in_a > 0 && in_b > 0 {
            let (number_a, rest_a) = a.split_at(in_a);
            let (number_b, rest_b) = b.split_at(in_b);
            (a, b) = (rest_a, rest_b);
            let size = |it: &[u8]| {
                it.iter()
                    .skip_while(|it| **it == b'0')
                    .copied()
                    .collect::<Vec<u8>>()
            };
            let (size_a, size_b) = (size(number_a), size(number_b));
            (size_a.len(), size_a).cmp(&(size_b.len(), size_b))
        } else {
            match (a.split_first(), b.split_first()) {
                (Some((first_a, rest_a)), Some((first_b, rest_b))) => {
                    (a, b) = (rest_a, rest_b);
                    first_a.cmp(first_b)
                }
                (None, None) => return Ordering::Equal,
                (rest_a, rest_b) => return rest_a.is_some().cmp(&rest_b.is_some()),
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// What a file that is one VM calls it: its name, without the ends that say how it is written.
pub(super) fn vm_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz");
    let plain = name
        .strip_suffix(".csv")
        .or_else(|| name.strip_suffix(".txt"));
    plain.unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_size() {
        let mut names = [
            "10.csv",
            "2.csv",
            "file-10-of-195",
            "file-9-of-195",
            "a",
            "1",
            "01b",
            "1a",
        ];
        names.sort_by(|a, b| by_number(a, b));
        assert_eq!(
            names,
            [
                "1",
                "1a",
                "01b",
                "2.csv",
                "10.csv",
                "a",
                "file-9-of-195",
                "file-10-of-195"
            ]
        );
    }

    #[test]
    fn a_file_is_named_without_its_ends() {
        for (path, name) in [
            ("a/b/17.csv", "17"),
            ("17.csv.gz", "17"),
            ("planetlab1_fct_ualg_pt_root", "planetlab1_fct_ualg_pt_root"),
            ("x.gz", "x"),
        ] {
            assert_eq!(vm_of(Path::new(path)), name);
        }
    }
}
