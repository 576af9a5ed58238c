//! What every reader hands its rows to: it selects, checks the order, counts, and tells the progress.

mod demand;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use apportion_scheduler::Nanos;

use super::covered::Covered;
use super::error::{BadLine, TraceError};
use super::fields::{Bad, name};
use super::input::Input;
use super::selection::{Count, Sample, Selection};
use super::sink::{Facts, Sink};

/// What holds for the reading of a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether readings of a VM have to follow each other.
    pub(super) ordered: bool,
    /// Whether bad lines are left out.
    pub(super) skip_bad: bool,
    /// So many VMs have numbers of their own; all that come up later share the next, so that memory is bounded.
    pub(super) most_vms: usize,
    /// So many stretches of time are remembered to notice readings that come twice, where they follow no order.
    pub(super) most_stretches: usize,
}

/// How far the reading of a trace has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of the files, as they are on the disk.
    pub bytes: u64,
    /// Bytes that there are.
    pub of: u64,
    /// Rows read.
    pub rows: u64,
}

/// Who is told; a break ends the reading with [`TraceError::Interrupted`].
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// A VM that has come up.
struct Known {
    id: Rc<[u8]>,
    vps: u32,
    /// When its last reading ended, where they are in order.
    until: Nanos,
    /// For which times it has readings, where they are in none.
    covered: Covered,
    form: Option<Form>,
    /// Who came after it the last time, and so is likely to come now.
    next: u32,
}

/// In which form a VM's demand is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Means,
    Bursts,
}

