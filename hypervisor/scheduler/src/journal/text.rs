//! Calls and answers as text, the form in which recordings hold them: words
//! `key=value`, numbers as they are, lists with commas, `-` for what is not there.

use super::{Answer, Call};
use crate::controls::{Cap, Controls, Reserve, Weight};
use crate::scheduler::{After, Decision, NewGuest};
use crate::topology::LpSet;
use crate::units::{GuestId, LpId, Nanos, VpId};
use std::fmt::{self, Display};
use std::str::FromStr;
use thiserror::Error;

/// A text is no call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{call} {arguments}` is no call of the scheduler: {problem}")]
pub struct UnknownCall {
    call: String,
    arguments: String,
    problem: String,
}

fn joined(items: impl IntoIterator<Item = u32>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() {
        "-".to_owned()
    } else {
        items.join(",")
    }
}

fn optional(value: Option<impl Display>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

struct ControlsText(Controls);

impl Display for ControlsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Controls {
            weight,
            reserve,
            cap,
        } = self.0;
        let (weight, reserve, cap) = (weight.get(), reserve.percent(), cap.percent());
        write!(f, "weight={weight} reserve={reserve} cap={cap}")
    }
}

/// `-` is everywhere, `none` nowhere.
fn affinity_text(affinity: &Option<LpSet>) -> String {
    match affinity {
        None => "-".to_owned(),
        Some(set) if *set == LpSet::default() => "none".to_owned(),
        Some(set) => joined(set.iter().map(|lp| lp.0)),
    }
}

impl Call {
    /// Which call, without its arguments.
    pub fn name(&self) -> &'static str {
        match self {
            Call::AddGuest(_) => "add-guest",
            Call::DefineGuest(_) => "define-guest",
            Call::AdmitGuest { .. } => "admit-guest",
            Call::AddVp { .. } => "add-vp",
            Call::Start(_) => "start",
            Call::Stop { .. } => "stop",
            Call::StopGuest { .. } => "stop-guest",
            Call::SetControls { .. } => "set-controls",
            Call::SetAffinity { .. } => "set-affinity",
            Call::LpOff { .. } => "lp-off",
            Call::LpOn { .. } => "lp-on",
            Call::Wake { .. } => "wake",
            Call::Tick { .. } => "tick",
            Call::Pick { .. } => "pick",
            Call::Charge { .. } => "charge",
            Call::Lost { .. } => "lost",
        }
    }

    /// The call of this name with these arguments.
    ///
    /// # Errors
    /// [`UnknownCall`], which says what is missing or wrong.
    pub fn parse(name: &str, arguments: &str) -> Result<Call, UnknownCall> {
        let arguments = Arguments(arguments);
        parse(name, &arguments).map_err(|problem| UnknownCall {
            call: name.to_owned(),
            arguments: arguments.0.to_owned(),
            problem,
        })
    }
}

