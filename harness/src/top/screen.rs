//! The terminal: entered when the guests run, drawn on and listened to in the root's thread, and left on every path.
//!
//! The root draws when there is something new, five times a second at the
//! most, and asks for keys on each of its rounds. What it has drawn is written
//! by another thread, and until that is done it draws no more: a terminal that
//! stalls misses frames, and the next one tells it all that has changed.

use super::keys::Parser;
use super::live::Live;
use super::outlet::{Inlet, Outlet};
use super::picture::{Event, Picture};
use super::ui::{Ui, Wish};
use super::view::{self, Palette};
use crate::table;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};
use std::{env, panic, thread};

/// So much time is between two drawings at the least.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// So many events are kept to be shown.
const EVENTS: usize = 100;

/// Whether the terminal is ours. Whoever takes that back restores it.
static OURS: AtomicBool = AtomicBool::new(false);

/// What other threads said as they panicked while it was.
static UNTOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn untold() -> MutexGuard<'static, Vec<String>> {
    UNTOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the terminal back as it was, once, and says what could not be said meanwhile.
pub(crate) fn restore() {
    if OURS.swap(false, Ordering::SeqCst) {
        // Nothing can be done about what fails here.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        untold().drain(..).for_each(|line| table::tell(&line));
    }
}

/// Makes a panic tell on the terminal as it was. Only the thread that took the
/// terminal gives it back there and then: dispatchers may not even ask for that.
fn tell_panics() {
    let tell = panic::take_hook();
    let root = thread::current().id();
    panic::set_hook(Box::new(move |info| {
        let here = thread::current();
        if here.id() == root {
            restore();
        }
        if OURS.load(Ordering::SeqCst) {
            let name = here.name().unwrap_or("unnamed");
            untold().push(format!("thread '{name}' {info}"));
        } else {
            tell(info);
        }
    }));
}

/// Whether stdout is a terminal that can be drawn on.
pub(crate) fn can_draw() -> bool {
    let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && !dumb
}

/// Stdout as long as the terminal is ours: what comes later belongs on no other screen.
struct Ours;

impl Write for Ours {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        match OURS.load(Ordering::SeqCst) {
            true => out.write(bytes),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// A terminal that is ours.
struct Canvas {
    terminal: Terminal<CrosstermBackend<Inlet>>,
    outlet: Outlet,
}

fn enter() -> io::Result<Canvas> {
    static HOOK: Once = Once::new();
    HOOK.call_once(tell_panics);
    OURS.store(true, Ordering::SeqCst);
    let entered = || {
        enable_raw_mode()?;
        let outlet = Outlet::open(Ours)?;
        let mut inlet = outlet.inlet();
        execute!(inlet, EnterAlternateScreen)?;
        let terminal = Terminal::new(CrosstermBackend::new(inlet))?;
        Ok(Canvas { terminal, outlet })
    };
    entered().inspect_err(|_| restore())
}

/// The terminal and what is shown on it.
pub(crate) struct Screen {
    /// While it is ours.
    canvas: Option<Canvas>,
    interrupted: Arc<AtomicBool>,
    ui: Ui,
    palette: Palette,
    picture: Picture,
    events: VecDeque<Event>,
    /// Something is not yet shown.
    stale: bool,
    drawn: Option<Instant>,
    /// When the first tick of the run came.
    begun: Option<Instant>,
    /// The size it was drawn for.
    size: Option<Size>,
    keyboard: Keyboard,
}

/// Where keys come from. They are read here and not by crossterm, which loses
/// a key that comes together with a resize and waits for the end of a sequence
/// that has none: the root must never wait.
struct Keyboard {
    /// The terminal, while somebody can type.
    tty: Option<OwnedFd>,
    parser: Parser,
}

impl Screen {
    /// A person who quits sets `interrupted`.
    pub(crate) fn new(interrupted: Arc<AtomicBool>) -> Screen {
        let colourless = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen {
            canvas: None,
            interrupted,
            ui: Ui::new(),
            palette: Palette {
                colours: !colourless,
            },
            picture: Picture::default(),
            events: VecDeque::new(),
            stale: true,
            drawn: None,
            begun: None,
            size: None,
            keyboard: Keyboard::open(),
        }
    }

