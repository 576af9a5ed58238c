//! The way to stdout while guests run: a thread of its own writes, since a pipe that nobody reads, or a terminal that
//! stalls, holds up whoever writes to it, and the root must not wait.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

/// Once so many bytes wait there is no room for more.
const MOST: usize = 1 << 20;

/// What is put in here is written, in order, some time.
pub(super) struct Outlet {
    inlet: Inlet,
    writer: JoinHandle<io::Result<()>>,
}

/// Takes what is written to it, and hands it over when it is flushed.
#[derive(Clone)]
pub(super) struct Inlet {
    text: Vec<u8>,
    queue: Sender<Vec<u8>>,
    /// Bytes that were handed over and are not yet written.
    waiting: Arc<AtomicUsize>,
}

impl Outlet {
    /// # Errors
    /// Where there is no thread to be had.
    pub(super) fn open(mut to: impl Write + Send + 'static) -> io::Result<Outlet> {
        let (queue, texts) = mpsc::channel::<Vec<u8>>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        let write = move || {
            let ended = texts.iter().try_for_each(|text| {
                to.write_all(&text)?;
                to.flush()?;
                left.fetch_sub(text.len(), Ordering::AcqRel);
                Ok(())
            });
            // What comes now is refused, and nothing waits.
            drop(texts);
            left.store(0, Ordering::Release);
            ended
        };
        let writer = thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(write)?;
        let text = Vec::new();
        Ok(Outlet {
            inlet: Inlet {
                text,
                queue,
                waiting,
            },
            writer,
        })
    }

    /// Another way in.
    pub(super) fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// Writes `text` some time, unless too much waits already: then not at all, which it tells.
    pub(super) fn put(&mut self, text: &str) -> bool {
        let room = self.inlet.waiting.load(Ordering::Acquire) < MOST;
        if room {
            // Why it fails, `close` tells.
            let put = self.inlet.write_all(text.as_bytes());
            let _ = put.and_then(|()| self.inlet.flush());
        }
        room
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.inlet.waiting.load(Ordering::Acquire) == 0
    }

    /// Waits until everything is written. All other ways in must be closed. A reader that has gone is no error.
    ///
    /// # Errors
    /// Whatever kept something from being written.
    pub(super) fn close(self) -> io::Result<()> {
        drop(self.inlet);
        match self.writer.join() {
            Ok(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

impl Write for Inlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = mem::take(&mut self.text);
        self.waiting.fetch_add(text.len(), Ordering::AcqRel);
        self.queue.send(text).map_err(|_| {
            self.waiting.store(0, Ordering::Release);
            ErrorKind::BrokenPipe.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn nobody_waits_for_a_pipe_that_is_not_read() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::open(writer).unwrap();
        // More than any pipe holds.
        let line = format!("{}\n", "x".repeat(9_999));
        let put = (0..1_000).filter(|_| outlet.put(&line)).count();
        assert!((105..1_000).contains(&put), "{put}");
        assert!(!outlet.is_empty());
        let closed = thread::spawn(|| outlet.close());
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read.len(), put * line.len());
        closed.join().unwrap().unwrap();
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut outlet = Outlet::open(writer).unwrap();
        assert!(outlet.put("more\n"));
        // Once that is known whoever writes is told, and nothing is left out.
        while outlet.inlet().flush().is_ok() {
            thread::yield_now();
        }
        for _ in 0..200 {
            assert!(outlet.put(&"x".repeat(9_999)));
        }
        assert!(outlet.is_empty());
        assert!(outlet.close().is_ok());

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut outlet = Outlet::open(full.unwrap()).unwrap();
        outlet.put("more\n");
        let error = outlet.close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}
