//! The box from within: what a plugin that has taken over its process could still do.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use orderly_host::platform::sandbox::{self, Plan, SandboxReport};
use orderly_host::platform::{Credentials, UserChange, users};

use crate::support::program;

/// What the boxed program said: the report, and a line for each thing that it tried.
fn boxed(plan: &Plan, files: &[&Path]) -> (Option<SandboxReport>, Vec<String>) {
    let plan = serde_json::to_string(plan).unwrap();
    let output = std::process::Command::new(program()).arg("__boxed").arg(plan).args(files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{output:?}");
    let report = lines[0].strip_prefix("closed ").map(|json| serde_json::from_str(json).unwrap());
    (report, lines.split_off(1))
}

fn nobody() -> Credentials {
    Credentials { uid: users::NOBODY, gid: users::NOBODY, groups: Vec::new() }
}

struct Files {
    _place: tempfile::TempDir,
    open: std::path::PathBuf,
    secret: std::path::PathBuf,
}

/// A directory with a file that everybody may read, and one that only its owner may.
fn files() -> Files {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (open, secret) = (place.path().join("open"), place.path().join("secret"));
    for (file, mode) in [(&open, 0o644), (&secret, 0o600)] {
        std::fs::write(file, "x").unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    Files { _place: place, open, secret }
}

fn read(path: &Path, how: &str) -> String {
    format!("read {}: {how}", path.display())
}

#[test]
fn with_nothing_granted_nothing_can_be_done() {
    let files = files();
    let (report, lines) = boxed(&Plan::nothing(nobody()), &[&files.open, Path::new("/etc/passwd")]);
    let report = report.unwrap();
    if !report.seccomp {
        eprintln!("no seccomp on this machine: {:?}", report.missing);
        return;
    }
    assert_eq!(lines.len(), 7);
    assert!(lines.iter().all(|line| !line.ends_with("done")), "{lines:?}");
    assert!(!Path::new("/tmp/orderly-boxed").exists());
}

#[test]
fn only_granted_files_are_read_and_only_by_their_modes() {
    let files = files();
    let grants = [files.open.clone(), files.secret.clone()].to_vec();
    let plan = Plan { read: grants, ..Plan::nothing(nobody()) };
    let (report, lines) = boxed(&plan, &[&files.open, &files.secret, Path::new("/etc/passwd")]);
    let report = report.unwrap();
    assert!(lines.contains(&read(&files.open, "done")), "{lines:?}");
    if report.landlock.is_some() {
        assert!(lines.contains(&read(Path::new("/etc/passwd"), "13")), "{lines:?}");
    }
    // Without root the plugin has the same user, to whom the file belongs.
    let secret = if report.uid_dropped { "13" } else { "done" };
    assert!(lines.contains(&read(&files.secret, secret)), "{lines:?}");
    for out in ["tcp", "unix", "program", "thread"] {
        assert!(!report.seccomp || !lines.contains(&format!("{out}: done")), "{lines:?}");
    }
}

#[test]
fn privileged_reading_reads_past_modes_and_nothing_that_is_not_granted() {
    let can = sandbox::probe();
    let files = files();
    let plan =
        Plan { read: vec![files.secret.clone()], user: UserChange::ToReading(nobody()), ..Plan::nothing(nobody()) };
    let (report, lines) = boxed(&plan, &[&files.secret, &files.open, Path::new("/etc/shadow")]);
    if can.landlock.is_none() || !can.seccomp {
        assert!(report.is_none(), "it needs Landlock, which is missing");
        return;
    }
    assert!(report.is_some());
    assert!(lines.contains(&read(&files.secret, "done")), "{lines:?}");
    assert!(
        lines.contains(&read(&files.open, "13")) && lines.contains(&read(Path::new("/etc/shadow"), "13")),
        "{lines:?}"
    );
}

#[test]
fn root_that_is_granted_still_reads_only_what_is_granted() {
    if !users::is_root() || sandbox::probe().landlock.is_none() {
        eprintln!("skipped: needs root and Landlock");
        return;
    }
    let files = files();
    let plan = Plan { read: vec![files.secret.clone()], user: UserChange::Root, ..Plan::nothing(nobody()) };
    let (report, lines) = boxed(&plan, &[&files.secret, Path::new("/etc/shadow")]);
    assert!(!report.unwrap().uid_dropped);
    assert!(
        lines.contains(&read(&files.secret, "done")) && lines.contains(&read(Path::new("/etc/shadow"), "13")),
        "{lines:?}"
    );
}
