//! Reports the mounted file systems, how full they are and which are too full.
//!
//! Owns thresholds and tables; the agent measures. Never opens a file.

mod report;

use orderly_plugin::{Arguments, Command, Description, Failure, Outcome, Parameter, mounts};

use report::Thresholds;

struct DiskReport;

impl Command for DiskReport {
    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Reports the mounted file systems, how full they are and which are too full",
        )
        .parameter(
            Parameter::integer("usage-percent", "Fails a file system that is fuller than this")
                .default_value(90)
                .pattern("[0-9]{1,3}"),
        )
        .parameter(
            Parameter::integer("inodes-percent", "Fails a file system that has used more of its inodes than this")
                .default_value(90)
                .pattern("[0-9]{1,3}"),
        )
        .parameter(
            Parameter::boolean("all", "Shows file systems without a size of their own too, such as proc")
                .default_value(false),
        )
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let thresholds =
            Thresholds { usage: percent(&arguments, "usage-percent")?, inodes: percent(&arguments, "inodes-percent")? };
        let mounts = mounts::get();
        if mounts.is_empty() {
            return Err(Failure::NotApplicable("the agent sees no mounted file system".to_owned()));
        }
        report::table(&mounts, arguments.boolean("all")?).send()?;
        for (key, value) in report::totals(&mounts) {
            orderly_plugin::report::fact(key, &value)?;
        }
        let findings = report::findings(&mounts, thresholds);
        for finding in &findings {
            finding.send()?;
        }
        Ok(report::outcome(&mounts, &findings))
    }
}

orderly_plugin::export!(DiskReport);

fn percent(arguments: &Arguments, name: &str) -> Result<u8, Failure> {
    let percent = arguments.integer(name)?;
    if percent > 100 {
        return Err(Failure::invalid_parameter(name, "is over 100"));
    }
    Ok(percent)
}
