//! Rules about sshd.
//!
//! Owns sshd's defaults where a setting is not written down. A `Match` block that loosens a setting fails it too.

use orderly_plugin::Severity::{Critical, High, Low, Medium};

use crate::parse::sshd::{self, Line};
use crate::rule::{Check, Rule};
use crate::system::{Read, System};

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    Rule { id: "SSH-01", title: "root cannot log in by ssh with a password", severity: High, check: root_login },
    Rule { id: "SSH-02", title: "sshd takes keys, not passwords", severity: Medium, check: passwords },
    Rule { id: "SSH-03", title: "sshd refuses empty passwords", severity: Critical, check: empty_passwords },
    Rule { id: "SSH-04", title: "sshd does not forward X11", severity: Low, check: x11 },
    Rule { id: "SSH-05", title: "sshd allows at most 6 attempts per connection", severity: Low, check: attempts },
    Rule { id: "SSH-06", title: "sshd does not trust other hosts' users", severity: High, check: host_based },
    Rule { id: "SSH-07", title: "sshd offers no broken algorithms", severity: High, check: algorithms },
    Rule { id: "SSH-08", title: "users cannot set sshd's environment", severity: Medium, check: environment },
    Rule {
        id: "SSH-09",
        title: "sshd drops connections that do not log in within 2 minutes",
        severity: Low,
        check: grace,
    },
    Rule { id: "SSH-10", title: "sshd logs who logs in", severity: Low, check: log_level },
    Rule { id: "SSH-11", title: "sshd checks the modes of users' files", severity: Medium, check: strict_modes },
    Rule { id: "SSH-12", title: "only root can read sshd's private keys", severity: Critical, check: host_keys },
];

const FOLDER: &str = "/etc/ssh";

fn root_login(system: &System<'_>) -> Check {
    let bad = |value: &str| value.eq_ignore_ascii_case("yes");
    forbid(system, "permitrootlogin", "prohibit-password", bad, "set `PermitRootLogin prohibit-password` or `no`")
}

fn passwords(system: &System<'_>) -> Check {
    let bad = |value: &str| value.eq_ignore_ascii_case("yes");
    forbid(system, "passwordauthentication", "yes", bad, "give users keys, then set `PasswordAuthentication no`")
}

fn empty_passwords(system: &System<'_>) -> Check {
    let bad = |value: &str| value.eq_ignore_ascii_case("yes");
    forbid(system, "permitemptypasswords", "no", bad, "set `PermitEmptyPasswords no`")
}

fn x11(system: &System<'_>) -> Check {
    let bad = |value: &str| value.eq_ignore_ascii_case("yes");
    forbid(system, "x11forwarding", "no", bad, "set `X11Forwarding no`")
}

fn attempts(system: &System<'_>) -> Check {
    let bad = |value: &str| value.parse::<u32>().is_ok_and(|attempts| attempts > 6);
    forbid(system, "maxauthtries", "6", bad, "set `MaxAuthTries 4`")
}

fn host_based(system: &System<'_>) -> Check {
    let yes = |value: &str| value.eq_ignore_ascii_case("yes");
    let no = |value: &str| value.eq_ignore_ascii_case("no");
    match forbid(system, "hostbasedauthentication", "no", yes, "set `HostbasedAuthentication no`") {
        Check::Pass(first) => match forbid(system, "ignorerhosts", "yes", no, "set `IgnoreRhosts yes`") {
            Check::Pass(second) => Check::Pass(format!("{first}\n{second}")),
            other => other,
        },
        other => other,
    }
}

fn algorithms(system: &System<'_>) -> Check {
    const BROKEN: [&str; 14] = [
        "3des-cbc",
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "arcfour",
        "arcfour128",
        "arcfour256",
        "blowfish-cbc",
        "cast128-cbc",
        "hmac-md5",
        "hmac-md5-96",
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group-exchange-sha1",
        "ssh-dss",
    ];
    check(system, |lines| {
        let mut bad = Vec::new();
        for keyword in ["ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms"] {
            let Some(line) = sshd::global(lines, keyword) else { continue };
            // `-name` takes something away, `+name` and `^name` add to the defaults.
            if line.value.starts_with('-') {
                continue;
            }
            let offered = line.value.trim_start_matches(['+', '^']).split(',').map(str::trim);
            let broken = offered.filter(|name| BROKEN.contains(name)).collect::<Vec<_>>();
            if !broken.is_empty() {
                bad.push(format!("{}:{}: {keyword} offers {}", line.file, line.number, broken.join(", ")));
            }
        }
        Check::none_of(bad, "no broken algorithm is switched on", "take the named algorithms out of the lines")
    })
}

