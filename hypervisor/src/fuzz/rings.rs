//! Whatever a guest leaves in the memory that it shares with the host, and what the guest reads there.

use super::{Input, assert_shown, memory};
use crate::guest::GuestMemory;
use apportion_abi::clock::{Line, ReferencePage};
use apportion_abi::hypercall::{LOG_LINE, Status};
use apportion_abi::shared::{CallBlock, DemandRing, Piece, Record, Results, Value, VpLine};
use apportion_abi::{ABI_VERSION, MAX_VPS, Payload, StartPage, layout};
use std::collections::VecDeque;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What a step can write anything to: where, and how much of it.
struct Places([(u64, usize); 5]);

impl Places {
    fn of(vp: u32) -> Places {
        Places([
            (layout::vp_line(vp), size_of::<VpLine>()),
            (layout::results(vp), size_of::<Results>()),
            (layout::demand_ring(vp), size_of::<DemandRing>()),
            (layout::START_PAGE, size_of::<StartPage>()),
            (layout::REFERENCE_PAGE, size_of::<ReferencePage>()),
        ])
    }
}

/// The host and one VP at work in what they share. The input is the VP, then steps: see [`Session::step`].
pub fn rings(input: &[u8]) {
    let mut input = Input(input);
    let mut session = Session::new(memory(), input.vp());
    while !input.is_empty() {
        session.step(&mut input);
    }
}

struct Session {
    vp: u32,
    memory: Arc<GuestMemory>,
    places: Places,
    /// Of the VP's records, by the host.
    seen: u64,
    /// Into the VP's demand ring, by the host.
    written: u64,
    /// What the VP has yet to take out of the ring; `None` once it has tampered with that.
    demand: Option<VecDeque<[u64; 2]>>,
}

impl Session {
    fn new(memory: Arc<GuestMemory>, vp: u32) -> Session {
        let places = Places::of(vp);
        for (at, size) in places.0 {
            memory.poke(at, &vec![0; size]);
        }
        Session {
            vp,
            memory,
            places,
            seen: 0,
            written: 0,
            demand: Some(VecDeque::new()),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 => self.tamper(input),
            1 => self.set(
                results_at(self.vp, offset_of!(Results, written)),
                input.word(),
            ),
            2 => {
                self.demand = None;
                self.set(
                    ring_at(self.vp, offset_of!(DemandRing, taken)),
                    input.word(),
                );
            }
            3 => self.note(input),
            4 => self.read_records(),
            5 => self.put_demand(input),
            6 => self.take_demand(),
            7 => self.read_line(),
            8 => self.answer(input),
            9 => self.show_time(input),
            10 => self.read_start(),
            _ => self.read_text(input.word(), input.word()),
        }
    }

    fn get(&self, at: u64) -> u64 {
        self.memory.peek(at)
    }

    fn set(&self, at: u64, word: u64) {
        self.memory.poke(at, &word.to_le_bytes());
    }

    /// The guest writes anything to anywhere.
    fn tamper(&mut self, input: &mut Input<'_>) {
        let (base, size) = self.places.0[usize::from(input.byte()) % self.places.0.len()];
        if base == layout::demand_ring(self.vp) {
            self.demand = None;
        }
        let at = input.half() as usize % size;
        let length = usize::from(input.byte()).min(size - at);
        self.memory.poke(base + at as u64, input.bytes(length));
    }

    /// The guest does as it should: records something, so many times.
    fn note(&self, input: &mut Input<'_>) {
        let counter = results_at(self.vp, offset_of!(Results, written));
        let mut written = self.get(counter);
        let (times, due) = (input.byte(), input.word());
        for _ in 0..times {
            let record = [due, written, !due].map(u64::to_le_bytes);
            self.memory
                .poke(record_at(self.vp, written), record.as_flattened());
            written = written.wrapping_add(1);
        }
        self.set(counter, written);
    }

