//! Mistakes and doubts in a file, collected and drawn beside the lines they are in.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer};

use super::sources::{Note, Sources};

/// One mistake or doubt: what is wrong, where, and what to do about it.
#[derive(Debug)]
pub(crate) struct Problem {
    title: String,
    /// How bad it is, and the id of the rule that says so; mistakes in the language have none.
    rule: Option<(Level<'static>, &'static str)>,
    /// Byte range in the text and what to say there; `None` concerns the whole file.
    place: Option<(Range<usize>, String)>,
    contexts: Vec<(Range<usize>, String)>,
    help: Option<String>,
    note: Option<String>,
}

impl Problem {
    /// A mistake at one place of the file, with the remedy as label.
    pub(crate) fn at(
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Problem {
            title: title.into(),
            rule: None,
            place: Some((span, label.into())),
            contexts: Vec::new(),
            help: None,
            note: None,
        }
    }

    /// A mistake of the file as a whole, such as something that is not there.
    pub(crate) fn of_file(title: impl Into<String>) -> Self {
        Problem {
            title: title.into(),
            rule: None,
            place: None,
            contexts: Vec::new(),
            help: None,
            note: None,
        }
    }

    /// With another place that explains the first one.
    pub(crate) fn context(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.contexts.push((span, label.into()));
        self
    }

    /// With a line below that says what is allowed.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a line at the end that says where else it is so.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Raised by the rule of this id, so bad.
    pub(crate) fn by_rule(mut self, level: Level<'static>, id: &'static str) -> Self {
        self.rule = Some((level, id));
        self
    }

    /// Where it stands; at the beginning, where it concerns the whole file.
    pub(crate) fn start(&self) -> usize {
        self.place.as_ref().map_or(0, |(span, _)| span.start)
    }

    /// The problem drawn beside its lines.
    pub(crate) fn render(&self, sources: &Sources) -> String {
        let title = match &self.rule {
            None => Level::ERROR.primary_title(&self.title),
            Some((level, id)) => level.clone().primary_title(&self.title).id(*id),
        };
        let primary: (Range<usize>, Note<'_>) = match &self.place {
            None => (0..0, Box::new(|span| AnnotationKind::Primary.span(span))),
            Some((span, label)) => (
                span.clone(),
                Box::new(move |span| AnnotationKind::Primary.span(span).label(label)),
            ),
        };
        let contexts = self.contexts.iter().map(|(span, label)| {
            let note: Note<'_> =
                Box::new(move |span| AnnotationKind::Context.span(span).label(label));
            (span.clone(), note)
        });
        let group = Group::with_title(title)
            .elements(sources.snippets([primary].into_iter().chain(contexts)))
            .elements(self.help.iter().map(|help| Level::HELP.message(help)))
            .elements(self.note.iter().map(|note| Level::NOTE.message(note)));
        Renderer::plain().render(&[group])
    }
}

/// All mistakes of one file.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.0.extend(problems);
    }

    /// All mistakes drawn beside their lines.
    pub(super) fn drawn(self, sources: &Sources) -> Report {
        let draw = |problem: &Problem| (problem.start(), problem.render(sources));
        Report(self.0.iter().map(draw).collect())
    }
}

/// Mistakes as people see them, with where each begins.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<(usize, String)>);

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn extend(&mut self, more: Report) {
        self.0.extend(more.0);
    }

    /// All of them in the order of the text, each once: what is wrong with a
    /// default is wrong with every guest that has it. `None` if there are none.
    pub(super) fn text(mut self) -> Option<String> {
        self.0.sort_by_key(|(start, _)| *start);
        let mut texts: Vec<String> = Vec::new();
        for (_, text) in self.0 {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        (!texts.is_empty()).then(|| texts.join("\n\n"))
    }
}
