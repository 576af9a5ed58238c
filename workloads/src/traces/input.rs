//! A file as lines: decompressed if it is gzip, whatever its name, and in blocks, whatever its length.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::error::TraceError;
use super::shipped;
use super::source::Ahead;

/// Bytes read at once.
const BLOCK: usize = 256 << 10;

/// No format has lines as long as this; a file without line ends must not fill the memory.
const LONGEST_LINE: usize = 8 << 20;

/// What makes a file gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a tar archive has where the name of its first file has long ended.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// A file that is being read.
pub(super) struct Input {
    path: PathBuf,
    reader: Box<dyn Read>,
    gzip: bool,
    /// Bytes of the file itself that were read.
    consumed: Arc<AtomicU64>,
    buffer: Vec<u8>,
    /// What of the buffer is not handed out yet.
    start: usize,
    end: usize,
    /// Lines handed out.
    lines: u64,
    /// Blocks read: what tells that some time has passed.
    blocks: u64,
    at_end: bool,
}

/// Counts what passes.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Input {
    /// Opens a file, of which `ahead` reads ahead if it is compressed.
    pub(super) fn open(path: &Path, ahead: Option<Ahead>) -> Result<Input, TraceError> {
        let unreadable = |reason| TraceError::Unreadable {
            file: path.to_owned(),
            reason,
        };
        let source: Box<dyn Read + Send> = match shipped::text(path) {
            Some(text) => Box::new(text.as_bytes()),
            None => Box::new(File::open(path).map_err(unreadable)?),
        };
        Input::new(path, source, ahead).map_err(unreadable)
    }

    /// Reads what another source has, as if it were the file of this name.
    pub(super) fn new(
        path: &Path,
        source: Box<dyn Read + Send>,
        ahead: Option<Ahead>,
    ) -> io::Result<Input> {
        let consumed = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: source,
            count: consumed.clone(),
        };
        let mut source = BufReader::with_capacity(BLOCK, counted);
        let gzip = source.fill_buf()?.starts_with(&GZIP);
        let reader: Box<dyn Read> = match (gzip, ahead) {
            (false, _) => Box::new(source),
            (true, None) => Box::new(MultiGzDecoder::new(source)),
            (true, Some(ahead)) => ahead(Box::new(MultiGzDecoder::new(source))),
        };
        Ok(Input {
            path: path.to_owned(),
            reader,
            gzip,
            consumed,
            buffer: vec![0; BLOCK],
            start: 0,
            end: 0,
            lines: 0,
            blocks: 0,
            at_end: false,
        })
    }

    /// Its name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file itself that were read.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// The number of the line handed out last, counted from 1.
    pub(super) fn line_number(&self) -> u64 {
        self.lines
    }

    /// Rises with every block read.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The beginning of the file, without taking anything of it.
    pub(super) fn head(&mut self) -> Result<&[u8], TraceError> {
        while self.end < BLOCK / 4 && !self.at_end {
            self.fill()?;
        }
        let (at, mark) = TAR;
        let head = &self.buffer[self.start..self.end];
        if head.get(at..at + mark.len()) == Some(mark) {
            return Err(self.bad("it is a tar archive: unpack it and name the file inside"));
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// All of it, where that is no more than `most`.
    pub(super) fn whole(&mut self, most: usize) -> Result<Vec<u8>, TraceError> {
        while !self.at_end && self.end - self.start <= most {
            self.fill()?;
        }
        match self.end - self.start {
            length if length <= most => Ok(self.buffer[self.start..self.end].to_vec()),
            _ => Err(self.bad("it is too long for its format")),
        }
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Result<Option<&[u8]>, TraceError> {
        let mut looked_at = self.start;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[looked_at..self.end]);
            if let Some(length) = found {
                let line = self.start..looked_at + length;
                self.start = line.end + 1;
                self.lines += 1;
                return Ok(Some(without_return(&self.buffer[line])));
            }
            if self.at_end {
                let line = self.start..self.end;
                self.start = self.end;
                if line.is_empty() {
                    return Ok(None);
                }
                self.lines += 1;
                return Ok(Some(without_return(&self.buffer[line])));
            }
            let unfinished = self.end - self.start;
            if unfinished > LONGEST_LINE {
                let after = format!(
                    "it has no line end for more than {} MiB after line {}: it is no trace",
                    LONGEST_LINE >> 20,
                    self.lines
                );
                return Err(self.bad(&after));
            }
            self.fill()?;
            looked_at = self.start + unfinished;
        }
    }

    /// Reads some more behind what is not handed out yet.
    fn fill(&mut self) -> Result<(), TraceError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        self.blocks += 1;
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken(error)),
            }
            return Ok(());
        }
    }

    fn bad(&self, problem: &str) -> TraceError {
        TraceError::BadFile {
            file: self.path.clone(),
            problem: problem.to_owned(),
        }
    }

    /// What an error of the reader means.
    fn broken(&self, error: io::Error) -> TraceError {
        let newlines = memchr::memchr_iter(b'\n', &self.buffer[self.start..self.end]).count();
        let (file, bytes) = (self.path.clone(), self.consumed());
        let lines = self.lines + newlines as u64;
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.gzip => {
                TraceError::Truncated { file, bytes, lines }
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if self.gzip => {
                TraceError::Damaged {
                    file,
                    bytes,
                    lines,
                    reason: error.to_string(),
                }
            }
            _ => TraceError::Unreadable {
                file,
                reason: error,
            },
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn input(bytes: Vec<u8>) -> Input {
        Input::new(Path::new("some"), Box::new(io::Cursor::new(bytes)), None).unwrap()
    }

    fn lines(mut input: Input) -> Result<Vec<String>, TraceError> {
        let mut lines = Vec::new();
        while let Some(line) = input.line()? {
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
        assert_eq!(input.line_number(), lines.len() as u64);
        Ok(lines)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_end_in_any_way() {
        for (text, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a\n", &["a"]),
            ("a\r\nb\n\nc", &["a", "b", "", "c"]),
        ] {
            assert_eq!(lines(input(text.into())).unwrap(), expected, "{text:?}");
            assert_eq!(
                lines(input(gzip(text.as_bytes()))).unwrap(),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn lines_go_over_blocks_and_members_of_gzip() {
        let long = "x".repeat(3 * BLOCK);
        let text = format!("1\n{long}\n2\n");
        let mut members = gzip(text.as_bytes());
        members.extend(gzip(b"3\n"));
        assert_eq!(lines(input(members)).unwrap(), ["1", &long, "2", "3"]);
    }

    #[test]
    fn what_is_cut_off_or_damaged_says_where() {
        let text: String = (0..100_000).map(|it| format!("{it}\n")).collect();
        let whole = gzip(text.as_bytes());
        let cut = whole[..whole.len() / 2].to_vec();
        let length = cut.len() as u64;
        match lines(input(cut)) {
            Err(TraceError::Truncated { bytes, lines, .. }) => {
                assert_eq!(bytes, length);
                assert!((30_000..70_000).contains(&lines), "{lines}");
            }
            other => panic!("{other:?}"),
        }
        let mut damaged = whole;
        for byte in &mut damaged[100_000..100_040] {
            *byte = !*byte;
        }
        assert!(matches!(
            lines(input(damaged)),
            Err(TraceError::Damaged { .. })
        ));
    }

    #[test]
    fn a_file_without_line_ends_does_not_fill_the_memory() {
        let error = lines(input(vec![b'x'; LONGEST_LINE + 2 * BLOCK])).unwrap_err();
        assert!(error.to_string().contains("no line end"), "{error}");
    }

    #[test]
    fn an_archive_is_told_from_a_trace() {
        let mut archive = vec![b'c'; 1024];
        archive[257..262].copy_from_slice(b"ustar");
        let error = input(gzip(&archive)).head().unwrap_err();
        assert!(error.to_string().contains("unpack it"), "{error}");
    }
}
