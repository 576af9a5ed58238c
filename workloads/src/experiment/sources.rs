//! The texts that places point into: the file, and behind it what the command line said.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Annotation, Snippet};

/// The texts of one experiment, each with the name that diagnostics call it by.
#[derive(Clone, Debug)]
pub(crate) struct Sources(Vec<Piece>);

#[derive(Clone, Debug)]
struct Piece {
    /// Where its places begin.
    start: usize,
    name: Arc<str>,
    text: Arc<str>,
}

impl Sources {
    /// A file, whose places are its own.
    pub(crate) fn file(text: &Arc<str>, name: &Arc<str>) -> Sources {
        Sources(vec![Piece {
            start: 0,
            name: Arc::clone(name),
            text: Arc::clone(text),
        }])
    }

    /// Adds a text; what comes back is where its places begin.
    pub(crate) fn add(&mut self, text: &str, name: &str) -> usize {
        // One apart, so that the end of one text is not the beginning of the next.
        let start = self
            .0
            .last()
            .map_or(0, |last| last.start + last.text.len() + 1);
        self.0.push(Piece {
            start,
            name: name.into(),
            text: text.into(),
        });
        start
    }

    /// The texts that the annotations point into, each with its own.
    pub(crate) fn snippets<'a>(
        &'a self,
        annotations: impl IntoIterator<Item = (Range<usize>, Note<'a>)>,
    ) -> Vec<Snippet<'a, Annotation<'a>>> {
        let mut of_pieces: Vec<Vec<Annotation<'a>>> = vec![Vec::new(); self.0.len()];
        let mut order = Vec::new();
        for (span, note) in annotations {
            let piece = self.0.partition_point(|piece| piece.start <= span.start);
            let piece = piece.saturating_sub(1);
            let start = self.0[piece].start;
            of_pieces[piece].push(note(span.start - start..span.end - start));
            if !order.contains(&piece) {
                order.push(piece);
            }
        }
        let snippet = |piece: usize| {
            let Piece { name, text, .. } = &self.0[piece];
            let annotations = std::mem::take(&mut of_pieces[piece]);
            Snippet::source(&**text)
                .path(&**name)
                .annotations(annotations)
        };
        order.into_iter().map(snippet).collect()
    }
}

/// Makes an annotation of its place within a text.
pub(crate) type Note<'a> = Box<dyn FnOnce(Range<usize>) -> Annotation<'a> + 'a>;
