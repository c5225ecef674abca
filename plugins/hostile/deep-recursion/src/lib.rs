//! An attack: calls itself until the stack ends.
//!
//! Stopped means: the run ends with a trap, and nothing else on the instance notices. Coming back from a depth that no
//! stack should hold is reported as a success of the attack.

use std::hint::black_box;

use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Parameter, Severity};

struct DeepRecursion;

impl Command for DeepRecursion {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Attack: calls itself until the stack ends")
            .parameter(Parameter::integer("depth", "How deep to go").default_value(100_000_000_u64))
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let depth = arguments.integer::<u64>("depth")?;
        let reached = descend(depth);
        Finding::fail("ATTACK-01", "the stack has an end", Severity::High, format!("{reached} calls"), "").send()?;
        Ok(Outcome::attention(format!("the attack succeeded: came back from {reached} calls")))
    }
}

orderly_plugin::export!(DeepRecursion);

/// The result is used after the call, so that the compiler cannot make a loop of it.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    if black_box(depth) == 0 {
        return 0;
    }
    black_box(descend(black_box(depth - 1))) + 1
}

#[cfg(test)]
mod tests {
    use super::descend;

    #[test]
    fn every_call_is_counted() {
        assert_eq!(descend(1_000), 1_000);
    }
}
