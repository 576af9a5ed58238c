//! Below the table: events, keys, the prompt; and the help that lies over everything.

use super::{BOLD, DIM, Palette, REVERSED, put};
use crate::top::picture::Event;
use crate::top::ui::Ui;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};

/// The text of an event begins here, and so much further if it goes on.
const TEXT: usize = 12;
const FURTHER: usize = 2;
/// The longest kind of event; and from which width on events are in columns.
const KIND: usize = 13;
const ROOMY: usize = 60;

pub(super) fn draw_events(frame: &mut Frame<'_>, area: Rect, events: &[Event], palette: Palette) {
    let Some(room) = usize::from(area.height).checked_sub(1) else {
        return;
    };
    put(frame, area, 0, Line::styled("  EVENTS", BOLD));
    let width = usize::from(area.width).saturating_sub(TEXT + FURTHER);
    let last = &events[events.len().saturating_sub(room)..];
    let who = last.iter().map(|event| event.who.len()).max();
    // In columns, where there is room for them.
    let columns = (width >= ROOMY).then_some((KIND, who.unwrap_or(0).min(16)));
    let (kind, who) = columns.unwrap_or_default();
    let mut lines: Vec<Line<'_>> = Vec::new();
    for event in last.iter().rev() {
        let mut texts = wrap(&event_text(event, kind, who), width);
        // The newest is told from its beginning, those before if there is room for all of them.
        if lines.is_empty() {
            texts.truncate(room);
        }
        if lines.len() + texts.len() > room {
            break;
        }
        let style = match event.kind {
            "refused" | "guest-crash" => palette.of(Color::Red),
            _ => Style::new(),
        };
        for (line, text) in texts.into_iter().enumerate().rev() {
            let before = match line {
                0 => format!("{:>8.1} s  ", event.at.0 as f64 / 1e9),
                _ => " ".repeat(TEXT + FURTHER),
            };
            lines.push(Line::from(vec![before.into(), Span::styled(text, style)]));
        }
    }
    for (line, text) in lines.into_iter().rev().enumerate() {
        put(frame, area, 1 + line as u16, text);
    }
}

fn event_text(event: &Event, kinds: usize, names: usize) -> String {
    let Event {
        kind, who, what, ..
    } = event;
    let text = format!("{kind:<kinds$} {who:<names$} {what}");
    text.trim_end().to_owned()
}

/// Words in lines of at most `width`, a longer word cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word.to_owned();
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(String::new());
        } else if line > 0 || word.is_empty() {
            word.insert(0, ' ');
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&word);
        }
    }
    lines
}

/// The keys, or the prompt and below it what may be typed or what is wrong.
pub(super) fn lines(ui: &Ui, palette: Palette, width: usize) -> Vec<Line<'static>> {
    let Some(prompt) = &ui.prompt else {
        let order = match (ui.sort.is_number(), ui.reversed) {
            (true, false) => ", most first",
            (true, true) => ", least first",
            (false, false) => "",
            (false, true) => ", reversed",
        };
        let by = Span::styled(format!("by {}{order}", ui.sort.words()), BOLD);
        let other = if ui.vps { "guests" } else { "VPs" };
        let keys = format!("  q quit  ? help  v {other}  < > r sort  w e c + - set  space freeze");
        return vec![Line::from(vec![by, keys.into()])];
    };
    let (hint, style) = match &prompt.wrong {
        Some(wrong) => (format!("! {wrong}"), palette.of(Color::Red)),
        None => {
            let typing = match prompt.untouched {
                true => "typing replaces it, Backspace edits it, ",
                false => "",
            };
            let allowed = prompt.knob.allowed();
            (format!("{typing}Enter applies, Esc leaves: {allowed}"), DIM)
        }
    };
    let asked = format!("{} of {}: {}", prompt.knob.name(), prompt.name, prompt.text);
    let cursor = Span::styled(" ", REVERSED);
    let mut lines = vec![Line::from(vec![Span::styled(asked, BOLD), cursor])];
    let hints = wrap(&hint, width).into_iter();
    lines.extend(hints.map(|hint| Line::styled(hint, style)));
    lines
}

const HELP: [&str; 17] = [
    "up down PgUp PgDn Home End   select",
    "v           guests, or their VPs",
    "< >         sort by the next column",
    "r           sort the other way round",
    "w           weight of the selected guest",
    "e           its reserve, % of an LP per VP",
    "c           its cap, % of an LP per VP",
    "+ -         its weight, by a tenth",
    "            (a planned change sets all three anew)",
    "space       freeze what is shown; the run goes on",
    "q, Ctrl-C   end the run, keep what was measured",
    "",
    "RECV%  received, of an LP per VP",
    "SHARE% of all delivered, EXP% what the formula says",
    "       (-: a guest wants the CPU at random)",
    "WAIT   from Ready to dispatched, per dispatch",
    "MIGR migrations  ICPT intercepts  INTR interrupts",
];

pub(super) fn draw_help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let widest = HELP.iter().map(|line| line.len()).max().unwrap_or(0);
    let width = (widest as u16 + 4).min(area.width);
    let height = (HELP.len() as u16 + 2).min(area.height);
    let boxed = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, boxed);
    let block = Block::bordered().title(" keys: any closes this ");
    let inner = block.inner(boxed);
    frame.render_widget(block, boxed);
    for (line, text) in HELP.iter().enumerate() {
        put(frame, inner, line as u16, format!(" {text}").into());
    }
}