pub(super) struct Intake<'a> {
    pub(super) selection: &'a Selection,
    /// Names that are wanted, where not all are.
    wanted: Option<HashSet<Box<[u8]>>>,
    /// Whether the names that are wanted are those of a sample.
    pub(super) is_of_sample: bool,
    /// Names that were asked for and came up, whether they are taken or not.
    came_up: HashSet<Box<[u8]>>,
    /// Until when the trace says something, selected or not.
    pub(super) until: Nanos,
    /// Where names are only collected for a sample.
    pub(super) sample: Option<Sample>,
    known: Vec<Known>,
    index: HashMap<Rc<[u8]>, u32>,
    last: usize,
    sink: &'a mut dyn Sink,
    watch: Watch<'a>,
    rules: Rules,
    /// Rows of demand read, good or bad.
    pub(super) rows: u64,
    /// Those of which something was handed on.
    pub(super) used: u64,
    /// Those that are bad and were left out.
    pub(super) skipped: u64,
    /// Those without a reading.
    pub(super) gaps: u64,
    /// Bad lines left out of the file that says what the VMs are.
    pub(super) skipped_of_table: u64,
    /// Stretches of time that are remembered.
    stretches: usize,
    /// There were too many of them.
    pub(super) unchecked: bool,
    /// Bytes of files that have been read, and of all.
    pub(super) bytes: u64,
    pub(super) of: u64,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        selection: &'a Selection,
        rules: Rules,
        watch: Watch<'a>,
        sink: &'a mut dyn Sink,
    ) -> Intake<'a> {
        let names = |ids: &BTreeSet<String>| ids.iter().map(|it| it.as_bytes().into()).collect();
        Intake {
            selection,
            wanted: selection.ids.as_ref().map(names),
            is_of_sample: false,
            came_up: HashSet::new(),
            until: Nanos::ZERO,
            sample: None,
            known: Vec::new(),
            index: HashMap::new(),
            last: 0,
            sink,
            watch,
            rules,
            rows: 0,
            used: 0,
            skipped: 0,
            gaps: 0,
            skipped_of_table: 0,
            stretches: 0,
            unchecked: false,
            bytes: 0,
            of: 0,
        }
    }

    /// From now on these names of a sample, and no others.
    pub(super) fn want(&mut self, names: HashSet<Box<[u8]>>) {
        self.wanted = Some(names);
        self.is_of_sample = true;
    }

    /// Hands every line that is not blank to `row`, until that wants no more.
    pub(super) fn lines(
        &mut self,
        input: &mut Input,
        mut row: impl FnMut(&mut Intake<'a>, &[u8]) -> Result<ControlFlow<()>, Bad>,
    ) -> Result<(), TraceError> {
        let mut blocks = 0;
        while let Some(line) = input.line()? {
            if !line.is_empty() {
                let before = self.rows;
                match row(self, line) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(bad) => {
                        self.bad_line(input.path(), input.line_number(), bad)?;
                        // Whether it had been counted before it was known to be bad or not.
                        self.rows = before + 1;
                    }
                }
            }
            if input.blocks() != blocks {
                blocks = input.blocks();
                self.tell(input.consumed())?;
            }
        }
        self.tell(input.consumed())
    }

    /// The same of the file that says what the VMs are, whose lines are no rows of demand.
    pub(super) fn table(
        &mut self,
        input: &mut Input,
        mut row: impl FnMut(&[u8]) -> Result<(), Bad>,
    ) -> Result<(), TraceError> {
        input.head()?;
        self.lines(input, |_, line| row(line).map(ControlFlow::Continue))?;
        self.bytes += input.consumed();
        self.skipped_of_table = std::mem::take(&mut self.skipped);
        self.rows = 0;
        Ok(())
    }

    /// Tells how far it has come, with so many bytes of the present file.
    pub(super) fn tell(&mut self, consumed: u64) -> Result<(), TraceError> {
        let progress = Progress {
            bytes: self.bytes + consumed,
            of: self.of,
            rows: self.rows,
        };
        match (self.watch)(progress) {
            ControlFlow::Continue(()) if !self.sink.has_failed() => Ok(()),
            _ => Err(TraceError::Interrupted),
        }
    }

    /// A line that is wrong: an error, or one more row that is left out.
    pub(super) fn bad_line(&mut self, file: &Path, line: u64, bad: Bad) -> Result<(), TraceError> {
        if self.rules.skip_bad {
            self.skipped += 1;
            return Ok(());
        }
        Err(TraceError::BadLine(BadLine {
            file: file.to_owned(),
            line,
            column: bad.column,
            problem: bad.problem,
        }))
    }

    /// Something in a file that is no table is wrong: an error, or one more row that is left out.
    pub(super) fn bad_item(
        &mut self,
        input: &Input,
        place: &str,
        problem: &str,
    ) -> Result<(), TraceError> {
        if self.rules.skip_bad {
            self.rows += 1;
            self.skipped += 1;
            return Ok(());
        }
        Err(TraceError::BadItem {
            file: input.path().to_owned(),
            place: place.to_owned(),
            problem: problem.to_owned(),
        })
    }

    /// The VM of this name, if it is selected and has something from `from` to `to`; `facts` are asked for when it
    /// comes up first.
    pub(super) fn vm(
        &mut self,
        id: &[u8],
        from: Nanos,
        to: Nanos,
        facts: impl FnOnce() -> Result<Facts, Bad>,
    ) -> Result<Option<usize>, Bad> {
        self.lasts(to);
        if self.selection.cut(from, to).is_none() {
            return Ok(None);
        }
        if let Some(known) = self.known.get(self.last) {
            let next = known.next as usize;
            if self.known.get(next).is_some_and(|it| *it.id == *id) {
                self.last = next;
                return Ok(Some(next));
            }
        }
        if let Some(&vm) = self.index.get(id) {
            self.known[self.last].next = vm;
            self.last = vm as usize;
            return Ok(Some(self.last));
        }
        if self
            .wanted
            .as_ref()
            .is_some_and(|wanted| !wanted.contains(id))
        {
            return Ok(None);
        }
        if self.selection.ids.is_some() && !self.came_up.contains(id) {
            self.came_up.insert(id.into());
        }
        if let Some(sample) = &mut self.sample {
            sample.offer(id);
            return Ok(None);
        }
        if let Count::First(most) = self.selection.count
            && self.known.len() >= most as usize
        {
            return Ok(None);
        }
        name("line", id)?;
        let facts = facts()?;
        let vm = self.known.len().min(self.rules.most_vms);
        // Who had the number of the crowd before is forgotten.
        self.known.truncate(self.rules.most_vms);
        let id: Rc<[u8]> = id.into();
        self.sink.vm(vm, &id, facts);
        if vm < self.rules.most_vms {
            self.index.insert(id.clone(), vm as u32);
        }
        self.known.push(Known {
            id,
            vps: facts.vps,
            until: Nanos::ZERO,
            covered: Covered::default(),
            form: None,
            next: vm as u32 + 1,
        });
        self.last = vm;
        Ok(Some(vm))
    }

    /// Names that were asked for and did not come up.
    pub(super) fn missing(&self) -> Vec<String> {
        let ids = self.selection.ids.iter().flatten();
        ids.filter(|id| !self.came_up.contains(id.as_bytes()))
            .cloned()
            .collect()
    }
}
