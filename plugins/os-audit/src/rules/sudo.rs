//! Rules about sudo.
//!
//! Owns what is dangerous in sudoers. Aliases are not resolved: a tag is dangerous whoever it is for.

use orderly_plugin::Severity::{High, Low, Medium};

use crate::parse::sudoers::{Kind, Line};
use crate::rule::{Check, Rule};
use crate::system::{Read, System};

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "SUDO-01",
        title: "sudo asks for a password before everything",
        severity: High,
        check: |system| no_password(system).into(),
    },
    Rule {
        id: "SUDO-02",
        title: "authentication is not switched off in sudo",
        severity: High,
        check: |system| authentication(system).into(),
    },
    Rule {
        id: "SUDO-03",
        title: "only root and groups of administrators may do everything",
        severity: Medium,
        check: |system| everything(system).into(),
    },
    Rule {
        id: "SUDO-04",
        title: "sudo cleans the environment",
        severity: High,
        check: |system| environment(system).into(),
    },
    Rule {
        id: "SUDO-05",
        title: "no rule excludes commands from ALL",
        severity: Medium,
        check: |system| excluded(system).into(),
    },
    Rule {
        id: "SUDO-06",
        title: "sudo runs commands in a terminal of their own",
        severity: Low,
        check: |system| use_pty(system).into(),
    },
];

fn lines<'s>(system: &'s System<'_>) -> Read<&'s [Line]> {
    system
        .sudoers()
        .map_err(|why| if why == "/etc/sudoers is not there" { format!("{why}: sudo is not installed") } else { why })
}

fn grants(lines: &[Line]) -> impl Iterator<Item = (&Line, &str, &str)> {
    lines.iter().filter_map(|line| match &line.kind {
        Kind::Grant { who, what } => Some((line, who.as_str(), what.as_str())),
        _ => None,
    })
}

fn settings(lines: &[Line]) -> impl Iterator<Item = (&Line, &str)> {
    lines.iter().flat_map(|line| {
        let settings = match &line.kind {
            Kind::Defaults(settings) => settings.as_slice(),
            _ => &[],
        };
        settings.iter().map(move |setting| (line, setting.as_str()))
    })
}

fn no_password(system: &System<'_>) -> Read<Check> {
    let bad = grants(lines(system)?)
        .filter(|(_, _, what)| what.split([' ', ',', ')']).any(|word| word.starts_with("NOPASSWD:")))
        .map(|(line, _, _)| line.evidence())
        .collect();
    Ok(Check::none_of(bad, "no rule has NOPASSWD", "take `NOPASSWD:` out of the rules with `visudo`"))
}

fn authentication(system: &System<'_>) -> Read<Check> {
    let bad = settings(lines(system)?)
        .filter(|(_, setting)| *setting == "!authenticate")
        .map(|(line, _)| line.evidence())
        .collect();
    Ok(Check::none_of(bad, "no `Defaults !authenticate`", "remove `!authenticate` with `visudo`"))
}

fn everything(system: &System<'_>) -> Read<Check> {
    const ADMINISTRATORS: [&str; 5] = ["root", "%sudo", "%wheel", "%admin", "%root"];
    let bad = grants(lines(system)?)
        .filter(|(_, who, what)| !ADMINISTRATORS.contains(who) && commands(what) == "ALL")
        .map(|(line, _, _)| line.evidence())
        .collect();
    Ok(Check::none_of(bad, "nobody else may run ALL", "name the commands that they need instead of ALL with `visudo`"))
}

fn environment(system: &System<'_>) -> Read<Check> {
    const LOADERS: [&str; 4] = ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PERL5LIB"];
    let bad = settings(lines(system)?)
        .filter(|(_, setting)| {
            let kept = setting.starts_with("env_keep") && LOADERS.iter().any(|name| setting.contains(name));
            *setting == "!env_reset" || *setting == "setenv" || kept
        })
        .map(|(line, _)| line.evidence())
        .collect();
    Ok(Check::none_of(bad, "the environment is reset", "remove the settings with `visudo`"))
}

fn excluded(system: &System<'_>) -> Read<Check> {
    let bad = grants(lines(system)?)
        .filter(|(_, _, what)| {
            let commands = what.split(',').map(commands).collect::<Vec<_>>();
            commands.contains(&"ALL") && commands.iter().any(|command| command.starts_with('!'))
        })
        .map(|(line, _, _)| line.evidence())
        .collect();
    Ok(Check::none_of(
        bad,
        "no rule says `ALL, !command`",
        "a copy of the command runs anyway: list what is allowed instead",
    ))
}

fn use_pty(system: &System<'_>) -> Read<Check> {
    let set = settings(lines(system)?).filter(|(_, setting)| matches!(*setting, "use_pty" | "!use_pty")).last();
    // The default is on since sudo 1.9.14 only, and the version is not to be seen in these files.
    Ok(match set {
        Some((line, "use_pty")) => Check::Pass(line.evidence()),
        Some((line, _)) => Check::fail(line.evidence(), "set `Defaults use_pty` with `visudo`"),
        None => Check::fail("/etc/sudoers: use_pty is not set", "set `Defaults use_pty` with `visudo`"),
    })
}

/// What follows the run-as list and the tags.
fn commands(what: &str) -> &str {
    let mut rest = what.trim();
    if rest.starts_with('(') {
        rest = rest.split_once(')').map_or("", |(_, rest)| rest.trim());
    }
    while let Some((tag, after)) = rest.split_once(':') {
        if tag.is_empty() || !tag.chars().all(|symbol| symbol.is_ascii_uppercase() || symbol == '_') {
            break;
        }
        rest = after.trim();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn run_as_and_tags_are_no_commands() {
        assert_eq!(commands("(ALL:ALL) NOPASSWD: SETENV: ALL"), "ALL");
        assert_eq!(commands("ALL"), "ALL");
        assert_eq!(commands("/bin/x a:b"), "/bin/x a:b");
        assert_eq!(commands("(ALL"), "");
    }
}
