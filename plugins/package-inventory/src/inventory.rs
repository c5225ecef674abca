//! The packages of an instance, from every database that it has.
//!
//! Owns which files are looked at and what the findings say of them.

use std::fmt::Display;

use orderly_plugin::files::{Error, Files};
use orderly_plugin::{Failure, Finding, Outcome, Severity, Table};

use crate::package::Package;
use crate::rpm::{Fault, Found, bdb, ndb, sqlite};
use crate::{apk, dpkg};

/// Longest text database that is read, in bytes: a desktop's has 5 MB.
const TEXT_MAX: usize = 32 * 1024 * 1024;
/// Where rpm keeps its database, the older place first.
const RPM_FOLDERS: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];

/// What one manager has installed, or why that is not known.
#[derive(Debug)]
struct Database {
    manager: &'static str,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The file, the packages, and how many entries did not read.
    Read(String, Vec<Package>, usize),
    /// There is no such database.
    Absent,
    /// There is one but it could not be read: the file and why.
    Unreadable(String, String),
}

type Reader = fn(&dyn Files) -> State;

/// The packages of an instance.
#[derive(Debug)]
pub(crate) struct Inventory(Vec<Database>);

impl Inventory {
    /// Reads the databases of `manager`, or of all.
    pub(crate) fn take(files: &dyn Files, manager: &str) -> Self {
        let readers = [("dpkg", read_dpkg as Reader), ("rpm", read_rpm), ("apk", read_apk)];
        let wanted = readers.into_iter().filter(|(name, _)| manager == "all" || manager == *name);
        Self(wanted.map(|(name, read)| Database { manager: name, state: read(files) }).collect())
    }

    /// One finding for each database and one about packages that are not whole.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = self.0.iter().map(Database::finding).collect::<Vec<_>>();
        let broken = self
            .packages()
            .filter(|(_, package)| !package.state.is_empty())
            .map(|(manager, package)| format!("{manager}: {} {}: {}", package.name, package.version, package.state))
            .collect::<Vec<_>>();
        let title = "no package is half installed";
        findings.push(if broken.is_empty() {
            Finding::pass("PKG-04", title, Severity::Medium, format!("{} packages are whole", self.packages().count()))
        } else {
            let remedy = "run `dpkg --configure -a` and `apt-get --fix-broken install`, or `apk fix`";
            Finding::fail("PKG-04", title, Severity::Medium, broken.join("\n"), remedy)
        });
        findings
    }

    /// How many packages each manager has installed.
    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        let count = |database: &Database| match &database.state {
            State::Read(_, packages, _) => Some((format!("packages.{}", database.manager), packages.len().to_string())),
            State::Absent | State::Unreadable(..) => None,
        };
        self.0.iter().filter_map(count).collect()
    }

    /// The packages whose names contain `part`, and how many they are.
    pub(crate) fn table(&self, part: &str) -> (Table, usize) {
        let mut table = Table::new("packages", ["manager", "name", "version", "architecture", "source", "state"]);
        let mut wanted = self.packages().filter(|(_, package)| package.name.contains(part)).collect::<Vec<_>>();
        wanted.sort_by(|(one_manager, one), (manager, other)| {
            (one_manager, &one.name, &one.version).cmp(&(manager, &other.name, &other.version))
        });
        for (manager, package) in &wanted {
            table.row([
                (*manager).to_owned(),
                package.name.clone(),
                package.version.clone(),
                package.architecture.clone(),
                package.source.clone(),
                package.state.clone(),
            ]);
        }
        (table, wanted.len())
    }

    /// How the run came out; `listed` reads on after the counts.
    pub(crate) fn outcome(&self, listed: &str) -> Result<Outcome, Failure> {
        let faults = self.0.iter().filter(|database| matches!(database.state, State::Unreadable(..))).count();
        let read = self.0.iter().filter(|database| matches!(database.state, State::Read(..))).count();
        if read == 0 && faults == 0 {
            return Err(Failure::NotApplicable("there is no database of dpkg, rpm or apk".to_owned()));
        }
        let broken = self.packages().filter(|(_, package)| !package.state.is_empty()).count();
        let summary = format!("{listed}; {read} databases read, {faults} not readable, {broken} packages not whole");
        Ok(if faults + broken == 0 { Outcome::pass(summary) } else { Outcome::attention(summary) })
    }

    fn packages(&self) -> impl Iterator<Item = (&'static str, &Package)> {
        self.0.iter().flat_map(|database| {
            let packages = match &database.state {
                State::Read(_, packages, _) => packages.as_slice(),
                State::Absent | State::Unreadable(..) => &[],
            };
            packages.iter().map(|package| (database.manager, package))
        })
    }
}

impl Database {
    fn finding(&self) -> Finding {
        let (id, title) = match self.manager {
            "dpkg" => ("PKG-01", "dpkg's database is whole"),
            "rpm" => ("PKG-02", "rpm's database is whole"),
            _ => ("PKG-03", "apk's database is whole"),
        };
        match &self.state {
            State::Read(file, packages, 0) => {
                Finding::pass(id, title, Severity::Low, format!("{file}: {} packages", packages.len()))
            }
            State::Read(file, packages, unreadable) => Finding::fail(
                id,
                title,
                Severity::Low,
                format!("{file}: {} packages, and {unreadable} entries that do not read", packages.len()),
                "check the database with the manager's own tools, such as `rpmdb --verifydb`",
            ),
            State::Absent => {
                Finding::not_applicable(id, title, Severity::Low, format!("{} has no database here", self.manager))
            }
            State::Unreadable(file, why) => Finding::not_applicable(id, title, Severity::Low, format!("{file}: {why}")),
        }
    }
}

