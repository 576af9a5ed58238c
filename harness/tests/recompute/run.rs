//! One run as the files tell it.

use super::sums::{inside, overlap};
use super::{Row, number};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) vp: usize,
    pub(super) ready: f64,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) ran: f64,
    pub(super) work: f64,
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Controls {
    pub(super) weight: f64,
    pub(super) reserve: f64,
    pub(super) cap: f64,
}

/// What the promise depends on, and how it changes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    Begins(usize),
    Wants(usize, bool),
    Arrives(usize, f64),
    Ends(usize),
    Controls(usize, Controls),
    Lp(usize, bool),
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) lps: usize,
    pub(super) nodes: usize,
    pub(super) slice: f64,
    pub(super) additive: bool,
    pub(super) per_guest: bool,
    pub(super) fair: bool,
    pub(super) tolerance: f64,
    /// The guests' names.
    pub(super) guests: Vec<String>,
    pub(super) controls: Vec<Controls>,
    /// By guest, run ÷ period, or what it received where it is a probe.
    pub(super) demand: Vec<Option<f64>>,
    /// By guest, whether it wants to run while there is work that arrived for it.
    pub(super) awaits_work: Vec<bool>,
    /// By guest, the share that the experiment expects over the whole run, %, where it says so.
    pub(super) own_share: Vec<Option<f64>>,
    /// By guest, ns.
    pub(super) burst: Vec<f64>,
    /// By VP: its guest, and its number there.
    pub(super) vps: Vec<(usize, usize)>,
    pub(super) measured: (f64, f64),
    /// When changes were due.
    pub(super) changes: Vec<f64>,
    /// When guests got controls that no change by then gives them.
    pub(super) cuts: Vec<f64>,
    pub(super) phases: Vec<(f64, f64)>,
    pub(super) dispatches: Vec<Dispatch>,
    /// (lp, from, to), the time that the LP was off line left out.
    pub(super) idle: Vec<(usize, f64, f64)>,
    /// In order of time.
    pub(super) turns: Vec<(f64, Turn)>,
    /// (vp, due).
    pub(super) wakes: Vec<(usize, f64)>,
    pub(super) crashed: Vec<usize>,
}

