//! What is seen and chosen, drawn on a terminal in memory.

use super::super::keys::Key;
use super::super::live::Live;
use super::super::picture::Event;
use super::super::tests::{a_second, ms, planned, started};
use super::super::view::{Palette, draw};
use super::*;
use apportion_hypervisor::Action;
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_scheduler::{Controls, LpId, Nanos};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// A screen of so many columns and lines.
fn drawn(size: (u16, u16), live: &Live, ui: &mut Ui, events: &[Event]) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    let palette = Palette { colours: true };
    terminal
        .draw(|frame| draw(frame, &live.picture(), events, ui, palette))
        .unwrap();
    terminal.backend().clone()
}

fn press(ui: &mut Ui, live: &mut Live, keys: &str) -> Wish {
    let picture = live.picture();
    let mut wish = Wish::GoOn;
    for key in keys.chars() {
        let key = match key {
            '↓' => Key::Down,
            '↑' => Key::Up,
            '⇟' => Key::PageDown,
            '⏎' => Key::Enter,
            '⎋' => Key::Escape,
            '⌫' => Key::Backspace,
            char => Key::Char(char),
        };
        wish = ui.press(key, &picture, live);
    }
    wish
}

fn example() -> (Live, Ui) {
    let guests = [("heavy", 300), ("light", 100), ("doomed", 100)];
    let mut live = started(&planned(&guests), true);
    live.enter(&LogEntry::GuestCrashed {
        guest: GuestId(2),
        vp: 0,
        at: ms(1_003),
    });
    a_second(&mut live);
    (live, Ui::new())
}

/// What was asked for: guest and controls.
fn asked(live: &mut Live) -> Vec<(u32, Controls)> {
    let controls = |action| match action {
        Action::SetControls { guest, controls } => (guest.0, controls),
        other => panic!("{other:?}"),
    };
    live.requests().into_iter().map(controls).collect()
}

#[test]
fn a_wide_terminal_shows_everything() {
    let (mut live, mut ui) = example();
    let mut events = live.news();
    live.refused(
        &Action::LpOff {
            lp: LpId(0),
            force: false,
        },
        "LP 0 cannot be taken off line: it is the last one that is on line, and guests need one, \
         so that nothing could go on without it",
        ms(1_900),
    );
    events.extend(live.news());
    press(&mut ui, &mut live, "↓");
    insta::assert_snapshot!(drawn((120, 30), &live, &mut ui, &events));
}

#[test]
fn a_usual_terminal_shows_what_it_is_sorted_by_and_what_is_wrong_at_the_prompt() {
    let (mut live, mut ui) = example();
    let events = live.news();
    press(&mut ui, &mut live, "v<<<rw⌫⌫⌫99999⏎");
    insta::assert_snapshot!(drawn((80, 24), &live, &mut ui, &events));
}

#[test]
fn a_small_terminal_shows_a_little_of_all() {
    let (mut live, mut ui) = example();
    let events = live.news();
    press(&mut ui, &mut live, "↓↓");
    insta::assert_snapshot!(drawn((40, 10), &live, &mut ui, &events));
}

#[test]
fn help_lies_over_it() {
    let (mut live, mut ui) = example();
    press(&mut ui, &mut live, "?");
    insta::assert_snapshot!(drawn((80, 24), &live, &mut ui, &[]));
    press(&mut ui, &mut live, "z");
    assert!(!ui.help);
}

#[test]
fn no_size_is_too_small() {
    let (mut live, _) = example();
    let events = live.news();
    for keys in ["", "v", "?", "w", " <<"] {
        for size in (0..60).map(|size| (size * 2, size / 2)) {
            for size in [size, (size.1, size.0)] {
                let mut ui = Ui::new();
                press(&mut ui, &mut live, keys);
                drawn(size, &live, &mut ui, &events);
            }
        }
    }
}

