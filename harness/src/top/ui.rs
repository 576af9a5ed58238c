//! What the person has chosen: order, selection, a prompt. Commands change it; it knows no terminal.

use super::columns::Column;
use super::keys::{Command, Key, command};
use super::knobs::{Knob, a_tenth};
use super::live::Live;
use super::picture::{Line, Picture};
use apportion_scheduler::GuestId;

/// As much as is typed at a prompt.
const TYPED: usize = 16;

/// All of it.
#[derive(Debug)]
pub(crate) struct Ui {
    /// VPs instead of guests.
    pub(crate) vps: bool,
    pub(crate) sort: Column,
    pub(crate) reversed: bool,
    /// Who is selected, whichever row that is.
    selected: Option<(GuestId, Option<u32>)>,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) help: bool,
    pub(crate) frozen: bool,
    /// Rows that are seen at once, and the first of them: the view's to say.
    pub(crate) page: usize,
    pub(crate) first: usize,
}

/// A value that is being typed.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) knob: Knob,
    guest: GuestId,
    pub(crate) name: String,
    pub(crate) text: String,
    /// Whether the text is still the present value: what is typed takes its place.
    pub(crate) untouched: bool,
    /// What is wrong with what was typed.
    pub(crate) wrong: Option<String>,
}

/// Whether the run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    Quit,
}

impl Ui {
    pub(crate) fn new() -> Ui {
        Ui {
            vps: false,
            sort: Column::Name,
            reversed: false,
            selected: None,
            prompt: None,
            help: false,
            frozen: false,
            page: 1,
            first: 0,
        }
    }

    /// Another run has other guests.
    pub(crate) fn begin(&mut self) {
        self.selected = None;
        self.prompt = None;
        self.first = 0;
    }

    /// The rows in their order.
    pub(crate) fn rows<'a>(&self, picture: &'a Picture) -> Vec<&'a Line> {
        let lines = if self.vps {
            &picture.vps
        } else {
            &picture.guests
        };
        let mut rows: Vec<&Line> = lines.iter().collect();
        let key = |line: &Line| self.sort.key(line, picture.second.as_ref());
        if self.sort.is_number() {
            rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
        } else {
            rows.sort_by(|a, b| key(a).total_cmp(&key(b)));
        }
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    /// Which row is selected: the first one, unless another was chosen.
    pub(crate) fn at(&self, rows: &[&Line]) -> usize {
        let of = |line: &&Line| Some((line.guest, line.vp)) == self.selected;
        rows.iter().position(of).unwrap_or(0)
    }

    /// Does what a key asks for.
    pub(crate) fn press(&mut self, key: Key, picture: &Picture, live: &mut Live) -> Wish {
        if key == Key::Interrupt {
            return Wish::Quit;
        }
        if self.prompt.is_some() {
            self.type_in(key, live);
        } else if self.help {
            // Any key closes it.
            self.help = false;
        } else if let Some(command) = command(key) {
            return self.command(command, picture, live);
        }
        Wish::GoOn
    }

    fn command(&mut self, command: Command, picture: &Picture, live: &mut Live) -> Wish {
        match command {
            Command::Left => self.sort_by_next(Column::ALL.len() - 1),
            Command::Right => self.sort_by_next(1),
            Command::Reverse => self.reversed = !self.reversed,
            Command::Toggle => self.toggle(picture),
            Command::Up => self.select(picture, |at, _| at.saturating_sub(1)),
            Command::Down => self.select(picture, |at, _| at + 1),
            Command::PageUp => self.select(picture, |at, page| at.saturating_sub(page)),
            Command::PageDown => self.select(picture, |at, page| at + page),
            Command::First => self.select(picture, |_, _| 0),
            Command::Last => self.select(picture, |_, _| usize::MAX),
            Command::Prompt(knob) => self.ask(knob, picture, live),
            Command::Heavier => self.weigh(true, picture, live),
            Command::Lighter => self.weigh(false, picture, live),
            Command::Freeze => self.frozen = !self.frozen,
            Command::Help => self.help = true,
            Command::Quit => return Wish::Quit,
        }
        Wish::GoOn
    }

    fn sort_by_next(&mut self, step: usize) {
        let all = Column::ALL;
        let at = all.iter().position(|it| *it == self.sort).unwrap_or(0);
        self.sort = all[(at + step) % all.len()];
        self.reversed = false;
    }

    /// Stays with the guest that is selected.
    fn toggle(&mut self, picture: &Picture) {
        let guest = self.selected_guest(picture).map(|line| line.guest);
        self.vps = !self.vps;
        let of = |line: &&&Line| Some(line.guest) == guest;
        let rows = self.rows(picture);
        self.selected = rows.iter().find(of).map(|line| (line.guest, line.vp));
    }

    fn select(&mut self, picture: &Picture, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows(picture);
        let Some(last) = rows.len().checked_sub(1) else {
            return;
        };
        let line = rows[to(self.at(&rows), self.page).min(last)];
        self.selected = Some((line.guest, line.vp));
    }

    fn selected_guest<'a>(&self, picture: &'a Picture) -> Option<&'a Line> {
        let rows = self.rows(picture);
        rows.get(self.at(&rows)).copied()
    }

    fn ask(&mut self, knob: Knob, picture: &Picture, live: &Live) {
        let Some(guest) = self.selected_guest(picture).map(|line| line.guest) else {
            return;
        };
        self.prompt = Some(Prompt {
            knob,
            guest,
            name: live.name(guest).to_owned(),
            text: knob.text(&live.controls(guest)),
            untouched: true,
            wrong: None,
        });
    }

    fn weigh(&mut self, more: bool, picture: &Picture, live: &mut Live) {
        let Some(guest) = self.selected_guest(picture).map(|line| line.guest) else {
            return;
        };
        let mut controls = live.controls(guest);
        controls.weight = a_tenth(controls.weight, more);
        live.ask(guest, controls);
    }

    /// At the prompt.
    fn type_in(&mut self, key: Key, live: &mut Live) {
        let Some(prompt) = &mut self.prompt else {
            return;
        };
        match key {
            // No value has any other. What was wrong stays until something is done about it.
            Key::Char(char) if !char.is_ascii_digit() && char != '.' => {}
            Key::Char(char) => {
                prompt.wrong = None;
                if std::mem::take(&mut prompt.untouched) {
                    prompt.text.clear();
                }
                if prompt.text.len() < TYPED {
                    prompt.text.push(char);
                }
            }
            Key::Backspace => {
                prompt.wrong = None;
                prompt.untouched = false;
                prompt.text.pop();
            }
            Key::Escape => self.prompt = None,
            Key::Enter => {
                let controls = live.controls(prompt.guest);
                match prompt.knob.set(controls, &prompt.text) {
                    Ok(controls) => {
                        live.ask(prompt.guest, controls);
                        self.prompt = None;
                    }
                    Err(wrong) => prompt.wrong = Some(wrong),
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
