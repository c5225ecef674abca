//! Which programs start and which do not, and that they end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use orderly_model::capability::{ArgumentPattern, Capabilities};

use super::*;
use crate::platform::Trees;

#[test]
fn interpreters_are_known_with_their_versions() {
    for name in
        ["/bin/sh", "/usr/bin/python3", "/usr/bin/python3.11", "/usr/bin/perl5.36.0", "/usr/bin/env", "/bin/busybox"]
    {
        assert!(is_interpreter(Path::new(name)), "{name}");
    }
    for name in ["/usr/bin/id", "/usr/bin/sha256sum", "/usr/bin/show", "/usr/bin/pythonic"] {
        assert!(!is_interpreter(Path::new(name)), "{name}");
    }
}

#[test]
fn a_program_that_others_can_change_is_refused() {
    let refused = |path: &Path| matches!(open_checked(path), Err(Unusable::Unsafe(_)));
    let place = tempfile::tempdir();
    let Ok(place) = place else { return };
    let program = place.path().join("tool");
    assert!(std::fs::copy("/bin/true", &program).is_ok());
    // The file is fine; a directory above it belongs to everybody.
    assert!(refused(&program));
    assert!(std::fs::canonicalize("/bin/true").is_ok_and(|path| open_checked(&path).is_ok()));
    assert!(refused(Path::new("/etc/passwd")));
}

fn real(path: &str) -> String {
    std::fs::canonicalize(path).unwrap().to_string_lossy().into_owned()
}

/// Grants for the programs that these tests start, each with the arguments of its pattern.
fn grants() -> Grants {
    let rule = |executable: &str, arguments: &[&str]| ProcessRule {
        executable: real(executable).parse().unwrap(),
        arguments: arguments.iter().map(|pattern| pattern.parse::<ArgumentPattern>().unwrap()).collect(),
        user: RunAs::Unprivileged,
        interpreter: false,
    };
    let process = vec![
        rule("/usr/bin/id", &["-u"]),
        rule("/bin/sleep", &["[0-9]+"]),
        rule("/bin/sh", &["-c", ".*"]),
        rule("/bin/true", &[]),
    ];
    Grants::from_parent(&Capabilities { process, ..Capabilities::none() }.to_canonical_json()).unwrap()
}

/// A tree in a cgroup; nothing where this machine has none (the supervisor's way is tested where there is a program for it).
fn tree(name: &str) -> Option<Tree> {
    let trees = Trees::probe("broker-tests", Path::new("/bin/false")).unwrap();
    if trees.kind() != platform::TreeKind::Cgroup {
        eprintln!("no usable cgroup v2 on this machine: programs are not started here");
        return None;
    }
    Some(trees.create(&format!("{name}-{}", std::process::id())).unwrap())
}

fn texts(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

#[tokio::test]
async fn a_granted_program_runs_as_nobody_and_its_end_is_told_once() {
    let Some(tree) = tree("granted") else { return };
    let mut programs = Programs::new(&tree);
    let number = programs.start(&grants(), &real("/usr/bin/id"), &texts(&["-u"])).await.unwrap();
    let Reply::Output { stderr: false, data } = next(programs.get(number)).await else { panic!("no output") };
    let expected = if users::is_root() { users::unprivileged().uid } else { rustix::process::geteuid().as_raw() };
    assert_eq!(String::from_utf8(data.0).unwrap().trim(), expected.to_string());
    assert!(matches!(next(programs.get(number)).await, Reply::Exited(Exit::Code(0))));
    assert!(matches!(next(programs.get(number)).await, Reply::Refused(ProcessRefusal::Failed(_))));
    assert!(matches!(next(None).await, Reply::Refused(ProcessRefusal::Failed(_))));
}

#[tokio::test]
async fn what_no_rule_names_is_denied_before_anything_is_looked_at() {
    let Some(tree) = tree("denied") else { return };
    let mut programs = Programs::new(&tree);
    let grants = grants();
    for (executable, arguments) in [
        ("/usr/bin/id", &["-g"][..]),
        ("/usr/bin/id", &[]),
        ("/usr/bin/id", &["-u", "-u"]),
        ("/usr/bin/id", &["-u\n"]),
        ("/usr/bin/env", &["id"]),
        ("id", &["-u"]),
        ("/no/such/thing", &[]),
        ("/tmp/../usr/bin/../bin/whoami", &[]),
        // Granted by name and arguments, but an interpreter without the word for it.
        ("/bin/sh", &["-c", "id"]),
        ("/bin/sleep", &["1\0"]),
    ] {
        let started = programs.start(&grants, executable, &texts(arguments)).await;
        assert!(matches!(started, Err(ProcessRefusal::Denied(_))), "{executable} {arguments:?}: {started:?}");
    }
    assert!(tree.is_empty().unwrap());
}

#[tokio::test]
async fn programs_are_limited_at_once_and_in_all() {
    let Some(tree) = tree("limits") else { return };
    let mut programs = Programs::new(&tree);
    let grants = grants();
    for _ in 0..PROGRAMS_AT_ONCE_MAX {
        programs.start(&grants, &real("/bin/sleep"), &texts(&["1000"])).await.unwrap();
    }
    assert_eq!(programs.start(&grants, &real("/bin/true"), &[]).await, Err(ProcessRefusal::TooMany));
    // One ends: while somebody waits for it, and its end is told as it was.
    let first = programs.get(1).unwrap();
    let waiting = tokio::spawn(next(Some(Arc::clone(&first))));
    tokio::task::yield_now().await;
    first.kill();
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert!(matches!(told, Reply::Exited(Exit::Signal(9))), "{told:?}");
    let mut started = PROGRAMS_AT_ONCE_MAX as u32;
    while let Ok(number) = programs.start(&grants, &real("/bin/true"), &[]).await {
        started += 1;
        assert!(matches!(next(programs.get(number)).await, Reply::Exited(Exit::Code(0))));
    }
    assert_eq!(started, PROGRAMS_MAX);
    drop(programs);
    tree.terminate(std::time::Duration::ZERO).await.unwrap();
}

#[test]
fn what_runs_other_programs_is_an_interpreter_under_every_name_that_it_has() {
    for name in [
        "sh",
        "python3",
        "python3.11",
        "python3.11-dbg",
        "python-dbg",
        "perl5.36-x86_64-linux-gnu",
        "ruby3.1",
        "ruby-3.1",
        "nice",
        "timeout",
        "setsid",
        "chroot",
        "su",
        "sudo",
        "strace",
        "gdb",
        "find",
        "xargs",
        "ip",
        "ld-linux-x86-64.so.2",
        "ld-linux.so.2",
        "ld-musl-aarch64.so.1",
        "ld-2.31.so",
        "ld.so",
        "ld64.so.2",
        "qemu-x86_64",
    ] {
        assert!(is_interpreter(&Path::new("/usr/bin").join(name)), "{name}");
    }
    for name in ["id", "df", "sshd", "timedatectl", "ld", "iptables", "shasum", "sha256sum", "sleep", "uname", "ss"] {
        assert!(!is_interpreter(&Path::new("/usr/bin").join(name)), "{name}");
    }
}