fn environment(system: &System<'_>) -> Check {
    let bad = |value: &str| !value.eq_ignore_ascii_case("no");
    forbid(system, "permituserenvironment", "no", bad, "set `PermitUserEnvironment no`")
}

fn grace(system: &System<'_>) -> Check {
    let bad = |value: &str| seconds(value).is_some_and(|seconds| seconds == 0 || seconds > 120);
    forbid(system, "logingracetime", "120", bad, "set `LoginGraceTime 60`")
}

fn log_level(system: &System<'_>) -> Check {
    let bad = |value: &str| ["quiet", "fatal", "error"].iter().any(|level| value.eq_ignore_ascii_case(level));
    forbid(system, "loglevel", "INFO", bad, "set `LogLevel INFO` or `VERBOSE`")
}

fn strict_modes(system: &System<'_>) -> Check {
    let bad = |value: &str| value.eq_ignore_ascii_case("no");
    forbid(system, "strictmodes", "yes", bad, "set `StrictModes yes`")
}

fn host_keys(system: &System<'_>) -> Check {
    let look = || -> Read<Check> {
        let Some(names) = system.names_if_there(FOLDER)? else {
            return Err(format!("{FOLDER} is not there: no ssh server is installed"));
        };
        let (mut bad, mut seen) = (Vec::new(), 0);
        for name in names.iter().filter(|name| name.starts_with("ssh_host_") && name.ends_with("_key")) {
            let path = format!("{FOLDER}/{name}");
            if let Some(metadata) = system.metadata_if_there(&path)? {
                seen += 1;
                // Group-readable for `ssh_keys` is how Red Hat's tools use them.
                let allowed = if metadata.group.as_deref() == Some("ssh_keys") { 0o640 } else { 0o600 };
                if metadata.mode & !allowed & 0o777 != 0 || metadata.uid != 0 {
                    bad.push(format!("{path}: {metadata}"));
                }
            }
        }
        if seen == 0 {
            return Err(format!("there are no private keys in {FOLDER}"));
        }
        Ok(Check::none_of(bad, format!("{seen} private keys"), "run `chmod 600` and `chown root` on the named files"))
    };
    look().into()
}

/// Fails where the global setting, or the default, or a setting in a `Match` block is bad.
fn forbid(system: &System<'_>, keyword: &str, default: &str, bad: impl Fn(&str) -> bool, remedy: &str) -> Check {
    check(system, |lines| {
        let global = sshd::global(lines, keyword);
        let value = global.map_or(default, |line| line.value.as_str());
        let seen = global.map_or_else(|| format!("{keyword} is not set, sshd's default is {default}"), Line::evidence);
        let mut failed = Vec::new();
        if bad(value) {
            failed.push(seen.clone());
        }
        failed.extend(sshd::conditional(lines, keyword).filter(|line| bad(&line.value)).map(Line::evidence));
        Check::none_of(failed, seen, &format!("{remedy} in /etc/ssh/sshd_config, then `systemctl reload ssh`"))
    })
}

fn check(system: &System<'_>, look: impl FnOnce(&[Line]) -> Check) -> Check {
    match system.sshd() {
        Ok(lines) => look(lines),
        Err(why) => Check::NotApplicable(why),
    }
}

/// sshd's times: numbers with optional units, added up.
fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut number) = (0_u64, None);
    for symbol in text.chars() {
        if let Some(digit) = symbol.to_digit(10) {
            number = Some(number.unwrap_or(0_u64).checked_mul(10)?.checked_add(u64::from(digit))?);
            continue;
        }
        let unit = match symbol.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    total.checked_add(number.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("2m"), Some(120));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("m"), None);
        assert_eq!(seconds("99999999999999999999"), None);
    }
}
