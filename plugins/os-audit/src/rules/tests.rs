//! The rules against made-up instances.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use orderly_plugin::Finding;
use orderly_plugin::files::Error;
use orderly_plugin::report::Verdict;
use orderly_plugin::testing::FakeFiles;

use super::AREAS;
use crate::system::System;

fn audit(files: &FakeFiles) -> BTreeMap<String, Finding> {
    let system = System::new(files);
    let findings = AREAS.iter().flat_map(|area| area.rules).map(|rule| rule.finding(&system));
    findings.map(|finding| (finding.id.clone(), finding)).collect()
}

fn failed(files: &FakeFiles) -> BTreeSet<String> {
    audit(files).into_values().filter(|finding| finding.verdict == Verdict::Fail).map(|finding| finding.id).collect()
}

/// An instance on which no rule fails.
fn good() -> FakeFiles {
    let mut files = FakeFiles::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\n")
        .with("/etc/group", "root:x:0:\ndaemon:x:1:\nsudo:x:27:alice\n")
        .with_mode("/etc/shadow", "root:$y$j9T$x$y:1::::::\ndaemon:*:1::::::\n", 0o640, 0, 42)
        .with_mode("/etc/gshadow", "", 0o640, 0, 42)
        .with("/etc/login.defs", "# x\nENCRYPT_METHOD YESCRYPT\n")
        .with("/etc/profile", "")
        .with_mode("/etc/sudoers", "Defaults use_pty\nroot ALL=(ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n", 0o440, 0, 0)
        .with("/etc/crontab", "")
        .with("/etc/ssh/sshd_config", "PasswordAuthentication no\n")
        .with_mode("/etc/ssh/ssh_host_ed25519_key", "", 0o600, 0, 0)
        .with("/proc/net/tcp", "header\n 0: 0100007F:18EB 00000000:0000 0A 0:0 0:0 0 0 0 1\n");
    for (name, value) in [
        ("kernel/randomize_va_space", "2\n"),
        ("kernel/kptr_restrict", "1\n"),
        ("kernel/dmesg_restrict", "1\n"),
        ("fs/protected_hardlinks", "1\n"),
        ("net/ipv4/conf/all/accept_redirects", "0\n"),
        ("net/ipv4/tcp_syncookies", "1\n"),
    ] {
        files = files.with(&format!("/proc/sys/{name}"), value);
    }
    files
}

#[test]
fn ids_are_unique_well_formed_and_many() {
    let ids = AREAS.iter().flat_map(|area| area.rules).map(|rule| rule.id).collect::<Vec<_>>();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert!(ids.len() >= 25);
    for id in ids {
        let (area, number) = id.split_once('-').expect("an id has two parts");
        assert!(area.chars().all(|symbol| symbol.is_ascii_uppercase()) && number.parse::<u32>().is_ok(), "{id}");
    }
}

#[test]
fn a_good_instance_fails_nothing() {
    assert_eq!(failed(&good()), BTreeSet::new());
}

#[test]
fn every_failure_says_what_to_do() {
    let bad = FakeFiles::new().with("/etc/passwd", "toor::0:9:::/bin/sh\ntoor:abc:5:9:::/bin/sh\n+::::::\n");
    let failures = audit(&bad).into_values().filter(|finding| finding.verdict == Verdict::Fail).collect::<Vec<_>>();
    assert!(!failures.is_empty());
    for finding in failures {
        assert!(!finding.evidence.is_empty() && !finding.remedy.is_empty(), "{}", finding.id);
    }
}

#[test]
fn an_empty_instance_fails_nothing_and_gives_reasons() {
    for finding in audit(&FakeFiles::new()).into_values() {
        assert_ne!(finding.verdict, Verdict::Fail, "{}", finding.id);
        assert!(!finding.evidence.is_empty(), "{}", finding.id);
    }
}

#[test]
fn what_only_root_reads_is_not_applicable_with_the_reason() {
    let files = good()
        .with_error("/etc/shadow", Error::Unreadable("0640 root:shadow".to_owned()))
        .with_error("/etc/sudoers", Error::Unreadable("0440 root:root".to_owned()));
    let findings = audit(&files);
    for id in ["ACC-02", "ACC-06", "ACC-07", "SUDO-01"] {
        let finding = &findings[id];
        assert_eq!(finding.verdict, Verdict::NotApplicable, "{id}");
        assert!(finding.evidence.contains("not readable without more rights"), "{}", finding.evidence);
    }
    // An open account in passwd is told even then.
    let open = files.with("/etc/passwd", "guest::1000:1000::/:/bin/sh\n");
    assert_eq!(audit(&open)["ACC-02"].verdict, Verdict::Fail);
}