    /// Whatever stands there, the host reads no more than there is room for, the
    /// latest ones, knows how many it missed, and does not read them again.
    fn read_records(&mut self) {
        let written = self.get(results_at(self.vp, offset_of!(Results, written)));
        let fresh = written.wrapping_sub(self.seen);
        let (records, lost) = self.memory.records(self.vp, &mut self.seen);
        assert_eq!(self.seen, written);
        assert!(records.len() <= Results::RECORDS);
        assert_eq!(records.len() as u64 + lost, fresh);
        let first = written.wrapping_sub(records.len() as u64);
        for (number, noted) in (0..).map(|it| first.wrapping_add(it)).zip(&records) {
            let there = self.memory.peek_all(record_at(self.vp, number));
            assert_eq!([noted.due, noted.start, noted.done], there);
        }
        let again = self.memory.records(self.vp, &mut self.seen);
        assert_eq!(again, (Vec::new(), 0));
    }

    /// The host puts in what there is room for, at most as much as the input says.
    fn put_demand(&mut self, input: &mut Input<'_>) {
        let room = self.memory.demand_room(self.vp, self.written);
        assert!(room <= DemandRing::PIECES as u64);
        if let Some(demand) = &self.demand {
            assert_eq!(room, (DemandRing::PIECES - demand.len()) as u64);
        }
        let others = self.around_ring();
        let wanted = u64::from(input.byte());
        let mut at = input.word();
        for _ in 0..room.min(wanted) {
            let piece = [at, !at];
            let [when, run_ns] = piece;
            self.memory.put_demand(self.vp, self.written, when, run_ns);
            assert_eq!(self.piece(self.written), piece);
            self.written += 1;
            let counter = ring_at(self.vp, offset_of!(DemandRing, written));
            assert_eq!(self.get(counter), self.written);
            if let Some(demand) = &mut self.demand {
                demand.push_back(piece);
            }
            at = at.wrapping_add(1);
        }
        assert_eq!(self.around_ring(), others);
    }

    /// The words before and behind the ring, which are others'.
    fn around_ring(&self) -> [u64; 2] {
        let ring = layout::demand_ring(self.vp);
        [ring - 8, ring + size_of::<DemandRing>() as u64].map(|at| self.get(at))
    }

    /// The guest does as it should: takes out a piece, and finds what was put in.
    fn take_demand(&mut self) {
        let counter = ring_at(self.vp, offset_of!(DemandRing, taken));
        let taken = self.get(counter);
        let Some(demand) = &mut self.demand else {
            return;
        };
        if let Some(expected) = demand.pop_front() {
            assert_eq!(self.piece(taken), expected);
            self.set(counter, taken + 1);
        }
    }

    fn piece(&self, number: u64) -> [u64; 2] {
        let slot = number % DemandRing::PIECES as u64 * size_of::<Piece>() as u64;
        let pieces = ring_at(self.vp, offset_of!(DemandRing, pieces));
        self.memory.peek_all(pieces + slot)
    }

    /// The host reads what the VP counts, as it stands there.
    fn read_line(&self) {
        let field = |field: usize| self.get(layout::vp_line(self.vp) + field as u64);
        assert_eq!(self.memory.work(self.vp), field(offset_of!(VpLine, work)));
        let handled = self.memory.interrupts_handled(self.vp);
        assert_eq!(handled, field(offset_of!(VpLine, interrupts)));
        let input = offset_of!(VpLine, call) + offset_of!(CallBlock, input);
        assert_eq!(
            self.memory.call_input(self.vp),
            [field(input), field(input + 8)]
        );
        let values = self.memory.values(self.vp);
        assert_eq!(values.len(), Value::ALL.len());
        for (value, read) in values {
            let at = offset_of!(Results, values) + 8 * value as usize;
            assert_eq!(read, self.get(results_at(self.vp, at)), "{value:?}");
        }
    }

    /// An answer changes the two words that it is made of.
    fn answer(&self, input: &mut Input<'_>) {
        const STATUSES: [Status; 5] = [
            Status::Success,
            Status::InvalidCode,
            Status::InvalidInput,
            Status::InvalidParameter,
            Status::TooMany,
        ];
        let status = STATUSES[usize::from(input.byte()) % STATUSES.len()];
        let output = input.word();
        let given = self.memory.call_input(self.vp);
        self.memory.answer(self.vp, status, output);
        assert_eq!(self.memory.call_input(self.vp), given);
        let block = layout::vp_line(self.vp) + offset_of!(VpLine, call) as u64;
        let field = |field: usize| self.get(block + field as u64);
        assert_eq!(field(offset_of!(CallBlock, status)), status as u64);
        assert_eq!(field(offset_of!(CallBlock, output)), output);
    }

