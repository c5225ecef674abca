//! An attack: hands the host values that are far over the limits that the interface states.
//!
//! Stopped means: each is refused, or the run is ended. A value that is taken although it is over its limit is
//! reported as a success of the attack. Uses the bindings themselves, because the SDK cuts what is too long.

use orderly_plugin::bindings::orderly::plugin::{log, report};
use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Parameter, Severity};

struct HugeParameter;

impl Command for HugeParameter {
    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Attack: hands the host values that are far too large",
        )
        .parameter(Parameter::integer("mebibytes", "How large").default_value(8))
        .parameter(Parameter::text("echo", "Is reported back as it came").default_value(""))
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let size = arguments.integer::<usize>("mebibytes")?.saturating_mul(1024 * 1024);
        let echo = arguments.text("echo")?.len();
        let huge = "x".repeat(size);
        let attempts = attempts(&huge);
        // The report may be full of what it should have refused, so the outcome says it too.
        let taken = attempts.iter().filter(|(_, taken)| *taken).map(|(name, _)| *name).collect::<Vec<_>>();
        for (number, (name, taken)) in attempts.iter().enumerate() {
            let (id, title) = (format!("ATTACK-{:02}", number + 1), format!("the host refuses {name}"));
            let finding = if *taken {
                Finding::fail(&id, &title, Severity::High, format!("{size} bytes or more were taken"), "")
            } else {
                Finding::pass(&id, &title, Severity::High, "refused")
            };
            finding.send()?;
        }
        // A long line is cut by the host and never refused: the test looks at what was kept.
        log::write(log::Level::Info, &huge);
        if taken.is_empty() {
            return Ok(Outcome::pass(format!("all was refused; `echo` had {echo} bytes")));
        }
        Ok(Outcome::attention(format!("the attack succeeded: taken were {}", taken.join(", "))))
    }
}

orderly_plugin::export!(HugeParameter);

/// What is over a limit, and whether it was taken.
fn attempts(huge: &str) -> Vec<(&'static str, bool)> {
    let finding = |id: &str, title: &str, evidence: &str, remedy: &str| report::Finding {
        id: id.to_owned(),
        title: title.to_owned(),
        severity: report::Severity::Info,
        verdict: report::Verdict::Pass,
        evidence: evidence.to_owned(),
        remedy: remedy.to_owned(),
    };
    let table = |columns: usize, cells: usize, cell: &str| report::Table {
        name: "huge".to_owned(),
        columns: vec!["c".to_owned(); columns],
        rows: vec![vec![cell.to_owned(); cells]],
    };
    vec![
        ("a huge id", report::add_finding(&finding(huge, "t", "", "")).is_ok()),
        ("an empty id", report::add_finding(&finding("", "t", "", "")).is_ok()),
        ("an id with a line break", report::add_finding(&finding("A\nB", "t", "", "")).is_ok()),
        ("a huge title", report::add_finding(&finding("HUGE-1", huge, "", "")).is_ok()),
        ("huge evidence", report::add_finding(&finding("HUGE-2", "t", huge, "")).is_ok()),
        ("a huge remedy", report::add_finding(&finding("HUGE-3", "t", "", huge)).is_ok()),
        ("a huge fact", report::add_fact("huge", huge).is_ok()),
        ("a huge key", report::add_fact(huge, "value").is_ok()),
        ("a huge cell", report::add_table(&table(1, 1, huge)).is_ok()),
        ("65 columns", report::add_table(&table(65, 65, "x")).is_ok()),
        ("a row that is too short", report::add_table(&table(3, 2, "x")).is_ok()),
        ("a table without columns", report::add_table(&table(0, 0, "x")).is_ok()),
    ]
}