/// One change to the good instance, and the rules that it must fail.
#[test]
fn each_fault_fails_its_rule_alone() {
    let sshd = |text: &str| good().with("/etc/ssh/sshd_config", format!("PasswordAuthentication no\n{text}\n"));
    let passwd = |text: &str| good().with("/etc/passwd", format!("root:x:0:0::/root:/bin/sh\n{text}\n"));
    let sudo = |text: &str| good().with_mode("/etc/sudoers", format!("Defaults use_pty\n{text}\n"), 0o440, 0, 0);
    let socket = |line: &str| good().with("/proc/net/tcp", format!("header\n 0: {line} 0:0 0A 0:0 0:0 0 0 0 1\n"));
    let cases: Vec<(FakeFiles, &[&str])> = vec![
        (sshd("PermitRootLogin yes"), &["SSH-01"]),
        (sshd("Match Address 10.0.0.0/8\nPermitRootLogin yes"), &["SSH-01"]),
        (good().with("/etc/ssh/sshd_config", ""), &["SSH-02"]),
        (sshd("PermitEmptyPasswords yes"), &["SSH-03"]),
        (sshd("X11Forwarding yes"), &["SSH-04"]),
        (sshd("MaxAuthTries 20"), &["SSH-05"]),
        (sshd("IgnoreRhosts no"), &["SSH-06"]),
        (sshd("HostbasedAuthentication yes"), &["SSH-06"]),
        (sshd("Ciphers aes256-ctr,3des-cbc"), &["SSH-07"]),
        (sshd("MACs -hmac-md5"), &[]),
        (sshd("PermitUserEnvironment yes"), &["SSH-08"]),
        (sshd("LoginGraceTime 0"), &["SSH-09"]),
        (sshd("LogLevel QUIET"), &["SSH-10"]),
        (sshd("StrictModes no"), &["SSH-11"]),
        (good().with_mode("/etc/ssh/ssh_host_rsa_key", "", 0o644, 0, 0), &["SSH-12"]),
        (passwd("toor:x:0:0::/:/usr/sbin/nologin"), &["ACC-01", "ACC-04"]),
        (good().with_mode("/etc/shadow", "root::1\n", 0o640, 0, 42), &["ACC-02"]),
        (passwd("a:$6$x$y:1000:1::/:/bin/sh"), &["ACC-03"]),
        (passwd("a:x:7:1::/:/bin/sh\na:x:8:1::/:/bin/sh"), &["ACC-05"]),
        (good().with_mode("/etc/shadow", "root:$1$x$y:1\n", 0o640, 0, 42), &["ACC-06"]),
        (good().with_mode("/etc/shadow", "root:abJnggxhB/yWI:1\n", 0o640, 0, 42), &["ACC-06"]),
        (passwd("a:x:1000:4711::/:/bin/sh"), &["ACC-08"]),
        (good().with("/etc/group", "root:x:0:\ndaemon:x:1:\ndocker:x:9:alice\n"), &["ACC-09"]),
        (passwd("+:::0:::"), &["ACC-02", "ACC-10"]),
        (good().with("/etc/login.defs", "ENCRYPT_METHOD MD5\n"), &["ACC-11"]),
        (sudo("alice ALL=(ALL) NOPASSWD: /bin/ls"), &["SUDO-01"]),
        (sudo("Defaults !authenticate"), &["SUDO-02"]),
        (sudo("alice ALL=(ALL) ALL"), &["SUDO-03"]),
        (sudo("Defaults env_keep += \"LD_PRELOAD\""), &["SUDO-04"]),
        (sudo("%wheel ALL=(ALL) ALL, !/bin/su"), &["SUDO-05"]),
        (sudo("Defaults !use_pty"), &["SUDO-06"]),
        (good().with_mode("/etc/profile", "", 0o666, 0, 0), &["FILE-10"]),
        (good().with_mode("/etc/gshadow", "", 0o644, 0, 42), &["FILE-04"]),
        (good().with_mode("/etc/cron.daily/job", "", 0o777, 0, 0), &["FILE-07"]),
        (good().with("/etc/ld.so.preload", "/tmp/evil.so\n"), &["FILE-08"]),
        (good().with("/etc/hosts.equiv", ""), &["FILE-09"]),
        (good().with("/proc/sys/kernel/randomize_va_space", "0"), &["KERN-01"]),
        (good().with("/proc/sys/fs/suid_dumpable", "1"), &["KERN-11"]),
        (socket("00000000:0017"), &["NET-01"]),
        (socket("00000000:18EB"), &["NET-02"]),
        (socket("0100007F:0017"), &[]),
        (socket("00000000:0801"), &["NET-03"]),
    ];
    for (index, (files, expected)) in cases.iter().enumerate() {
        let expected = expected.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(failed(files), expected, "case {index}");
    }
}
