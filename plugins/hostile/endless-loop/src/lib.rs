//! An attack: a run that never ends by itself.
//!
//! Stopped means: the run ends at its deadline, and the instance's next task works. When a loop ends here, it reports that.

use std::hint::black_box;

use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Parameter, Severity, clock, wasi};

/// Turns of the bounded loop: years.
const TURNS: u64 = u64::MAX;

struct EndlessLoop;

impl Command for EndlessLoop {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Attack: never ends by itself").parameter(
            Parameter::text("kind", "How to spend the time").default_value("compute").allowed([
                "compute",
                "call-host",
                "wait-in-host",
            ]),
        )
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let kind = arguments.text("kind")?;
        match kind {
            "call-host" => {
                for _ in 0..TURNS {
                    black_box(clock::monotonic());
                }
            }
            // One call of the host that would take a day.
            "wait-in-host" => wasi::clocks::monotonic_clock::subscribe_duration(86_400_000_000_000).block(),
            _ => {
                for turn in 0..TURNS {
                    black_box(turn);
                }
            }
        }
        Finding::fail(
            "ATTACK-01",
            "a run ends at its deadline",
            Severity::Critical,
            format!("{kind} came to its end"),
            "",
        )
        .send()?;
        Ok(Outcome::attention("the attack succeeded: the loop came to its end"))
    }
}

orderly_plugin::export!(EndlessLoop);