fn real(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

impl Run {
    pub(super) fn read(
        experiment: &Value,
        run: &Value,
        dispatches: &[Row],
        events: &[Row],
        bursts: &[Row],
    ) -> Run {
        let entries = experiment["guests"].as_array().unwrap();
        let names: Vec<String> = entries
            .iter()
            .map(|guest| guest["name"].as_str().unwrap().to_owned())
            .collect();
        assert!(entries.iter().all(|guest| guest["affinity"].is_null()));
        let guest_of = |row: &Row| names.iter().position(|name| *name == row["guest"]).unwrap();
        // VPs in the order in which they appear: those of guests first, then the added ones.
        let mut vps: Vec<(usize, usize)> = Vec::new();
        for row in events {
            if ["guest-start", "vp-added"].contains(&row["kind"].as_str()) {
                vps.push((guest_of(row), number(row, "vp") as usize));
            }
        }
        let vps_by_key = vps.clone();
        let vp_of = |row: &Row| {
            let key = (guest_of(row), number(row, "vp") as usize);
            vps_by_key.iter().position(|vp| *vp == key).unwrap()
        };
        let parameter = |guest: &Value, name: &str| guest["parameters"][name].as_f64();
        let mut turns = Vec::new();
        let mut wakes = Vec::new();
        let mut off: Vec<(usize, f64, f64)> = Vec::new();
        for row in events {
            let at = number(row, "t_ns");
            turns.push(match row["kind"].as_str() {
                "guest-start" | "vp-added" => (at, Turn::Begins(vp_of(row))),
                "vp-removed" | "guest-stop" => (at, Turn::Ends(vp_of(row))),
                "sleep" => (at, Turn::Wants(vp_of(row), false)),
                "wake" => {
                    let due = at - number(row, "value");
                    wakes.push((vp_of(row), due));
                    (due, Turn::Wants(vp_of(row), true))
                }
                "controls" => (
                    at,
                    Turn::Controls(guest_of(row), controls_in(&row["detail"])),
                ),
                "lp-off" => {
                    off.push((number(row, "lp") as usize, at, f64::INFINITY));
                    (at, Turn::Lp(number(row, "lp") as usize, false))
                }
                "lp-on" => {
                    let lp = number(row, "lp") as usize;
                    off.iter_mut()
                        .filter(|it| it.0 == lp)
                        .for_each(|it| it.2 = it.2.min(at));
                    (at, Turn::Lp(lp, true))
                }
                _ => continue,
            });
        }
        turns.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut idle = Vec::new();
        for row in events.iter().filter(|row| row["kind"] == "idle") {
            let (lp, to) = (number(row, "lp") as usize, number(row, "t_ns"));
            let mut spans = vec![(to - number(row, "value"), to)];
            for &(_, from, until) in off.iter().filter(|it| it.0 == lp) {
                spans = spans
                    .into_iter()
                    .flat_map(|(a, b)| [(a, b.min(from)), (a.max(until), b)])
                    .filter(|(a, b)| a < b)
                    .collect();
            }
            idle.extend(spans.into_iter().map(|(from, to)| (lp, from, to)));
        }
        let measured = (
            real(&run["measured_from_ns"]),
            real(&run["measured_until_ns"]),
        );
        let mut changes: Vec<f64> = experiment["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| measured.0 + real(&change["at_ns"]))
            .collect();
        changes.dedup();
        let planned = experiment["changes"].as_array().unwrap();
        let by_hand = |row: &&Row| {
            let (at, new) = (number(row, "t_ns"), controls_in(&row["detail"]));
            !planned.iter().any(|change| {
                change["action"] == "controls"
                    && change["guest"] == row["guest"].as_str()
                    && real(&change["weight"]) == new.weight
                    && real(&change["reserve_pct"]) / 100.0 == new.reserve
                    && real(&change["cap_pct"]) / 100.0 == new.cap
                    && measured.0 + real(&change["at_ns"]) <= at
            })
        };
        let new_controls = events.iter().filter(|row| row["kind"] == "controls");
        let cuts = new_controls.filter(by_hand).map(|row| number(row, "t_ns"));
        let mut run = Run {
            cuts: cuts.collect(),
            lps: real(&experiment["lps"]) as usize,
            nodes: real(&experiment["nodes"]) as usize,
            slice: real(&experiment["slice_ns"]),
            additive: experiment["reserve_model"] == "additive",
            per_guest: experiment["weight_scope"] == "guest",
            fair: experiment["policy"] == "fair",
            tolerance: real(&experiment["tolerance_pp"]),
            controls: entries
                .iter()
                .map(|guest| Controls {
                    weight: real(&guest["weight"]),
                    reserve: real(&guest["reserve_pct"]) / 100.0,
                    cap: real(&guest["cap_pct"]) / 100.0,
                })
                .collect(),
            demand: entries
                .iter()
                .map(|guest| Some(parameter(guest, "run_ns")? / parameter(guest, "period_ns")?))
                .collect(),
            awaits_work: entries
                .iter()
                .map(|guest| guest["payload"] == "bursts" || guest["payload"] == "replay")
                .collect(),
            own_share: entries
                .iter()
                .map(|it| it["expected_pct"].as_f64())
                .collect(),
            burst: entries
                .iter()
                .map(|guest| parameter(guest, "run_ns").unwrap_or(f64::INFINITY))
                .collect(),
            dispatches: dispatches
                .iter()
                .map(|row| Dispatch {
                    vp: vp_of(row),
                    ready: number(row, "ready_ns"),
                    start: number(row, "start_ns"),
                    end: number(row, "end_ns"),
                    ran: number(row, "ran_ns"),
                    work: number(row, "work"),
                    reason: row["reason"].clone(),
                })
                .collect(),
            crashed: events
                .iter()
                .filter(|row| row["kind"] == "guest-crash")
                .map(guest_of)
                .collect(),
            phases: run["phases"]
                .as_array()
                .unwrap()
                .iter()
                .map(|phase| (real(&phase["from_ns"]), real(&phase["until_ns"])))
                .collect(),
            guests: names.clone(),
            vps,
            measured,
            changes,
            idle,
            turns,
            wakes,
        };
        for (guest, entry) in entries.iter().enumerate() {
            if entry["payload"] == "probe" {
                run.raise_demand(guest);
            }
        }
        let awaiting = |vp: &usize| run.awaits_work[run.vps[*vp].0];
        for vp in (0..run.vps.len()).filter(awaiting).collect::<Vec<_>>() {
            let of_vp = bursts.iter().filter(|row| vp_of(row) == vp);
            let work = of_vp.map(|row| (number(row, "due_ns"), number(row, "run_ns")));
            run.add_work(vp, work);
        }
        run
    }

    /// Work that arrives for a VP, which wants no less of it than it received.
    fn add_work(&mut self, vp: usize, work: impl Iterator<Item = (f64, f64)>) {
        let end = self.measured.1;
        let work: Vec<(f64, f64)> = work.filter(|(due, _)| *due <= end).collect();
        let arrived: f64 = work.iter().map(|(_, run)| run).sum();
        let of_vp = self.dispatches.iter().filter(|it| it.vp == vp);
        let received: f64 = of_vp
            .map(|it| it.ran * inside((it.start, it.end), (0.0, end)))
            .sum();
        let part = if received > arrived {
            received / arrived
        } else {
            1.0
        };
        let arrives = |(due, run): (f64, f64)| (due, Turn::Arrives(vp, run * part));
        self.turns.extend(work.into_iter().map(arrives));
        self.turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    }

    /// A probe wants no less than what its VPs received while they were there.
    fn raise_demand(&mut self, guest: usize) {
        let (from, until) = self.measured;
        let of = |vp: usize| self.vps[vp].0 == guest;
        let dispatches = self.dispatches.iter();
        let dispatches = dispatches.filter(|it| of(it.vp) && it.end > it.start);
        let received: f64 = dispatches
            .map(|it| it.ran * overlap((it.start, it.end), (from, until)) / (it.end - it.start))
            .sum();
        // Who ends begins again never.
        let there = self.turns.iter().filter_map(|(at, turn)| match turn {
            Turn::Begins(vp) if of(*vp) => Some(until - at.clamp(from, until)),
            Turn::Ends(vp) if of(*vp) => Some(at.clamp(from, until) - until),
            _ => None,
        });
        let there: f64 = there.sum();
        if let (Some(demand), true) = (&mut self.demand[guest], there > 0.0) {
            *demand = demand.max((received / there).min(1.0));
        }
    }

    /// The VPs that a row of shares.csv speaks of, if they had begun by `until`.
    pub(super) fn subject(&self, row: &Row, until: f64) -> Vec<usize> {
        let begun = |vp: usize| {
            let begins = |turn: &(f64, Turn)| matches!(turn, (at, Turn::Begins(of)) if *of == vp && *at < until);
            self.turns.iter().any(begins)
        };
        let guest = self.guests.iter().position(|name| *name == row["guest"]);
        (0..self.vps.len())
            .filter(|&vp| Some(self.vps[vp].0) == guest && begun(vp))
            .filter(|&vp| row["scope"] == "guest" || row["vp"] == self.vps[vp].1.to_string())
            .collect()
    }

    /// When a VP's guest was stopped or crashed.
    pub(super) fn ends(&self, vp: usize) -> Option<f64> {
        let ends = |turn: &&(f64, Turn)| matches!(turn.1, Turn::Ends(of) if of == vp);
        self.turns.iter().find(ends).map(|(at, _)| *at)
    }

    /// j: the 99th percentile of what slices took beyond their length.
    pub(super) fn overshoot(&self) -> f64 {
        let mut late: Vec<f64> = self
            .dispatches
            .iter()
            .filter(|it| it.reason == "slice" || it.reason == "capped")
            .filter(|it| it.end >= self.measured.0 && it.end < self.measured.1)
            .map(|it| (it.end - it.start - self.slice).max(0.0))
            .collect();
        quantile(&mut late, 0.99)
    }
}

/// `weight=… reserve=… cap=…`.
fn controls_in(detail: &str) -> Controls {
    let value = |key: &str| -> f64 {
        let word = detail.split(' ').find_map(|word| word.strip_prefix(key));
        word.and_then(|word| word.strip_prefix('='))
            .unwrap()
            .parse()
            .unwrap()
    };
    Controls {
        weight: value("weight"),
        reserve: value("reserve") / 100.0,
        cap: value("cap") / 100.0,
    }
}

/// Interpolated linearly between ranks.
pub(super) fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = q * (values.len().max(1) - 1) as f64;
    let at = |index: f64| values.get(index as usize).copied().unwrap_or(0.0);
    at(rank.floor()) * (1.0 - rank.fract()) + at(rank.ceil()) * rank.fract()
}
