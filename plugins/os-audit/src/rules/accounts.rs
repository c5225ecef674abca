//! Rules about accounts and groups.
//!
//! Owns which hashes are weak and which groups are as good as root. Needs `/etc/shadow` for some rules and says so
//! where it cannot be read.

use std::collections::BTreeMap;

use orderly_plugin::Severity::{Critical, High, Low, Medium};

use crate::parse::accounts::{self, Secret};
use crate::rule::{Check, Rule};
use crate::system::{Read, System};

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    Rule { id: "ACC-01", title: "only root has uid 0", severity: Critical, check: |system| uid_zero(system).into() },
    Rule {
        id: "ACC-02",
        title: "every account has a password or is locked",
        severity: Critical,
        check: |system| no_password(system).into(),
    },
    Rule {
        id: "ACC-03",
        title: "no hash of a password is readable by everybody",
        severity: High,
        check: |system| hash_in_passwd(system).into(),
    },
    Rule {
        id: "ACC-04",
        title: "no two accounts share a uid",
        severity: Medium,
        check: |system| shared_uid(system).into(),
    },
    Rule {
        id: "ACC-05",
        title: "no two accounts share a name",
        severity: Medium,
        check: |system| shared_name(system).into(),
    },
    Rule {
        id: "ACC-06",
        title: "passwords are hashed with a slow function",
        severity: High,
        check: |system| weak_hash(system).into(),
    },
    Rule {
        id: "ACC-07",
        title: "accounts of services cannot log in",
        severity: Medium,
        check: |system| service_login(system).into(),
    },
    Rule {
        id: "ACC-08",
        title: "every account's group exists",
        severity: Low,
        check: |system| missing_group(system).into(),
    },
    Rule {
        id: "ACC-09",
        title: "nobody is in a group that is as good as root",
        severity: Medium,
        check: |system| powerful_groups(system).into(),
    },
    Rule { id: "ACC-10", title: "no entries of NIS are left", severity: High, check: |system| nis(system).into() },
    Rule {
        id: "ACC-11",
        title: "new passwords are hashed with a slow function",
        severity: Medium,
        check: |system| hash_default(system).into(),
    },
];

fn uid_zero(system: &System<'_>) -> Read<Check> {
    let others = system.passwd()?.iter().filter(|account| account.uid == Some(0) && account.name != "root");
    let bad = others.map(|account| format!("/etc/passwd:{}: {} has uid 0", account.line, account.name)).collect();
    Ok(Check::none_of(bad, "root alone has uid 0", "give the account another uid, or remove it with `userdel`"))
}

fn no_password(system: &System<'_>) -> Read<Check> {
    let open = system.passwd()?.iter().filter(|account| account.password.is_empty());
    let mut bad = open
        .map(|account| format!("/etc/passwd:{}: {} has no password", account.line, account.name))
        .collect::<Vec<_>>();
    let remedy = "lock the account with `passwd -l NAME` or give it a password";
    match system.shadow() {
        Ok(secrets) => {
            let open = secrets.iter().filter(|secret| secret.hash.is_empty());
            bad.extend(open.map(|secret| format!("/etc/shadow:{}: {} has no password", secret.line, secret.name)));
        }
        // What is open in passwd is open whatever shadow says.
        Err(why) if bad.is_empty() => return Err(why),
        Err(_) => {}
    }
    Ok(Check::none_of(bad, "no account is open", remedy))
}

fn hash_in_passwd(system: &System<'_>) -> Read<Check> {
    let visible =
        system.passwd()?.iter().filter(|account| !matches!(account.password.as_str(), "" | "x" | "*" | "!" | "!!"));
    let bad = visible.map(|account| format!("/etc/passwd:{}: {}", account.line, account.name)).collect();
    Ok(Check::none_of(bad, "passwd holds no hash", "move the hashes with `pwconv`"))
}

fn shared_uid(system: &System<'_>) -> Read<Check> {
    let mut by_uid = BTreeMap::<u32, Vec<&str>>::new();
    for account in system.passwd()? {
        if let Some(uid) = account.uid {
            by_uid.entry(uid).or_default().push(&account.name);
        }
    }
    let shared = by_uid.iter().filter(|(_, names)| names.len() > 1);
    let bad = shared.map(|(uid, names)| format!("/etc/passwd: uid {uid} belongs to {}", names.join(", "))).collect();
    Ok(Check::none_of(bad, "every uid has one account", "give each account a uid of its own"))
}

fn shared_name(system: &System<'_>) -> Read<Check> {
    let mut by_name = BTreeMap::<&str, Vec<String>>::new();
    for account in system.passwd()? {
        by_name.entry(&account.name).or_default().push(account.line.to_string());
    }
    let shared = by_name.iter().filter(|(_, lines)| lines.len() > 1);
    let bad = shared.map(|(name, lines)| format!("/etc/passwd: {name} is on lines {}", lines.join(", "))).collect();
    Ok(Check::none_of(bad, "every name has one account", "remove the lines that are too many with `vipw`"))
}

