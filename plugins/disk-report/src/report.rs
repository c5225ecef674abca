//! What the measured mounts come to.
//!
//! Owns the arithmetic, in floating point as the interface gives sizes. Never asks the host for anything.

use std::collections::BTreeSet;

use orderly_plugin::mounts::Mount;
use orderly_plugin::report::Verdict;
use orderly_plugin::{Finding, Outcome, Severity, Table};

/// When a file system is too full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    /// Per cent of the bytes.
    pub usage: u8,
    /// Per cent of the inodes.
    pub inodes: u8,
}

/// File systems that are read-only by their nature.
const READ_ONLY_BY_NATURE: [&str; 5] = ["squashfs", "iso9660", "erofs", "cramfs", "udf"];
/// File systems of disks of this machine.
const OF_DISKS: [&str; 9] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "vfat"];

/// The file systems, fullest first.
pub(crate) fn table(mounts: &[Mount], all: bool) -> Table {
    let mut shown = mounts.iter().filter(|mount| all || has_size(mount)).collect::<Vec<_>>();
    shown.sort_by(|one, other| taken_percent(other).total_cmp(&taken_percent(one)));
    let mut table = Table::new(
        "file systems",
        ["mounted on", "source", "type", "size", "available", "taken %", "inodes taken %", "mode"],
    );
    for mount in shown {
        table.row([
            mount.target.clone(),
            mount.source.clone(),
            mount.file_system.clone(),
            bytes(mount.total),
            bytes(mount.available),
            percent(has_size(mount), taken_percent(mount)),
            percent(mount.inodes > 0.0, inodes_percent(mount)),
            if mount.read_only { "ro" } else { "rw" }.to_owned(),
        ]);
    }
    table
}

/// Facts over all file systems of disks; one that is mounted twice counts once.
pub(crate) fn totals(mounts: &[Mount]) -> Vec<(&'static str, String)> {
    let mut seen = BTreeSet::new();
    let own = mounts
        .iter()
        .filter(|mount| has_size(mount) && OF_DISKS.contains(&mount.file_system.as_str()))
        .filter(|mount| seen.insert(&mount.source))
        .collect::<Vec<_>>();
    let total = own.iter().map(|mount| mount.total).sum::<f64>();
    let available = own.iter().map(|mount| mount.available).sum::<f64>();
    vec![
        ("disk.file_systems", own.len().to_string()),
        ("disk.total_bytes", format!("{total:.0}")),
        ("disk.available_bytes", format!("{available:.0}")),
    ]
}

/// The rules. One that fails names every mount that it fails for.
pub(crate) fn findings(mounts: &[Mount], thresholds: Thresholds) -> Vec<Finding> {
    let writable = mounts
        .iter()
        .filter(|mount| has_size(mount) && !READ_ONLY_BY_NATURE.contains(&mount.file_system.as_str()))
        .collect::<Vec<_>>();
    let full = writable
        .iter()
        .filter(|mount| taken_percent(mount) > f64::from(thresholds.usage))
        .map(|mount| {
            format!(
                "{}: {:.1} % of {} taken, {} available",
                mount.target,
                taken_percent(mount),
                bytes(mount.total),
                bytes(mount.available)
            )
        })
        .collect::<Vec<_>>();
    let no_inodes = writable
        .iter()
        .filter(|mount| mount.inodes > 0.0 && inodes_percent(mount) > f64::from(thresholds.inodes))
        .map(|mount| format!("{}: {:.1} % of {:.0} inodes taken", mount.target, inodes_percent(mount), mount.inodes))
        .collect::<Vec<_>>();
    let root_read_only = writable
        .iter()
        .filter(|mount| mount.read_only && mount.target == "/" && OF_DISKS.contains(&mount.file_system.as_str()))
        .map(|mount| format!("{}: {} of {} is read-only", mount.target, mount.file_system, mount.source))
        .collect::<Vec<_>>();
    vec![
        finding(
            "DISK-01",
            &format!("no file system is more than {} % full", thresholds.usage),
            Severity::High,
            &full,
            writable.len(),
            "find what is large with `du -xh --max-depth=2 PATH | sort -h`, then remove it or enlarge the file system",
        ),
        finding(
            "DISK-02",
            &format!("no file system has used more than {} % of its inodes", thresholds.inodes),
            Severity::High,
            &no_inodes,
            writable.len(),
            "find folders with many files with `du -x --inodes --max-depth=2 PATH | sort -n`",
        ),
        finding(
            "DISK-03",
            "the root file system is writable",
            Severity::Medium,
            &root_read_only,
            writable.len(),
            "look in `dmesg` for the error that made it read-only; where it is meant to be, no remedy is needed",
        ),
    ]
}

