//! Checks a Linux instance's own files against a baseline of hardening rules.
//!
//! Owns the rules: each has a stable id, a severity, and answers with what it saw and what to do. Never runs a
//! program and never changes anything; what cannot be read is "not applicable" with the reason.
//! Layers: `parse` (text in, values out, for any text) · `system` (the files of an instance, read once) · `rule` · `rules`.

mod parse;
mod rule;
mod rules;
mod system;

use orderly_plugin::files::Instance;
use orderly_plugin::report::{self, Verdict};
use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Parameter, Table};

use system::System;

struct OsAudit;

impl Command for OsAudit {
    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Checks sshd, accounts, sudo, file permissions, kernel parameters and listening sockets",
        )
        .parameter(
            Parameter::text("area", "Which rules to check")
                .default_value("all")
                .allowed(std::iter::once("all").chain(rules::AREAS.iter().map(|area| area.name))),
        )
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let wanted = arguments.text("area")?;
        let areas = rules::AREAS.iter().filter(|area| wanted == "all" || wanted == area.name).collect::<Vec<_>>();
        if areas.is_empty() {
            return Err(Failure::invalid_parameter("area", "is none of the areas"));
        }
        let system = System::new(&Instance);
        let mut findings = Vec::new();
        for (index, area) in areas.iter().enumerate() {
            report::progress(u32::try_from(index).unwrap_or(0), u32::try_from(areas.len()).unwrap_or(0), area.name);
            for rule in area.rules {
                let finding = rule.finding(&system);
                finding.send()?;
                findings.push(finding);
            }
        }
        if wanted == "all" || wanted == "network" {
            listening(&system).send()?;
        }
        Ok(outcome(&findings))
    }
}

orderly_plugin::export!(OsAudit);

/// All listening sockets as a table.
fn listening(system: &System<'_>) -> Table {
    let mut table = Table::new("listening sockets", ["protocol", "address", "port", "uid"]);
    for socket in system.listening().into_iter().flatten() {
        table.row([
            socket.protocol.to_owned(),
            socket.address.to_string(),
            socket.port.to_string(),
            socket.uid.to_string(),
        ]);
    }
    table
}

fn outcome(findings: &[Finding]) -> Outcome {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let failed = count(Verdict::Fail);
    let summary = format!(
        "{} rules: {failed} failed, {} passed, {} not applicable",
        findings.len(),
        count(Verdict::Pass),
        count(Verdict::NotApplicable),
    );
    if failed == 0 { Outcome::pass(summary) } else { Outcome::attention(summary) }
}