fn weak_hash(system: &System<'_>) -> Read<Check> {
    let weak = system.shadow()?.iter().filter(|secret| !secret.hash.is_empty() && !secret.is_locked());
    let bad = weak
        .filter_map(|secret| Some(format!("/etc/shadow:{}: {} uses {}", secret.line, secret.name, weakness(secret)?)))
        .collect();
    Ok(Check::none_of(bad, "no weak hash is in use", "set the password anew: `passwd NAME`"))
}

/// What is wrong with the hash. Prefixes are those of crypt(5).
fn weakness(secret: &Secret) -> Option<&'static str> {
    const STRONG: [&str; 9] = ["$y$", "$gy$", "$7$", "$2a$", "$2b$", "$2x$", "$2y$", "$6$", "$5$"];
    if STRONG.iter().any(|prefix| secret.hash.starts_with(prefix)) {
        return None;
    }
    Some(match secret.hash.get(..3) {
        Some("$1$") => "MD5",
        Some("$3$") => "NT hashes",
        Some(prefix) if prefix.starts_with('$') => "an unknown function",
        _ => "DES",
    })
}

fn service_login(system: &System<'_>) -> Read<Check> {
    let secrets = system.shadow()?;
    let opens = |name: &str| secrets.iter().any(|secret| secret.name == name && !secret.is_locked());
    let services = system.passwd()?.iter().filter(|account| account.uid.is_some_and(|uid| (1..1_000).contains(&uid)));
    let bad = services
        .filter(|account| account.can_log_in() && opens(&account.name))
        .map(|account| format!("/etc/passwd:{}: {} has the shell {}", account.line, account.name, account.shell))
        .collect();
    Ok(Check::none_of(
        bad,
        "no account below uid 1000 has a password and a shell",
        "run `usermod -s /usr/sbin/nologin NAME`",
    ))
}

fn missing_group(system: &System<'_>) -> Read<Check> {
    let groups = system.groups()?;
    let known = |gid| groups.iter().any(|group| group.gid == Some(gid));
    let bad = system
        .passwd()?
        .iter()
        .filter_map(|account| Some((account, account.gid?)))
        .filter(|(_, gid)| !known(*gid))
        .map(|(account, gid)| format!("/etc/passwd:{}: {} has the unknown gid {gid}", account.line, account.name))
        .collect();
    Ok(Check::none_of(bad, "every gid is known", "add the group with `groupadd -g GID NAME`"))
}

fn powerful_groups(system: &System<'_>) -> Read<Check> {
    const POWERFUL: [&str; 8] = ["docker", "lxd", "incus-admin", "libvirt", "disk", "kmem", "shadow", "root"];
    let groups = system.groups()?.iter().filter(|group| POWERFUL.contains(&group.name.as_str()));
    let bad = groups
        .filter_map(|group| {
            let members =
                group.members.iter().filter(|member| *member != "root").map(String::as_str).collect::<Vec<_>>();
            (!members.is_empty()).then(|| format!("/etc/group:{}: {}: {}", group.line, group.name, members.join(", ")))
        })
        .collect();
    Ok(Check::none_of(bad, "no such group has members", "run `gpasswd -d NAME GROUP`, or treat the account as root's"))
}

fn nis(system: &System<'_>) -> Read<Check> {
    let old = |name: &str| name.starts_with('+');
    let accounts = system.passwd()?.iter().filter(|account| old(&account.name));
    let mut bad = accounts.map(|account| format!("/etc/passwd:{}: {}", account.line, account.name)).collect::<Vec<_>>();
    let groups = system.groups()?.iter().filter(|group| old(&group.name));
    bad.extend(groups.map(|group| format!("/etc/group:{}: {}", group.line, group.name)));
    Ok(Check::none_of(bad, "no line begins with +", "remove the lines with `vipw` and `vigr`"))
}

fn hash_default(system: &System<'_>) -> Read<Check> {
    let Some(text) = system.text_if_there("/etc/login.defs")? else {
        return Err("/etc/login.defs is not there".to_owned());
    };
    let settings = accounts::login_defs(&text);
    let Some((line, _, method)) = settings.iter().rev().find(|(_, name, _)| name == "ENCRYPT_METHOD") else {
        return Err("/etc/login.defs does not set ENCRYPT_METHOD".to_owned());
    };
    let seen = format!("/etc/login.defs:{line}: ENCRYPT_METHOD {method}");
    Ok(if ["YESCRYPT", "SHA512", "SHA256", "BCRYPT"].contains(&method.as_str()) {
        Check::Pass(seen)
    } else {
        Check::fail(seen, "set `ENCRYPT_METHOD YESCRYPT` (or SHA512) in /etc/login.defs")
    })
}