/// The arguments.
impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::AddGuest(new) | Call::DefineGuest(new) => write!(
                f,
                "name={} vps={} {} affinity={}",
                new.name,
                new.vps,
                ControlsText(new.controls),
                affinity_text(&new.affinity)
            ),
            Call::AdmitGuest { guest } | Call::AddVp { guest } | Call::StopGuest { guest } => {
                write!(f, "guest={}", guest.0)
            }
            Call::Start(vps) => write!(f, "vps={}", joined(vps.iter().map(|vp| vp.0))),
            Call::Stop { vp } | Call::Wake { vp } => write!(f, "vp={}", vp.0),
            Call::SetControls { guest, controls } => {
                write!(f, "guest={} {}", guest.0, ControlsText(*controls))
            }
            Call::SetAffinity { guest, affinity } => {
                write!(f, "guest={} affinity={}", guest.0, affinity_text(affinity))
            }
            Call::LpOff { lp, force } => write!(f, "lp={} force={force}", lp.0),
            Call::LpOn { lp } | Call::Tick { lp } | Call::Pick { lp } => write!(f, "lp={}", lp.0),
            Call::Charge { lp, ran, after } => {
                write!(f, "lp={} ran={} ", lp.0, ran.0)?;
                match after {
                    After::Run => write!(f, "after=run"),
                    After::Spin => write!(f, "after=spin"),
                    After::Sleep { until } => {
                        let until = optional(until.map(|until| until.0));
                        write!(f, "after=sleep until={until}")
                    }
                }
            }
            Call::Lost { lp, span } => write!(f, "lp={} span={}", lp.0, span.0),
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = |calls: &[LpId]| joined(calls.iter().map(|lp| lp.0));
        match self {
            Answer::Done => write!(f, "done"),
            Answer::Added(number) => write!(f, "added {number}"),
            Answer::Refused(error) => write!(f, "refused: {error}"),
            Answer::Calls(called) => write!(f, "calls={}", calls(called)),
            Answer::Decision(Decision::Idle, called) => write!(f, "idle calls={}", calls(called)),
            Answer::Decision(Decision::Await, called) => {
                write!(f, "await calls={}", calls(called))
            }
            Answer::Decision(
                Decision::Run {
                    vp,
                    until,
                    ready_since,
                },
                called,
            ) => write!(
                f,
                "run vp={} until={} ready={} calls={}",
                vp.0,
                until.0,
                ready_since.0,
                calls(called)
            ),
        }
    }
}

/// What is read from text is no more than this: a damaged line asks for no gigabytes.
const HIGHEST: u32 = 1 << 20;

struct Arguments<'a>(&'a str);

impl Arguments<'_> {
    fn text(&self, key: &str) -> Result<&str, String> {
        self.0
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
            .ok_or_else(|| format!("`{key}=` is missing"))
    }

    fn get<T: FromStr>(&self, key: &str) -> Result<T, String> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| format!("`{text}` is no value for `{key}`"))
    }

    fn list(&self, key: &str) -> Result<Vec<u32>, String> {
        match self.text(key)? {
            "-" => Ok(Vec::new()),
            text => text
                .split(',')
                .map(|item| item.parse().map_err(|_| format!("`{item}` in `{key}`")))
                .collect(),
        }
    }

    fn controls(&self) -> Result<Controls, String> {
        let (weight, reserve, cap) = (self.get("weight")?, self.get("reserve")?, self.get("cap")?);
        let checked = || {
            Controls::new(
                Weight::new(weight).ok()?,
                Reserve::from_percent(reserve).ok()?,
                Cap::from_percent(cap).ok()?,
            )
            .ok()
        };
        checked().ok_or_else(|| "weight, reserve and cap are not valid".to_owned())
    }

    fn new_guest(&self) -> Result<NewGuest, String> {
        Ok(NewGuest {
            name: self.get("name")?,
            vps: match self.get("vps")? {
                vps if vps > HIGHEST => return Err(format!("`vps={vps}` is above {HIGHEST}")),
                vps => vps,
            },
            controls: self.controls()?,
            affinity: self.affinity()?,
        })
    }

    fn affinity(&self) -> Result<Option<LpSet>, String> {
        match self.text("affinity")? {
            "-" => Ok(None),
            "none" => Ok(Some(LpSet::default())),
            _ => {
                let lps = self.list("affinity")?;
                match lps.iter().find(|lp| **lp > HIGHEST) {
                    Some(lp) => Err(format!("`{lp}` in `affinity` is above {HIGHEST}")),
                    None => Ok(Some(lps.into_iter().map(LpId).collect())),
                }
            }
        }
    }
}

