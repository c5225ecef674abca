//! Lists installed packages from the files of dpkg, rpm and apk.
//!
//! Owns readers of these databases. Never runs a package manager, never takes its locks and never writes.
//! Layers: `package` · `dpkg`, `apk`, `rpm` (bytes in, packages out, for any bytes) · `inventory`.

mod apk;
mod dpkg;
mod inventory;
mod package;
mod rpm;

use orderly_plugin::files::Instance;
use orderly_plugin::report::{self, Error};
use orderly_plugin::{Arguments, Command, Description, Failure, Outcome, Parameter, log};

use inventory::Inventory;

struct PackageInventory;

impl Command for PackageInventory {
    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Lists installed packages from the files of dpkg, rpm and apk",
        )
        .parameter(
            Parameter::text("manager", "Whose packages to list")
                .default_value("all")
                .allowed(["all", "dpkg", "rpm", "apk"]),
        )
        .parameter(
            Parameter::text("match", "Lists only packages with this in their names")
                .default_value("")
                .pattern("[A-Za-z0-9+._-]{0,64}"),
        )
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let inventory = Inventory::take(&Instance, arguments.text("manager")?);
        for finding in inventory.findings() {
            finding.send()?;
        }
        for (key, value) in inventory.facts() {
            report::fact(&key, &value)?;
        }
        let (table, listed) = inventory.table(arguments.text("match")?);
        let full = match table.send() {
            Ok(()) => "",
            Err(Error::Full) => {
                log::warn("the report is full: use `match` to list fewer packages");
                ", the list is cut because the report is full"
            }
            Err(error) => return Err(error.into()),
        };
        inventory.outcome(&format!("{listed} packages listed{full}"))
    }
}

orderly_plugin::export!(PackageInventory);
