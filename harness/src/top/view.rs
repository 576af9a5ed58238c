//! Draws a picture on whatever size the terminal has. A state is always a word or a sign, never a colour alone.

mod foot;

use super::columns::Column;
use super::picture::{Event, LP_PARTS, Line as Row, LpLine, Picture, State};
use super::ui::Ui;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// From this height on there is room for air.
const TALL: u16 = 20;

/// What is told of colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    /// Without it there is bold and reversed alone.
    pub(crate) colours: bool,
}

impl Palette {
    fn of(self, colour: Color) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws everything; `events` are those that happened last, the newest at the end.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    picture: &Picture,
    events: &[Event],
    ui: &mut Ui,
    palette: Palette,
) {
    let mut rest = frame.area();
    let quarter = rest.height / 4;
    let air = u16::from(rest.height >= TALL);
    let head = take(&mut rest, 1);
    draw_head(frame, head, picture, ui, palette);
    take(&mut rest, air);
    let lps = picture.lps.len().min(usize::from(quarter.max(3) - 1)) as u16 + 1;
    draw_lps(frame, take(&mut rest, lps), &picture.lps);
    take(&mut rest, air);
    let bottom = foot::lines(ui, palette, usize::from(rest.width));
    let bottom_area = take_last(&mut rest, bottom.len() as u16);
    let log = take_last(&mut rest, quarter);
    take_last(&mut rest, air);
    draw_table(frame, rest, picture, ui, palette);
    foot::draw_events(frame, log, events, palette);
    for (line, text) in bottom.into_iter().enumerate() {
        put(frame, bottom_area, line as u16, text);
    }
    if ui.help {
        foot::draw_help(frame);
    }
}

/// The next lines of what is left.
fn take(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    rest.y += height;
    rest.height -= height;
    taken
}

/// The last lines of what is left.
fn take_last(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect {
        y: rest.y + rest.height,
        height,
        ..*rest
    }
}

fn put(frame: &mut Frame<'_>, area: Rect, line: u16, text: Line<'_>) {
    if line < area.height {
        let buffer = frame.buffer_mut();
        buffer.set_line(area.x, area.y + line, &text, area.width);
    }
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, picture: &Picture, ui: &Ui, palette: Palette) {
    let mut spans = vec![Span::styled(picture.title.clone(), BOLD)];
    if picture.simulated {
        let style = palette.of(Color::Yellow).patch(REVERSED);
        spans.extend(["  ".into(), Span::styled(" SIMULATED ", style)]);
    }
    if ui.frozen {
        let style = palette.of(Color::Cyan).patch(REVERSED);
        spans.extend(["  ".into(), Span::styled(" FROZEN ", style)]);
    }
    let passed = picture.passed.0 / 1_000_000_000;
    let engine = if picture.simulated { "" } else { "kvm, " };
    let Picture {
        length, machine, ..
    } = picture;
    spans.push(format!("  {passed}s of {length}  {engine}{machine}").into());
    put(frame, area, 0, Line::from(spans));
}

/// So wide is a column of an LP's parts.
const PART: usize = 8;

fn draw_lps(frame: &mut Frame<'_>, area: Rect, lps: &[LpLine]) {
    let heads = LP_PARTS.map(|part| format!("{part:>PART$}")).concat();
    put(
        frame,
        area,
        0,
        Line::styled(format!("  LP     {heads}"), BOLD),
    );
    let room = usize::from(area.height.saturating_sub(1));
    // The last line says how many there is no room for.
    let shown = if lps.len() > room {
        room.saturating_sub(1)
    } else {
        room
    };
    for (line, lp) in lps.iter().take(shown).enumerate() {
        let parts = lp.parts.map(|part| match part {
            Some(part) => format!("{part:>PART$.1}"),
            None => format!("{:>PART$}", "-"),
        });
        let number = format!("LP {}", lp.lp);
        let text = match lp.online {
            true => format!("  {number:<7}{}", parts.concat()),
            false => format!("  {number:<7} off line"),
        };
        put(frame, area, 1 + line as u16, text.into());
    }
    if lps.len() > shown {
        let more = format!("  and {} more", lps.len() - shown);
        put(frame, area, 1 + shown as u16, more.into());
    }
}

/// The columns that fit, the one that is sorted by among them; and how wide the name is.
fn columns(width: usize, names: usize, sort: Column) -> (Vec<Column>, usize) {
    let width = width.saturating_sub(2);
    let others = &Column::ALL[1..];
    let wide = |columns: &[Column]| columns.iter().map(|it| it.head().1 + 1).sum::<usize>();
    let name = names
        .clamp(4, width.saturating_sub(wide(others)).max(16))
        .min(width);
    let sorted = others.iter().position(|it| *it == sort).unwrap_or(0);
    let begin = (0..=sorted).find(|&first| name + wide(&others[first..=sorted]) <= width);
    let fits = others[begin.unwrap_or(sorted)..]
        .iter()
        .scan(name, |used, column| {
            *used += column.head().1 + 1;
            (*used <= width).then_some(*column)
        });
    let columns = [Column::Name].into_iter().chain(fits).collect();
    (columns, name)
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, picture: &Picture, ui: &mut Ui, palette: Palette) {
    let rows = ui.rows(picture);
    let names = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let (columns, name) = columns(usize::from(area.width), names, ui.sort);
    let mut heads = vec![Span::raw("  ")];
    for &column in &columns {
        let style = if column == ui.sort {
            BOLD.patch(REVERSED)
        } else {
            BOLD
        };
        let (head, width) = column.head();
        let text = if column == Column::Name { head } else { " " };
        if column == Column::Name {
            let pad = " ".repeat(name.saturating_sub(text.len()));
            heads.extend([Span::styled(text, style), pad.into()]);
        } else {
            let pad = if column == Column::State {
                1
            } else {
                1 + width - head.len()
            };
            let behind = 1 + width - head.len() - pad;
            heads.extend([" ".repeat(pad).into(), Span::styled(head, style)]);
            heads.push(" ".repeat(behind).into());
        }
    }
    put(frame, area, 0, Line::from(heads));
    let page = usize::from(area.height.saturating_sub(1)).max(1);
    let at = ui.at(&rows);
    let first = ui.first.min(rows.len().saturating_sub(page));
    let first = first.clamp((at + 1).saturating_sub(page), at);
    for (line, (index, row)) in rows.iter().enumerate().skip(first).take(page).enumerate() {
        let chosen = index == at;
        let text = table_row(row, &columns, name, picture, chosen, palette);
        let text = if chosen { text.style(REVERSED) } else { text };
        put(frame, area, 1 + line as u16, text);
    }
    (ui.page, ui.first) = (page, first);
}

fn table_row(
    row: &Row,
    columns: &[Column],
    name: usize,
    picture: &Picture,
    chosen: bool,
    palette: Palette,
) -> Line<'static> {
    let mut spans = vec![Span::raw(if chosen { "> " } else { "  " })];
    for &column in columns {
        let text = column.text(row, picture.second.as_ref());
        let width = column.head().1;
        spans.push(match column {
            Column::Name => format!("{:<name$}", shortened(&text, name)).into(),
            Column::State => {
                Span::styled(format!(" {text:<width$}"), state_style(row.state, palette))
            }
            _ => format!(" {text:>width$}").into(),
        });
    }
    Line::from(spans)
}

fn state_style(state: State, palette: Palette) -> Style {
    match state {
        State::Running => Style::new(),
        State::Held => palette.of(Color::Yellow),
        State::Asleep | State::Stopped => DIM,
        State::Crashed => palette.of(Color::Red).patch(BOLD),
    }
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}
