//! Rules about owners and modes of files that decide who is root.
//!
//! Owns the most that each file's mode may allow.

use orderly_plugin::Severity::{Critical, High, Medium};

use crate::rule::{Check, Rule};
use crate::system::{Read, System};

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "FILE-01",
        title: "only root writes /etc/passwd",
        severity: Critical,
        check: |system| one(system, "/etc/passwd", 0o644).into(),
    },
    Rule {
        id: "FILE-02",
        title: "only root writes /etc/group",
        severity: Critical,
        check: |system| one(system, "/etc/group", 0o644).into(),
    },
    Rule {
        id: "FILE-03",
        title: "only root and its group read /etc/shadow",
        severity: Critical,
        check: |system| one(system, "/etc/shadow", 0o640).into(),
    },
    Rule {
        id: "FILE-04",
        title: "only root and its group read /etc/gshadow",
        severity: High,
        check: |system| one(system, "/etc/gshadow", 0o640).into(),
    },
    Rule {
        id: "FILE-05",
        title: "only root writes sudo's rules",
        severity: Critical,
        check: |system| sudoers(system).into(),
    },
    Rule {
        id: "FILE-06",
        title: "only root writes sshd's settings",
        severity: High,
        check: |system| sshd(system).into(),
    },
    Rule {
        id: "FILE-07",
        title: "only root writes the system's timetables",
        severity: Critical,
        check: |system| cron(system).into(),
    },
    Rule {
        id: "FILE-08",
        title: "no library is loaded into every program",
        severity: High,
        check: |system| preload(system).into(),
    },
    Rule {
        id: "FILE-09",
        title: "no other hosts are trusted",
        severity: High,
        check: |system| trusted_hosts(system).into(),
    },
    Rule {
        id: "FILE-10",
        title: "only root writes /etc/profile",
        severity: Medium,
        check: |system| one(system, "/etc/profile", 0o644).into(),
    },
];

/// Checks one file: of root, and no bit set that `most` lacks.
fn one(system: &System<'_>, path: &str, most: u32) -> Read<Check> {
    match system.metadata_if_there(path)? {
        None => Err(format!("{path} is not there")),
        Some(metadata) if metadata.uid == 0 && metadata.mode & 0o777 & !most == 0 => {
            Ok(Check::Pass(format!("{path}: {metadata}")))
        }
        Some(metadata) => Ok(Check::fail(
            format!("{path}: {metadata}"),
            &format!("run `chown root {path} && chmod {most:04o} {path}`"),
        )),
    }
}

/// Checks files and the folders that hold them, where they are there.
fn none_writable(system: &System<'_>, files: &[&str], folders: &[&str]) -> Read<Check> {
    let mut paths = files.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    for folder in folders {
        if let Some(names) = system.names_if_there(folder)? {
            paths.push((*folder).to_owned());
            paths.extend(names.iter().map(|name| format!("{folder}/{name}")));
        }
    }
    let (mut bad, mut seen) = (Vec::new(), 0);
    for path in paths {
        if let Some(metadata) = system.metadata_if_there(&path)? {
            seen += 1;
            // A link's own mode means nothing.
            let link = metadata.kind == orderly_plugin::files::Kind::SymbolicLink;
            if metadata.uid != 0 || (!link && metadata.mode & 0o022 != 0) {
                bad.push(format!("{path}: {metadata}"));
            }
        }
    }
    if seen == 0 {
        return Err(format!("{} is not there", files.first().or(folders.first()).copied().unwrap_or_default()));
    }
    let remedy = "run `chown root` and `chmod go-w` on the named paths";
    Ok(Check::none_of(bad, format!("{seen} files and folders, all of root and written by root only"), remedy))
}

fn sudoers(system: &System<'_>) -> Read<Check> {
    none_writable(system, &["/etc/sudoers"], &["/etc/sudoers.d"])
}

fn sshd(system: &System<'_>) -> Read<Check> {
    none_writable(system, &["/etc/ssh/sshd_config"], &["/etc/ssh/sshd_config.d"])
}

fn cron(system: &System<'_>) -> Read<Check> {
    none_writable(
        system,
        &["/etc/crontab"],
        &["/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly"],
    )
}

fn preload(system: &System<'_>) -> Read<Check> {
    const PATH: &str = "/etc/ld.so.preload";
    let text = system.text_if_there(PATH)?.unwrap_or_default();
    let bad = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(index, line)| format!("{PATH}:{}: {}", index + 1, line.trim()))
        .collect();
    Ok(Check::none_of(
        bad,
        format!("{PATH} is not there or empty"),
        "remove the lines unless you know why they are there",
    ))
}

fn trusted_hosts(system: &System<'_>) -> Read<Check> {
    let mut bad = Vec::new();
    for path in ["/etc/hosts.equiv", "/etc/ssh/shosts.equiv"] {
        if system.metadata_if_there(path)?.is_some() {
            bad.push(format!("{path} is there"));
        }
    }
    Ok(Check::none_of(bad, "neither /etc/hosts.equiv nor /etc/ssh/shosts.equiv is there", "remove the files"))
}
