//! A plugin that is written against plain std: files, the clock, the environment and random hash keys.
//!
//! Owns a check of each: what is granted works, what is not granted is an error and not a trap.

use std::collections::HashMap;
use std::time::SystemTime;
use std::{env, fs};

use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Severity};

struct StdProbe;

impl Command for StdProbe {
    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Shows that a plugin that is written against plain std works",
        )
    }

    fn run(_arguments: Arguments) -> Result<Outcome, Failure> {
        println!("printed by println!");
        let mut failed = 0;
        for (id, title, result) in probes() {
            let finding = match result {
                Ok(seen) => Finding::pass(id, title, Severity::Medium, seen),
                Err(why) => {
                    failed += 1;
                    Finding::fail(id, title, Severity::Medium, why, "look at the host's WASI")
                }
            };
            finding.send()?;
        }
        if failed == 0 {
            Ok(Outcome::pass("std works"))
        } else {
            Ok(Outcome::attention(format!("{failed} probes failed")))
        }
    }
}

orderly_plugin::export!(StdProbe);

type Probe = (&'static str, &'static str, Result<String, String>);

fn probes() -> [Probe; 6] {
    let year_2020 = 1_577_836_800;
    [
        (
            "STD-01",
            "a granted file is read",
            fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned()).map_err(|error| error.to_string()),
        ),
        ("STD-02", "a file that is not granted is refused", refused(fs::read("/etc/passwd").map(|bytes| bytes.len()))),
        ("STD-03", "a granted file cannot be written", refused(fs::write("/etc/hostname", "x"))),
        (
            "STD-04",
            "the clock says what time it is",
            match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
                Ok(now) if now.as_secs() > year_2020 => Ok(format!("{} seconds", now.as_secs())),
                other => Err(format!("{other:?}")),
            },
        ),
        (
            "STD-05",
            "the environment holds what is granted",
            match env::vars().find(|(name, _)| name != "LANG") {
                None => Ok(format!("LANG is {:?}", env::var("LANG").ok())),
                Some((name, _)) => Err(format!("{name} is there")),
            },
        ),
        ("STD-06", "a map has keys of its own", {
            let map = HashMap::from([(1, 2)]);
            map.get(&1).map(|value| value.to_string()).ok_or_else(|| "the value is gone".to_owned())
        }),
    ]
}

fn refused<T: std::fmt::Debug>(result: std::io::Result<T>) -> Result<String, String> {
    match result {
        Ok(got) => Err(format!("got {got:?}")),
        Err(error) => Ok(error.to_string()),
    }
}
