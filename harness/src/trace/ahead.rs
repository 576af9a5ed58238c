//! A thread that decompresses while another takes apart what it has decompressed.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes handed over at once.
const BLOCK: usize = 256 << 10;

/// Blocks that lie ready, at the most.
const READY: usize = 8;

type Block = io::Result<Vec<u8>>;

/// Reads in advance, in a thread that ends with what it reads, or when nobody takes it any more.
pub(super) fn ahead(from: Box<dyn Read + Send>) -> Box<dyn Read> {
    let (to, blocks) = sync_channel(READY);
    let failed = to.clone();
    let spawned = thread::Builder::new()
        .name("ahead".to_owned())
        .spawn(move || hand_over(from, &to));
    if let Err(error) = spawned {
        // There is room for it, and who reads will say it.
        let _ = failed.try_send(Err(error));
    }
    Box::new(Ahead {
        blocks,
        block: Vec::new(),
        taken: 0,
        ended: false,
    })
}

fn hand_over(mut from: Box<dyn Read + Send>, to: &SyncSender<Block>) {
    loop {
        let mut block = vec![0; BLOCK];
        let read = match from.read(&mut block) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.map(|length| {
                block.truncate(length);
                block
            }),
        };
        let is_last = read.as_ref().map_or(true, Vec::is_empty);
        if to.send(read).is_err() || is_last {
            return;
        }
    }
}

/// The end at which it is taken.
struct Ahead {
    blocks: Receiver<Block>,
    block: Vec<u8>,
    /// What of the block has been taken.
    taken: usize,
    /// The last block, which is empty, was taken.
    ended: bool,
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() {
            if self.ended {
                return Ok(0);
            }
            let gone = || io::Error::other("the thread that reads ahead has ended before the file");
            let block = self.blocks.recv().map_err(|_| gone())?;
            (self.block, self.taken) = (block?, 0);
            self.ended = self.block.is_empty();
        }
        let rest = &self.block[self.taken..];
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some bytes, and then an error.
    struct Breaks(usize);

    impl Read for Breaks {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let length = self.0.min(into.len()).min(1000);
            into[..length].fill(7);
            self.0 -= length;
            Ok(length)
        }
    }

    #[test]
    fn what_is_read_ahead_is_what_is_there() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 17).map(|it| it as u8).collect();
        let mut read = Vec::new();
        ahead(Box::new(io::Cursor::new(bytes.clone())))
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn an_error_comes_behind_what_was_read_before_it() {
        let mut read = Vec::new();
        let error = ahead(Box::new(Breaks(5500)))
            .read_to_end(&mut read)
            .unwrap_err();
        assert_eq!((error.kind(), read.len()), (ErrorKind::UnexpectedEof, 5500));
    }

    #[test]
    fn who_takes_no_more_holds_up_nobody() {
        let mut endless = ahead(Box::new(io::repeat(1)));
        assert_eq!(endless.read(&mut [0; 10]).unwrap(), 10);
        drop(endless);
    }
}
