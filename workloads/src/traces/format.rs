//! The formats of traces, and how to tell them apart by their first lines.

use std::fmt;

/// In which way a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Azure Public Dataset V1 (2017) and V2 (2019): `vm_cpu_readings` with a `vmtable`.
    Azure,
    /// Google cluster data 2019: `instance_usage`, in lines of JSON.
    Google,
    /// Alibaba cluster trace 2018: `container_usage` with `container_meta`.
    Alibaba,
    /// Bitbrains GWA-T-12: a file per VM.
    Bitbrains,
    /// PlanetLab, as CloudSim ships it: a file per node.
    PlanetLab,
    /// A workload of rt-app, in JSON.
    RtApp,
    /// The text that `perf sched timehist` prints.
    Timehist,
    /// Apportion's own.
    Own,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 8] = [
        Format::Azure,
        Format::Google,
        Format::Alibaba,
        Format::Bitbrains,
        Format::PlanetLab,
        Format::RtApp,
        Format::Timehist,
        Format::Own,
    ];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Azure => "azure",
            Format::Google => "google",
            Format::Alibaba => "alibaba",
            Format::Bitbrains => "bitbrains",
            Format::PlanetLab => "planetlab",
            Format::RtApp => "rt-app",
            Format::Timehist => "timehist",
            Format::Own => "own",
        }
    }

    /// Whether readings follow each other in time, at least those of one VM.
    ///
    /// Where they do not, it has to be remembered for which times there are readings, so that none comes twice.
    pub(super) fn is_ordered(self) -> bool {
        !matches!(self, Format::Google | Format::Own)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first line of our own files; the number is the version.
pub(super) const OWN_MARK: &[u8] = b"# apportion-trace ";

/// The format of a file that begins like this, or what the beginning looks like.
pub(super) fn detect(head: &[u8]) -> Result<Format, String> {
    if head.starts_with(OWN_MARK) {
        return Ok(Format::Own);
    }
    if head.starts_with(b"Timestamp [ms]") {
        return Ok(Format::Bitbrains);
    }
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
    let Some(first) = lines.next() else {
        return Err("it is empty".to_owned());
    };
    if first.starts_with('{') || first.starts_with("/*") {
        let has = |key: &str| text.contains(&format!("\"{key}\""));
        return match (has("start_time") && has("collection_id"), has("tasks")) {
            (true, false) => Ok(Format::Google),
            (false, true) => Ok(Format::RtApp),
            _ => Err("it is JSON, with the keys of no format that there is".to_owned()),
        };
    }
    if text.contains("sch delay") && text.contains("run time") {
        return Ok(Format::Timehist);
    }
    let fields: Vec<&str> = first.split(',').collect();
    let number = |at: usize| fields.get(at).is_some_and(|it| it.parse::<f64>().is_ok());
    match fields.len() {
        1 if number(0) => Ok(Format::PlanetLab),
        5 if number(0) && !number(1) && number(2) && number(3) && number(4) => Ok(Format::Azure),
        11 if !number(0) && !number(1) && number(2) => Ok(Format::Alibaba),
        11 if !number(2) && number(3) => {
            Err("it looks like a vmtable: name the readings beside it".to_owned())
        }
        8 if !number(0) && number(2) && number(5) => {
            Err("it looks like container_meta: name container_usage beside it".to_owned())
        }
        1 => Err("its first line is neither a number nor the head of a table".to_owned()),
        count => Err(format!(
            "its first line has {count} columns that say nothing"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_its_beginning() {
        for (head, format) in [
            ("# apportion-trace 1\nvm,vps\n", Format::Own),
            ("0,aB+/9==,1.5,2,1.75\n", Format::Azure),
            (
                "{\"start_time\":\"0\",\"collection_id\":\"1\"}\n",
                Format::Google,
            ),
            (
                "c_1,m_2,386640,36,82,1.1,2.3,4,0.5,0.5,5\n",
                Format::Alibaba,
            ),
            ("c_1,m_2,386640,,,,,,,,\n", Format::Alibaba),
            ("Timestamp [ms];\tCPU cores;\t", Format::Bitbrains),
            ("24\n34\n", Format::PlanetLab),
            ("/* a comment */\n{ \"tasks\" : {} }", Format::RtApp),
            (
                "   time    cpu  task name   wait time  sch delay   run time\n",
                Format::Timehist,
            ),
        ] {
            assert_eq!(detect(head.as_bytes()), Ok(format), "{head}");
        }
    }

    #[test]
    fn what_is_unclear_is_not_guessed() {
        for (head, says) in [
            ("", "it is empty"),
            ("\n\n", "it is empty"),
            ("{\"a\":1}", "keys of no format"),
            ("a,b,c\n", "3 columns"),
            ("hello\n", "neither a number"),
            (
                "vm,sub,dep,0,100,9,8,7,Unknown,4,8\n",
                "looks like a vmtable",
            ),
            (
                "c_1,m_2,0,app_5,started,400,400,1.6\n",
                "looks like container_meta",
            ),
        ] {
            let error = detect(head.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{head}: {error}");
        }
    }
}