    /// The guest reads the time that the host shows, or that there is none.
    fn show_time(&self, input: &mut Input<'_>) {
        let (sequence, tsc) = (input.half(), input.word());
        let line = Line {
            scale: input.word(),
            offset: input.word() as i64,
        };
        let shown = input.byte().is_multiple_of(2).then_some(line);
        self.memory.show_time(sequence, shown);
        let expected = (sequence != 0).then_some(line.at(tsc));
        assert_eq!(self.page().read(|| tsc), shown.and(expected));
    }

    fn page(&self) -> ReferencePage {
        let field = |field: usize| self.get(layout::REFERENCE_PAGE + field as u64);
        ReferencePage {
            // The lower half of its word.
            sequence: AtomicU32::new(field(offset_of!(ReferencePage, sequence)) as u32),
            reserved: 0,
            scale: AtomicU64::new(field(offset_of!(ReferencePage, scale))),
            offset: AtomicU64::new(field(offset_of!(ReferencePage, offset))),
        }
    }

    /// The guest reads the start page: what is a payload is the same one told
    /// again, and what is a page for a VP is the same in other words.
    fn read_start(&self) {
        let word = |field: usize| self.get(layout::START_PAGE + field as u64);
        let half = |field: usize| word(field) as u32;
        let start = StartPage {
            magic: word(offset_of!(StartPage, magic)),
            version: half(offset_of!(StartPage, version)),
            payload: half(offset_of!(StartPage, payload)),
            vps: half(offset_of!(StartPage, vps)),
            reserved: half(offset_of!(StartPage, reserved)),
            memory: word(offset_of!(StartPage, memory)),
            tsc_per_ms: word(offset_of!(StartPage, tsc_per_ms)),
            features: word(offset_of!(StartPage, features)),
            seed: word(offset_of!(StartPage, seed)),
            words: std::array::from_fn(|it| word(offset_of!(StartPage, words) + 8 * it)),
        };
        for (at, bytes) in start.to_bytes().chunks_exact(8).enumerate() {
            let written = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            assert_eq!(written, word(8 * at), "word {at}");
        }
        let _ = self.page().read(|| u64::MAX);
        let ours = start.magic == StartPage::MAGIC && start.version == ABI_VERSION;
        for vp in [0, self.vp, MAX_VPS - 1, MAX_VPS, u32::MAX] {
            assert_eq!(
                start.is_for(vp),
                ours && vp < start.vps && start.vps <= MAX_VPS
            );
        }
        if let Some(payload) = Payload::from_words(start.payload, &start.words) {
            assert_eq!(payload.id(), start.payload);
            let words = payload.words();
            assert_eq!(Payload::from_words(payload.id(), &words), Some(payload));
            let mut told = 0;
            payload.for_each_parameter(|_, _, value| {
                assert_eq!(value, start.words[told]);
                told += 1;
            });
            assert_eq!(words[..told], start.words[..told]);
            assert!(words[told..].iter().all(|word| *word == 0));
        }
    }

    /// A line of text is the guest's memory, made fit to be shown.
    fn read_text(&self, address: u64, length: u64) {
        let text = self.memory.text(address, length);
        let end = address.checked_add(length.min(LOG_LINE));
        let inside = end.is_some_and(|end| end <= layout::LEAST_MEMORY);
        if length > 0 {
            assert_eq!(text.is_some(), inside, "{address:#x}, {length} bytes");
        }
        if let Some(text) = text {
            assert_shown(&text);
        }
    }
}

fn results_at(vp: u32, field: usize) -> u64 {
    layout::results(vp) + field as u64
}

fn record_at(vp: u32, number: u64) -> u64 {
    let slot = number % Results::RECORDS as u64 * size_of::<Record>() as u64;
    results_at(vp, offset_of!(Results, records)) + slot
}

fn ring_at(vp: u32, field: usize) -> u64 {
    layout::demand_ring(vp) + field as u64
}
