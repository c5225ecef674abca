//! An attack: reads, lists and changes files outside of what was granted.
//!
//! The test makes the granted folder and, in it, the links that `LINKS` names; beside it a file `secret`. Stopped means:
//! every attempt is refused. Each attempt is a finding of its own, and one that gets through fails with what it got.

mod attempts;

use orderly_plugin::wasi::filesystem::preopens::get_directories;
use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Parameter, Severity};

use attempts::Attempt;

struct PathEscape;

impl Command for PathEscape {
    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Attack: reads files outside of what it was granted",
        )
        .parameter(Parameter::text("folder", "The granted folder; `secret` is beside it"))
        .parameter(
            Parameter::text("neighbour", "A file that is not granted, beside a file that is")
                .default_value("/etc/passwd"),
        )
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let folder = arguments.text("folder")?.trim_end_matches('/');
        let neighbour = arguments.text("neighbour")?;
        let mut attempts = Vec::new();
        for (preopen, at) in get_directories() {
            // A preopened folder above the granted one would be a gift already.
            attempts::through(&preopen, &at, folder, neighbour, &mut attempts);
        }
        attempts::through_host(folder, neighbour, &mut attempts);
        attempts::through_sdk(folder, neighbour, &mut attempts);
        report(&attempts)
    }
}

orderly_plugin::export!(PathEscape);

fn report(attempts: &[Attempt]) -> Result<Outcome, Failure> {
    for (number, attempt) in attempts.iter().enumerate() {
        let id = format!("ATTACK-{:02}", number + 1);
        let finding = match &attempt.got {
            Ok(what) => Finding::fail(&id, &attempt.title, Severity::Critical, what, ""),
            Err(refusal) => Finding::pass(&id, &attempt.title, Severity::Critical, refusal),
        };
        finding.send()?;
    }
    let through = attempts.iter().filter(|attempt| attempt.got.is_ok()).count();
    let all = attempts.len();
    if through == 0 {
        return Ok(Outcome::pass(format!("all of {all} attempts were refused")));
    }
    Ok(Outcome::attention(format!("the attack succeeded: {through} of {all} attempts got through")))
}