fn unreadable(file: &str, why: &impl Display) -> State {
    State::Unreadable(file.to_owned(), why.to_string())
}

fn read_dpkg(files: &dyn Files) -> State {
    const STATUS: &str = "/var/lib/dpkg/status";
    const FOLDER: &str = "/var/lib/dpkg/status.d";
    match files.read_text(STATUS, TEXT_MAX) {
        Ok(text) if !text.trim().is_empty() => return State::Read(STATUS.to_owned(), dpkg::packages(&text), 0),
        // Distroless images have a folder with one file for each package.
        Ok(_) | Err(Error::NotFound) => {}
        Err(error) => return unreadable(STATUS, &error),
    }
    let entries = match files.read_dir(FOLDER) {
        Ok(entries) => entries,
        Err(Error::NotFound) => return State::Absent,
        Err(error) => return unreadable(FOLDER, &error),
    };
    let (mut packages, mut faults) = (Vec::new(), 0);
    for entry in entries.iter().filter(|entry| !entry.directory && !entry.name.ends_with(".md5sums")) {
        match files.read_text(&format!("{FOLDER}/{}", entry.name), TEXT_MAX) {
            Ok(text) => packages.extend(dpkg::packages(&text)),
            Err(_) => faults += 1,
        }
    }
    State::Read(FOLDER.to_owned(), packages, faults)
}

fn read_apk(files: &dyn Files) -> State {
    for path in ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"] {
        match files.read_text(path, TEXT_MAX) {
            Ok(text) => return State::Read(path.to_owned(), apk::packages(&text), 0),
            Err(Error::NotFound) => {}
            Err(error) => return unreadable(path, &error),
        }
    }
    State::Absent
}

fn read_rpm(files: &dyn Files) -> State {
    for folder in RPM_FOLDERS {
        for (name, read) in [
            ("rpmdb.sqlite", rpm_sqlite as fn(&dyn Files, &str) -> Result<Found, Fault>),
            ("Packages.db", |files, path| ndb::packages(files.open(path)?.as_ref())),
            ("Packages", |files, path| bdb::packages(files.open(path)?.as_ref())),
        ] {
            let path = format!("{folder}/{name}");
            match read(files, &path) {
                Ok(Found { packages, unreadable }) => return State::Read(path, packages, unreadable),
                Err(Fault::File(Error::NotFound)) => {}
                Err(fault) => return unreadable(&path, &fault),
            }
        }
    }
    State::Absent
}

fn rpm_sqlite(files: &dyn Files, path: &str) -> Result<Found, Fault> {
    let database = files.open(path)?;
    let log = match files.open(&format!("{path}-wal")) {
        Ok(log) => Some(log),
        Err(Error::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    sqlite::packages(database.as_ref(), log.as_deref())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use orderly_plugin::report::Verdict;
    use orderly_plugin::testing::FakeFiles;

    use super::*;

    const STATUS: &str = "/var/lib/dpkg/status";

    #[test]
    fn an_instance_without_any_database_is_not_applicable() {
        let inventory = Inventory::take(&FakeFiles::new(), "all");
        assert!(matches!(inventory.outcome(""), Err(Failure::NotApplicable(_))));
        let verdicts = inventory.findings().into_iter().map(|finding| finding.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts[..3], [Verdict::NotApplicable; 3]);
    }

    #[test]
    fn packages_of_two_managers_stand_in_one_table() {
        let files = FakeFiles::new()
            .with(STATUS, "Package: zlib\nVersion: 1\n\nPackage: bash\nVersion: 2\n")
            .with("/lib/apk/db/installed", "P:musl\nV:3\n\n");
        let inventory = Inventory::take(&files, "all");
        let (table, listed) = inventory.table("");
        assert_eq!(listed, 3);
        let names = table.rows().iter().map(|row| row[1].as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["musl", "bash", "zlib"]);
        assert_eq!(inventory.table("sh").1, 1);
        assert_eq!(Inventory::take(&files, "apk").facts(), [("packages.apk".to_owned(), "1".to_owned())]);
        assert!(!inventory.outcome("").unwrap().needs_attention());
    }

    #[test]
    fn a_package_that_is_not_whole_and_a_file_that_is_not_readable_need_attention() {
        let half = FakeFiles::new().with(STATUS, "Package: x\nVersion: 1\nStatus: install ok unpacked\n");
        let inventory = Inventory::take(&half, "all");
        assert!(inventory.outcome("").unwrap().needs_attention());
        let finding = inventory.findings().pop().unwrap();
        assert_eq!((finding.verdict, finding.evidence.as_str()), (Verdict::Fail, "dpkg: x 1: unpacked"));

        let closed = FakeFiles::new().with_error(STATUS, Error::Unreadable("0600 root:root".to_owned()));
        let inventory = Inventory::take(&closed, "dpkg");
        assert!(inventory.outcome("").unwrap().needs_attention());
        assert!(inventory.findings()[0].evidence.contains("0600 root:root"));
    }

    #[test]
    fn a_distroless_image_has_a_file_for_each_package() {
        let files = FakeFiles::new()
            .with("/var/lib/dpkg/status.d/base", "Package: base\nVersion: 1\n")
            .with("/var/lib/dpkg/status.d/base.md5sums", "Package: no\n");
        assert_eq!(Inventory::take(&files, "all").table("").1, 1);
    }
}