    /// Another run begins. The terminal stays as it is until its guests do:
    /// until then Ctrl-C is a signal.
    pub(crate) fn begin(&mut self) {
        self.ui.begin();
        self.events.clear();
        self.begun = None;
    }

    /// Listens and draws; `fresh` if there are new figures. Virtual time is
    /// held up to the person's, or there would be nothing to watch.
    ///
    /// # Errors
    /// Where there is no terminal to draw on after all.
    pub(crate) fn tick(&mut self, live: &mut Live, fresh: bool) -> io::Result<()> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let news = match self.ui.frozen {
            true => Vec::new(),
            false => live.news(),
        };
        self.stale |= fresh || !news.is_empty();
        for event in news {
            self.events.push_back(event);
        }
        let old = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..old);
        if self.canvas.is_none() {
            self.canvas = Some(enter()?);
            self.stale = true;
        }
        loop {
            let ahead = match live.simulated() {
                true => Duration::from_nanos(live.passed().0).saturating_sub(begun.elapsed()),
                false => Duration::ZERO,
            };
            self.listen(live, ahead.min(DRAW_EVERY));
            if self.interrupted.load(Ordering::Relaxed) {
                // What comes now may take a while, and can be interrupted again.
                self.leave_unless_stalled();
                return Ok(());
            }
            self.draw(live)?;
            if ahead.is_zero() {
                return Ok(());
            }
        }
    }

    /// Does what was typed, waiting for it so long at the most.
    fn listen(&mut self, live: &mut Live, wait: Duration) {
        let bytes = self.keyboard.read(wait);
        for key in self.keyboard.parser.keys(&bytes) {
            self.stale = true;
            if self.ui.press(key, &self.picture, live) == Wish::Quit {
                self.interrupted.store(true, Ordering::Relaxed);
            }
        }
        let canvas = self.canvas.as_ref();
        let size = canvas.and_then(|it| it.terminal.size().ok());
        self.stale |= size != self.size;
        self.size = size;
    }

    fn draw(&mut self, live: &Live) -> io::Result<()> {
        let soon = self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAW_EVERY);
        if !self.stale || soon || !OURS.load(Ordering::SeqCst) {
            return Ok(());
        }
        let Some(Canvas { terminal, outlet }) = &mut self.canvas else {
            return Ok(());
        };
        if !outlet.is_empty() {
            return Ok(());
        }
        if !self.ui.frozen {
            self.picture = live.picture();
        }
        let events = self.events.make_contiguous();
        let (picture, ui, palette) = (&self.picture, &mut self.ui, self.palette);
        terminal.draw(|frame| view::draw(frame, picture, events, ui, palette))?;
        (self.stale, self.drawn) = (false, Some(Instant::now()));
        Ok(())
    }

    /// Gives the terminal back, unless that would take as long as it stalls.
    pub(crate) fn leave_unless_stalled(&mut self) {
        if self.canvas.as_ref().is_none_or(|it| it.outlet.is_empty()) {
            self.leave();
        }
    }

    /// Gives the terminal back.
    pub(crate) fn leave(&mut self) {
        if let Some(Canvas { terminal, outlet }) = self.canvas.take() {
            drop(terminal);
            // A terminal that is gone shows nothing.
            let _ = outlet.close();
        }
        restore();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Keyboard {
    /// The terminal that stdin is, or else the one that the process belongs to.
    fn open() -> Keyboard {
        let stdin = io::stdin();
        let tty = match stdin.is_terminal() {
            true => stdin.as_fd().try_clone_to_owned(),
            false => File::open("/dev/tty").map(OwnedFd::from),
        };
        Keyboard {
            tty: tty.ok(),
            parser: Parser::default(),
        }
    }

    /// What was typed; nothing after `wait` at the most.
    fn read(&mut self, wait: Duration) -> Vec<u8> {
        let Some(tty) = &self.tty else {
            thread::sleep(wait);
            return Vec::new();
        };
        let mut bytes = [0; 256];
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: wait.subsec_nanos().into(),
        };
        let read = match poll(&mut [PollFd::new(tty, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Vec::new(),
            Ok(_) => rustix::io::read(tty, &mut bytes),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) | Err(_) => {
                // Nobody can type any more.
                self.tty = None;
                Vec::new()
            }
            Ok(read) => bytes[..read].to_vec(),
        }
    }
}
