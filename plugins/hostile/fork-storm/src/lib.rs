//! An attack: starts programs without end, and programs that were not granted.
//!
//! Stopped means: no more than 4 run at a time, no more than 64 in all, nothing that was not granted, and none of
//! them is alive after the run. The last is for the test to see; the others are reported here.

use orderly_plugin::process::{self, Child, Error, Event};
use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Parameter, Severity, report};

/// Attempts in each storm: far over both limits.
const ATTEMPTS: usize = 500;
/// What the interface says.
const AT_A_TIME: usize = 4;
const IN_ALL: usize = 64;

/// Programs and arguments that the manifest does not grant. None does harm where it starts.
const UNGRANTED: [(&str, &[&str]); 8] = [
    ("/bin/sh", &["-c", "true"]),
    ("/usr/bin/env", &["true"]),
    ("/usr/bin/id", &[]),
    ("sleep", &["1"]),
    ("/usr/bin/../bin/id", &[]),
    ("/usr/bin/sleep", &["1", "1"]),
    ("/usr/bin/sleep", &["infinity"]),
    ("/usr/bin/sleep", &["1\n"]),
];

struct ForkStorm;

impl Command for ForkStorm {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Attack: starts programs without end")
            .parameter(
                Parameter::integer("seconds", "How long each program sleeps").default_value(300).pattern("[0-9]{1,3}"),
            )
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let seconds = arguments.text("seconds")?;
        let mut bad = Vec::new();
        for (executable, arguments) in UNGRANTED {
            if process::spawn(executable, arguments).is_ok() {
                bad.push(format!("{executable} {arguments:?} was started"));
            }
        }
        verdict("ATTACK-01", "nothing that was not granted is started", &bad)?;

        let mut running = Vec::new();
        let refused = storm(seconds, &mut running);
        let at_a_time = running.len();
        report::fact("storm.at_a_time", &at_a_time.to_string())?;
        let over = (at_a_time > AT_A_TIME).then(|| format!("{at_a_time} ran at a time; then: {refused}"));
        verdict("ATTACK-02", "at most 4 programs run at a time", over.as_slice())?;
        bad.extend(over);

        // Ended ones make room, until the limit on all of them.
        let mut in_all = at_a_time;
        for _ in 0..ATTEMPTS {
            if let Some(child) = running.pop() {
                end(&child);
            }
            match process::spawn("/usr/bin/sleep", &[seconds]) {
                Ok(child) => {
                    in_all += 1;
                    running.push(child);
                }
                Err(Error::TooMany) if running.is_empty() => break,
                Err(_) => {}
            }
        }
        report::fact("storm.in_all", &in_all.to_string())?;
        let over = (in_all > IN_ALL).then(|| format!("{in_all} were started"));
        verdict("ATTACK-03", "at most 64 programs are started in all", over.as_slice())?;
        bad.extend(over);

        // Left running on purpose: the agent has to end them.
        std::mem::forget(running);
        if bad.is_empty() {
            return Ok(Outcome::pass(format!("stopped at {at_a_time} at a time and {in_all} in all")));
        }
        Ok(Outcome::attention(format!("the attack succeeded: {}", bad.join("; "))))
    }
}

orderly_plugin::export!(ForkStorm);

/// Ends a program and waits until it has: only then there is room for another.
fn end(child: &Child) {
    child.kill();
    while let Ok(event) = child.next() {
        if matches!(event, Event::Exited(_)) {
            return;
        }
    }
}

/// Starts programs and ends none, until one is refused; says how.
fn storm(seconds: &str, running: &mut Vec<Child>) -> String {
    for _ in 0..ATTEMPTS {
        match process::spawn("/usr/bin/sleep", &[seconds]) {
            Ok(child) => running.push(child),
            Err(error) => return error.to_string(),
        }
    }
    "never refused".to_owned()
}

fn verdict(id: &str, title: &str, bad: &[String]) -> Result<(), Failure> {
    let finding = if bad.is_empty() {
        Finding::pass(id, title, Severity::Critical, "refused")
    } else {
        Finding::fail(id, title, Severity::Critical, bad.join("\n"), "")
    };
    Ok(finding.send()?)
}