#[test]
fn many_guests_scroll_so_that_the_selected_one_is_seen() {
    let names: Vec<String> = (0..200).map(|guest| format!("guest-{guest}")).collect();
    let guests: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 100)).collect();
    let mut live = started(&planned(&guests), true);
    let mut ui = Ui::new();
    let seen = |ui: &mut Ui, live: &Live, name: &str| {
        let text = drawn((80, 24), live, ui, &[]).to_string();
        text.contains(&format!("> {name} "))
    };
    assert!(seen(&mut ui, &live, "guest-0"));
    let page = ui.page;
    press(&mut ui, &mut live, "⇟");
    assert!(seen(&mut ui, &live, &format!("guest-{page}")));
    let picture = live.picture();
    ui.press(Key::End, &picture, &mut live);
    assert!(seen(&mut ui, &live, "guest-199"));
    press(&mut ui, &mut live, "↓↑");
    assert!(seen(&mut ui, &live, "guest-198"));
}

#[test]
fn who_is_selected_stays_selected_in_any_order() {
    let (mut live, mut ui) = example();
    let chosen = |ui: &Ui, live: &Live| {
        let picture = live.picture();
        let rows = ui.rows(&picture);
        rows[ui.at(&rows)].name.clone()
    };
    press(&mut ui, &mut live, "↓");
    for keys in [">>>>>>>", "r", "<"] {
        press(&mut ui, &mut live, keys);
        assert_eq!(chosen(&ui, &live), "light");
    }
    press(&mut ui, &mut live, "v");
    assert_eq!(chosen(&ui, &live), "light:0");
    let picture = live.picture();
    ui.sort = Column::Share;
    let names: Vec<_> = ui.rows(&picture).iter().map(|row| &row.name).collect();
    assert_eq!(names, ["heavy:0", "light:0", "doomed:0"]);
}

#[test]
fn what_is_typed_is_asked_for_once_it_is_right() {
    let (mut live, mut ui) = example();
    press(&mut ui, &mut live, "↓w⌫⌫⌫0⏎");
    assert!(ui.prompt.as_ref().unwrap().wrong.is_some());
    assert!(asked(&mut live).is_empty());
    press(&mut ui, &mut live, "⌫250⏎");
    assert!(ui.prompt.is_none());
    press(&mut ui, &mut live, "c⌫⌫⌫q⎋");
    let told = asked(&mut live);
    assert_eq!((told[0].0, told[0].1.weight.get(), told.len()), (1, 250, 1));
    // What was asked for counts before it is done.
    press(&mut ui, &mut live, "e⌫30⏎++-");
    let told = asked(&mut live);
    let weights: Vec<u32> = told.iter().map(|it| it.1.weight.get()).collect();
    assert_eq!(weights, [250, 275, 302, 272]);
    assert!(told.iter().all(|it| it.1.reserve.percent() == 30.0));
    // What was refused does not.
    let action = Action::SetControls {
        guest: GuestId(1),
        controls: told[3].1,
    };
    live.refused(&action, "no", Nanos::ZERO);
    assert_eq!(live.controls(GuestId(1)).weight.get(), 100);
}

#[test]
fn the_first_character_takes_the_place_of_the_present_value_and_backspace_edits_it() {
    let (mut live, mut ui) = example();
    press(&mut ui, &mut live, "↓w");
    insta::assert_snapshot!(drawn((80, 24), &live, &mut ui, &[]));
    press(&mut ui, &mut live, "50⏎wx⌫7⏎w.");
    let weights = asked(&mut live).into_iter();
    let weights: Vec<u32> = weights.map(|it| it.1.weight.get()).collect();
    assert_eq!(weights, [50, 57]);
    // What is wrong is edited on.
    press(&mut ui, &mut live, "⏎⌫8⏎");
    assert_eq!(asked(&mut live)[0].1.weight.get(), 8);
}

#[test]
fn q_and_ctrl_c_end_the_run() {
    let (mut live, mut ui) = example();
    assert_eq!(press(&mut ui, &mut live, "q"), Wish::Quit);
    assert_eq!(press(&mut ui, &mut live, "wq"), Wish::GoOn);
    let picture = live.picture();
    assert_eq!(ui.press(Key::Interrupt, &picture, &mut live), Wish::Quit);
}
