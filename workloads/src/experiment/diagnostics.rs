//! Mistakes in a file, collected and drawn beside the lines they are in.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

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
    pub(super) fn render(&self, text: &str, source: &str) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(&self.title));
        group = match &self.place {
            None => group.element(Origin::path(source)),
            Some((span, label)) => {
                let primary = AnnotationKind::Primary.span(span.clone()).label(label);
                let context = self
                    .context
                    .iter()
                    .map(|(span, label)| AnnotationKind::Context.span(span.clone()).label(label));
                let snippet = Snippet::source(text).path(source);
                group.element(snippet.annotation(primary).annotations(context))
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

    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.0.extend(problems);
    }

    /// The report of all mistakes in the order of the text; `None` if there are none.
    pub(super) fn report(mut self, text: &str, source: &str) -> Option<String> {
        self.0.sort_by_key(Problem::start);
        let drawn: Vec<String> = self.0.iter().map(|p| p.render(text, source)).collect();
        (!drawn.is_empty()).then(|| drawn.join("\n\n"))
    }
}
