//! Rules about kernel parameters.
//!
//! Owns the good values. A parameter that this kernel does not have is not applicable.

use orderly_plugin::Severity::{High, Low, Medium};

use crate::rule::{Check, Rule};
use crate::system::System;

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "KERN-01",
        title: "addresses are randomised fully",
        severity: High,
        check: |system| any_of(system, "kernel.randomize_va_space", &[2]),
    },
    Rule {
        id: "KERN-02",
        title: "kernel addresses are hidden",
        severity: Low,
        check: |system| any_of(system, "kernel.kptr_restrict", &[1, 2]),
    },
    Rule {
        id: "KERN-03",
        title: "only root reads the kernel's log",
        severity: Low,
        check: |system| any_of(system, "kernel.dmesg_restrict", &[1]),
    },
    Rule {
        id: "KERN-04",
        title: "programs cannot look into others of the same user",
        severity: Medium,
        check: |system| any_of(system, "kernel.yama.ptrace_scope", &[1, 2, 3]),
    },
    Rule {
        id: "KERN-05",
        title: "only root loads BPF programs",
        severity: Medium,
        check: |system| any_of(system, "kernel.unprivileged_bpf_disabled", &[1, 2]),
    },
    Rule {
        id: "KERN-06",
        title: "the keyboard cannot command the kernel",
        severity: Low,
        check: |system| any_of(system, "kernel.sysrq", &[0, 4, 16, 176, 438]),
    },
    Rule {
        id: "KERN-07",
        title: "hard links to others' files are refused",
        severity: Medium,
        check: |system| any_of(system, "fs.protected_hardlinks", &[1]),
    },
    Rule {
        id: "KERN-08",
        title: "others' symbolic links in sticky folders are not followed",
        severity: Medium,
        check: |system| any_of(system, "fs.protected_symlinks", &[1]),
    },
    Rule {
        id: "KERN-09",
        title: "others' pipes in sticky folders are not opened for writing",
        severity: Low,
        check: |system| any_of(system, "fs.protected_fifos", &[1, 2]),
    },
    Rule {
        id: "KERN-10",
        title: "others' files in sticky folders are not opened for writing",
        severity: Low,
        check: |system| any_of(system, "fs.protected_regular", &[1, 2]),
    },
    Rule {
        id: "KERN-11",
        title: "privileged programs leave no core that others read",
        severity: Medium,
        check: |system| any_of(system, "fs.suid_dumpable", &[0, 2]),
    },
    Rule {
        id: "KERN-12",
        title: "floods of connections are withstood",
        severity: Medium,
        check: |system| any_of(system, "net.ipv4.tcp_syncookies", &[1, 2]),
    },
    Rule {
        id: "KERN-13",
        title: "routes are not changed by others (IPv4)",
        severity: Medium,
        check: |system| any_of(system, "net.ipv4.conf.all.accept_redirects", &[0]),
    },
    Rule {
        id: "KERN-14",
        title: "routes are not changed by others (IPv6)",
        severity: Medium,
        check: |system| any_of(system, "net.ipv6.conf.all.accept_redirects", &[0]),
    },
    Rule {
        id: "KERN-15",
        title: "no redirects are sent",
        severity: Low,
        check: |system| any_of(system, "net.ipv4.conf.all.send_redirects", &[0]),
    },
    Rule {
        id: "KERN-16",
        title: "senders do not choose routes (IPv4)",
        severity: Medium,
        check: |system| any_of(system, "net.ipv4.conf.all.accept_source_route", &[0]),
    },
    Rule {
        id: "KERN-17",
        title: "senders do not choose routes (IPv6)",
        severity: Medium,
        check: |system| any_of(system, "net.ipv6.conf.all.accept_source_route", &[0, -1]),
    },
    Rule {
        id: "KERN-18",
        title: "forged senders are dropped",
        severity: Low,
        check: |system| any_of(system, "net.ipv4.conf.all.rp_filter", &[1, 2]),
    },
    Rule {
        id: "KERN-19",
        title: "pings to everybody are not answered",
        severity: Low,
        check: |system| any_of(system, "net.ipv4.icmp_echo_ignore_broadcasts", &[1]),
    },
];

/// The first of `good` is what the remedy advises.
fn any_of(system: &System<'_>, name: &str, good: &[i64]) -> Check {
    let value = match system.parameter(name) {
        Ok(value) => value,
        Err(why) => return Check::NotApplicable(why),
    };
    let seen = format!("{name} = {value}");
    if value.parse().is_ok_and(|number| good.contains(&number)) {
        return Check::Pass(seen);
    }
    let advised = good.first().copied().unwrap_or_default();
    Check::fail(seen, &format!("run `sysctl -w {name}={advised}` and keep it in /etc/sysctl.d/60-hardening.conf"))
}