fn parse(name: &str, arguments: &Arguments<'_>) -> Result<Call, String> {
    let lp = || arguments.get("lp").map(LpId);
    let vp = || arguments.get("vp").map(VpId);
    let guest = || arguments.get("guest").map(GuestId);
    Ok(match name {
        "add-guest" => Call::AddGuest(arguments.new_guest()?),
        "define-guest" => Call::DefineGuest(arguments.new_guest()?),
        "admit-guest" => Call::AdmitGuest { guest: guest()? },
        "add-vp" => Call::AddVp { guest: guest()? },
        "start" => Call::Start(arguments.list("vps")?.into_iter().map(VpId).collect()),
        "stop" => Call::Stop { vp: vp()? },
        "stop-guest" => Call::StopGuest { guest: guest()? },
        "set-controls" => Call::SetControls {
            guest: guest()?,
            controls: arguments.controls()?,
        },
        "set-affinity" => Call::SetAffinity {
            guest: guest()?,
            affinity: arguments.affinity()?,
        },
        "lp-off" => Call::LpOff {
            lp: lp()?,
            force: arguments.get("force")?,
        },
        "lp-on" => Call::LpOn { lp: lp()? },
        "wake" => Call::Wake { vp: vp()? },
        "tick" => Call::Tick { lp: lp()? },
        "pick" => Call::Pick { lp: lp()? },
        "charge" => Call::Charge {
            lp: lp()?,
            ran: Nanos(arguments.get("ran")?),
            after: match arguments.text("after")? {
                "run" => After::Run,
                "spin" => After::Spin,
                "sleep" => After::Sleep {
                    until: match arguments.text("until")? {
                        "-" => None,
                        _ => Some(Nanos(arguments.get("until")?)),
                    },
                },
                other => return Err(format!("`{other}` is no value for `after`")),
            },
        },
        "lost" => Call::Lost {
            lp: lp()?,
            span: Nanos(arguments.get("span")?),
        },
        _ => return Err("there is no such call".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_comes_back_from_its_text() {
        let (lp, vp, guest) = (LpId(3), VpId(7), GuestId(2));
        let affinity: Option<LpSet> = Some([LpId(1), LpId(70)].into_iter().collect());
        let controls = Controls::new(
            Weight::new(250).unwrap(),
            Reserve::from_percent(12.345).unwrap(),
            Cap::from_percent(50.0).unwrap(),
        )
        .unwrap();
        let new = NewGuest {
            name: "test-1".to_owned(),
            vps: 4,
            controls,
            affinity: affinity.clone(),
        };
        let sleep = |until| Call::Charge {
            lp,
            ran: Nanos(5),
            after: After::Sleep { until },
        };
        let calls = [
            Call::AddGuest(new.clone()),
            Call::DefineGuest(new),
            Call::AdmitGuest { guest },
            Call::AddVp { guest },
            Call::Start(vec![vp, VpId(8)]),
            Call::Start(Vec::new()),
            Call::Stop { vp },
            Call::StopGuest { guest },
            Call::SetControls { guest, controls },
            Call::SetAffinity { guest, affinity },
            Call::SetAffinity {
                guest,
                affinity: None,
            },
            Call::LpOff { lp, force: true },
            Call::LpOn { lp },
            Call::Wake { vp },
            Call::Tick { lp },
            Call::Pick { lp },
            Call::Charge {
                lp,
                ran: Nanos(9),
                after: After::Spin,
            },
            sleep(None),
            sleep(Some(Nanos(77))),
            Call::Lost {
                lp,
                span: Nanos(10),
            },
        ];
        for call in calls {
            assert_eq!(Call::parse(call.name(), &call.to_string()), Ok(call));
        }
    }

    #[test]
    fn what_is_no_call_says_why() {
        let error = Call::parse("pick", "vp=1").unwrap_err();
        assert!(error.to_string().contains("`lp=` is missing"), "{error}");
        assert!(Call::parse("pack", "lp=1").is_err());
        assert!(Call::parse("charge", "lp=1 ran=2 after=later").is_err());
        assert!(Call::parse("set-controls", "guest=1 weight=0 reserve=0 cap=100").is_err());
    }
}
