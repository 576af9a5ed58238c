//! From the bytes that a terminal sends to keys, and from keys to what they mean.

use super::knobs::Knob;

/// A key that means something somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Printable ASCII.
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C.
    Interrupt,
    /// Any other.
    Other,
}

const ESCAPE: u8 = 0x1b;

/// Puts keys together from bytes.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The beginning of a key whose end has not yet come.
    held: Vec<u8>,
}

impl Parser {
    /// The keys in what has just come. Where nothing has come, what was begun
    /// is at its end: Escape is a key, and the beginning of others.
    pub(crate) fn keys(&mut self, bytes: &[u8]) -> Vec<Key> {
        let waited = bytes.is_empty();
        let mut all = std::mem::take(&mut self.held);
        all.extend(bytes);
        let mut keys = Vec::new();
        let mut rest = &all[..];
        while let [first, behind @ ..] = rest {
            let (key, used) = match (*first, behind) {
                (ESCAPE, [b'[' | b'O', sequence @ ..]) => {
                    let end = sequence
                        .iter()
                        .position(|byte| (0x40..=0x7e).contains(byte));
                    match end {
                        Some(end) => (key_of(&sequence[..=end]), end + 3),
                        None if waited => (Key::Other, rest.len()),
                        None => break,
                    }
                }
                (ESCAPE, []) if waited => (Key::Escape, 1),
                (ESCAPE, []) => break,
                // With Alt.
                (ESCAPE, _) => (Key::Other, 2),
                (0x03, _) => (Key::Interrupt, 1),
                (b'\r' | b'\n', _) => (Key::Enter, 1),
                (0x08 | 0x7f, _) => (Key::Backspace, 1),
                (byte @ 0x20..=0x7e, _) => (Key::Char(char::from(byte)), 1),
                _ => (Key::Other, 1),
            };
            keys.push(key);
            rest = &rest[used..];
        }
        self.held = rest.to_vec();
        keys
    }
}

/// Of what follows `ESC [` or `ESC O`.
fn key_of(sequence: &[u8]) -> Key {
    match sequence {
        [b'A'] => Key::Up,
        [b'B'] => Key::Down,
        [b'C'] => Key::Right,
        [b'D'] => Key::Left,
        [b'H'] | b"1~" | b"7~" => Key::Home,
        [b'F'] | b"4~" | b"8~" => Key::End,
        b"5~" => Key::PageUp,
        b"6~" => Key::PageDown,
        _ => Key::Other,
    }
}

/// What the person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Sort by the column to the left.
    Left,
    /// Sort by the column to the right.
    Right,
    /// Sort the other way round.
    Reverse,
    /// Guests or VPs.
    Toggle,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// Prompt for a new value.
    Prompt(Knob),
    /// A tenth more weight.
    Heavier,
    /// A tenth less.
    Lighter,
    Freeze,
    Help,
    /// End the run.
    Quit,
}

/// What a key means where nothing is being typed.
pub(crate) fn command(key: Key) -> Option<Command> {
    Some(match key {
        Key::Char('<' | ',') | Key::Left => Command::Left,
        Key::Char('>' | '.') | Key::Right => Command::Right,
        Key::Char('r') => Command::Reverse,
        Key::Char('v') => Command::Toggle,
        Key::Up => Command::Up,
        Key::Down => Command::Down,
        Key::PageUp => Command::PageUp,
        Key::PageDown => Command::PageDown,
        Key::Home => Command::First,
        Key::End => Command::Last,
        Key::Char('w') => Command::Prompt(Knob::Weight),
        Key::Char('e') => Command::Prompt(Knob::Reserve),
        Key::Char('c') => Command::Prompt(Knob::Cap),
        Key::Char('+' | '=') => Command::Heavier,
        Key::Char('-') => Command::Lighter,
        Key::Char(' ') => Command::Freeze,
        Key::Char('?' | 'h') => Command::Help,
        Key::Char('q') | Key::Interrupt => Command::Quit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_bytes() {
        let mut parser = Parser::default();
        assert_eq!(
            parser.keys(b"w5\x7f\r\x1b[A\x1bOB\x1b[5~\x1b[1;5C\x03"),
            [
                Key::Char('w'),
                Key::Char('5'),
                Key::Backspace,
                Key::Enter,
                Key::Up,
                Key::Down,
                Key::PageUp,
                Key::Other,
                Key::Interrupt
            ]
        );
        assert_eq!(parser.keys("é".as_bytes()), [Key::Other; 2]);
        assert_eq!(parser.keys(b"\x1bx"), [Key::Other]);
    }

    #[test]
    fn escape_is_a_key_when_nothing_follows_it() {
        let mut parser = Parser::default();
        assert_eq!(parser.keys(b"a\x1b"), [Key::Char('a')]);
        assert_eq!(parser.keys(b"[6~"), [Key::PageDown]);
        assert_eq!(parser.keys(b"\x1b"), []);
        assert_eq!(parser.keys(b""), [Key::Escape]);
        assert_eq!(parser.keys(b"\x1b["), []);
        assert_eq!(parser.keys(b""), [Key::Other]);
        assert_eq!(parser.keys(b""), []);
    }

    #[test]
    fn keys_mean_what_the_help_says() {
        for (key, meant) in [
            (Key::Char('<'), Command::Left),
            (Key::Char('>'), Command::Right),
            (Key::Char('v'), Command::Toggle),
            (Key::Char('e'), Command::Prompt(Knob::Reserve)),
            (Key::Char('c'), Command::Prompt(Knob::Cap)),
            (Key::Char(' '), Command::Freeze),
            (Key::Home, Command::First),
            (Key::Char('q'), Command::Quit),
            (Key::Interrupt, Command::Quit),
        ] {
            assert_eq!(command(key), Some(meant));
        }
        assert_eq!(command(Key::Char('z')), None);
    }
}
