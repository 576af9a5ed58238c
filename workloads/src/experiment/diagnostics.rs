//! Mistakes in a file, collected and drawn beside the lines they are in.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer};

use super::sources::{Note, Sources};

/// One mistake: what is wrong, where, and what to do about it.
#[derive(Debug)]
pub(super) struct Problem {
    title: String,
    /// Byte range in the text and what to say there; `None` concerns the whole file.
    place: Option<(Range<usize>, String)>,
    context: Option<(Range<usize>, String)>,
    help: Option<String>,
}

impl Problem {
    /// A mistake at one place of the file, with the remedy as label.
    pub(super) fn at(
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Problem {
            title: title.into(),
            place: Some((span, label.into())),
            context: None,
            help: None,
        }
    }

    /// A mistake of the file as a whole, such as something that is not there.
    pub(super) fn of_file(title: impl Into<String>) -> Self {
        Problem {
            title: title.into(),
            place: None,
            context: None,
            help: None,
        }
    }

    /// With another place that explains the first one.
    pub(super) fn context(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.context = Some((span, label.into()));
        self
    }

    /// With a line below that says what is allowed.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn start(&self) -> usize {
        self.place.as_ref().map_or(0, |(span, _)| span.start)
    }

    /// The mistake drawn beside its lines.
    pub(super) fn render(&self, sources: &Sources) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(&self.title));
        group = match &self.place {
            None => group.element(Origin::path(sources.name())),
            Some((span, label)) => {
                let primary: Note<'_> =
                    Box::new(move |span| AnnotationKind::Primary.span(span).label(label));
                let context = self.context.iter().map(|(span, label)| {
                    let note: Note<'_> =
                        Box::new(move |span| AnnotationKind::Context.span(span).label(label));
                    (span.clone(), note)
                });
                let notes = [(span.clone(), primary)].into_iter().chain(context);
                group.elements(sources.snippets(notes))
            }
        };
        group = group.elements(self.help.iter().map(|help| Level::HELP.message(help)));
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
    /// One that stands nowhere.
    pub(super) fn of(text: String) -> Report {
        Report(vec![(0, text)])
    }

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
