//! An attack: takes all memory that it can get and writes to every page of it.
//!
//! Stopped means: no more than the manifest's `memory_mb` is given. More is reported as a success of the attack.

use std::hint::black_box;

use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Parameter, Severity, report};

const MIB: usize = 1024 * 1024;
/// What `plugin.toml` asks for.
const ASKED_MIB: usize = 32;

struct MemoryBalloon;

impl Command for MemoryBalloon {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Attack: takes all memory that it can get")
            .parameter(Parameter::integer("limit-mib", "Where to stop").default_value(3_072))
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let limit = arguments.integer::<usize>("limit-mib")?;
        let mut taken = Vec::new();
        while taken.len() < limit {
            let mut piece = Vec::new();
            if piece.try_reserve_exact(MIB).is_err() {
                break;
            }
            // Every page is written to: a page that is only reserved costs nothing.
            piece.resize(MIB, 0xa5_u8);
            taken.push(black_box(piece));
        }
        let count = taken.len();
        // Given back, so that there is room for the report.
        drop(black_box(taken));
        report::fact("memory.taken_mib", &count.to_string())?;
        let title = "a run gets no more memory than its manifest says";
        let evidence = format!("{count} MiB of {ASKED_MIB} MiB");
        if count <= ASKED_MIB {
            Finding::pass("ATTACK-01", title, Severity::Critical, evidence.clone()).send()?;
            return Ok(Outcome::pass(format!("the attack was stopped at {evidence}")));
        }
        Finding::fail("ATTACK-01", title, Severity::Critical, evidence.clone(), "").send()?;
        Ok(Outcome::attention(format!("the attack succeeded: {evidence}")))
    }
}

orderly_plugin::export!(MemoryBalloon);