/// The line that ends the run.
pub(crate) fn outcome(mounts: &[Mount], findings: &[Finding]) -> Outcome {
    let fullest = mounts
        .iter()
        .filter(|mount| has_size(mount) && !READ_ONLY_BY_NATURE.contains(&mount.file_system.as_str()))
        .max_by(|one, other| taken_percent(one).total_cmp(&taken_percent(other)));
    let fullest = fullest.map_or_else(
        || "none has a size".to_owned(),
        |mount| format!("the fullest is {} with {:.1} %", mount.target, taken_percent(mount)),
    );
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    let summary = format!("{} mounts, {fullest}, {failed} rules failed", mounts.len());
    if failed == 0 { Outcome::pass(summary) } else { Outcome::attention(summary) }
}

fn finding(id: &str, title: &str, severity: Severity, bad: &[String], seen: usize, remedy: &str) -> Finding {
    if bad.is_empty() {
        Finding::pass(id, title, severity, format!("{seen} file systems looked at"))
    } else {
        Finding::fail(id, title, severity, bad.join("\n"), remedy)
    }
}

fn has_size(mount: &Mount) -> bool {
    mount.total > 0.0
}

/// Taken is what nobody unprivileged can write any more: unlike df's `Use%`, blocks that are kept for root are among it.
fn taken_percent(mount: &Mount) -> f64 {
    if !has_size(mount) {
        return 0.0;
    }
    ((mount.total - mount.available) / mount.total * 100.0).clamp(0.0, 100.0)
}

fn inodes_percent(mount: &Mount) -> f64 {
    if mount.inodes <= 0.0 {
        return 0.0;
    }
    ((mount.inodes - mount.inodes_free) / mount.inodes * 100.0).clamp(0.0, 100.0)
}

fn percent(known: bool, value: f64) -> String {
    if known { format!("{value:.1}") } else { "-".to_owned() }
}

fn bytes(count: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    if count <= 0.0 {
        return "-".to_owned();
    }
    let (mut rest, mut unit) = (count, 0);
    while rest >= 1024.0 && unit + 1 < UNITS.len() {
        rest /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{rest:.0} B") } else { format!("{rest:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

    fn mount(target: &str, file_system: &str, total: f64, available: f64) -> Mount {
        Mount {
            source: format!("/dev{target}"),
            target: target.to_owned(),
            file_system: file_system.to_owned(),
            read_only: false,
            total,
            available,
            inodes: 1_000.0,
            inodes_free: 500.0,
        }
    }

    fn failed(mounts: &[Mount]) -> Vec<String> {
        findings(mounts, Thresholds { usage: 90, inodes: 90 })
            .into_iter()
            .filter(|finding| finding.verdict == Verdict::Fail)
            .map(|finding| finding.id)
            .collect()
    }

    #[test]
    fn a_full_file_system_fails_and_a_full_image_does_not() {
        assert_eq!(failed(&[mount("/", "ext4", GIB, 0.05 * GIB)]), ["DISK-01"]);
        assert!(failed(&[mount("/", "ext4", GIB, 0.1 * GIB), mount("/snap/x", "squashfs", GIB, 0.0)]).is_empty());
        let mut few = mount("/", "xfs", GIB, GIB);
        few.inodes_free = 1.0;
        assert_eq!(failed(&[few]), ["DISK-02"]);
    }

    #[test]
    fn a_file_system_mounted_twice_counts_once() {
        let first = mount("/", "ext4", GIB, GIB);
        let mut again = first.clone();
        again.target = "/bind".to_owned();
        let facts = totals(&[first, again, mount("/proc", "proc", 0.0, 0.0)]);
        assert_eq!(facts[0].1, "1");
        assert_eq!(facts[1].1, format!("{GIB:.0}"));
    }

    #[test]
    fn the_table_leaves_out_what_has_no_size_unless_asked() {
        let mounts = [mount("/proc", "proc", 0.0, 0.0), mount("/", "ext4", GIB, GIB)];
        assert_eq!(table(&mounts, false).rows().len(), 1);
        assert_eq!(table(&mounts, true).rows().len(), 2);
        assert_eq!(bytes(1536.0 * 1024.0), "1.5 MiB");
    }

    proptest! {
        #[test]
        fn any_numbers_give_a_report(numbers in proptest::collection::vec(any::<f64>(), 4)) {
            let mut odd = mount("/", "ext4", numbers[0], numbers[1]);
            odd.inodes = numbers[2];
            odd.inodes_free = numbers[3];
            let mounts = [odd];
            let found = findings(&mounts, Thresholds { usage: 90, inodes: 90 });
            prop_assert_eq!(found.len(), 3);
            prop_assert!(table(&mounts, true).rows().len() == 1);
            prop_assert!(!outcome(&mounts, &found).summary().is_empty());
        }
    }
}
