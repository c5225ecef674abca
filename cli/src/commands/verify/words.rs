//! What an order says, in words.
//!
//! Owns the sentences. All that an order can say has its words here: who verifies one must not miss half of it.

use std::collections::BTreeMap;

use orderly_model::limits::OUTPUT_KEPT_DEFAULT_BYTES;
use orderly_signing::Digest;
use orderly_signing::order::{Action, Due, Repeat, ScriptAction, ScriptKind, Substitution, Termination};

/// Most bytes of a value that is shown as it is.
const SHOWN_MAX_BYTES: usize = 256;

/// What an order does.
pub(in crate::commands) fn action(action: &Action) -> String {
    match action {
        Action::Script(script) => self::script(script),
        Action::Plugin { name, version, component, timeout_s, .. } => {
            format!("runs the plugin `{name}` {version} ({component}) for at most {timeout_s} s")
        }
        Action::File(file) => format!(
            "puts a file of {} bytes ({}) at `{}/{}`, mode {:o}, {}",
            file.content_bytes,
            file.content,
            file.directory.trim_end_matches('/'),
            file.name,
            file.mode,
            if file.overwrite { "over one that is there" } else { "unless one is there" }
        ),
        Action::Collect(collect) => {
            format!("takes `{}`, where it has at most {} bytes", collect.path, collect.max_bytes)
        }
        Action::Stop { order, invocation } => format!("stops the order {order} of `{invocation}`"),
    }
}

/// All that an order says of a script: who verifies or signs one must not miss half of it.
fn script(script: &ScriptAction) -> String {
    // Every field by its name, so that a new one gets words.
    let ScriptAction {
        interpreter,
        content,
        content_bytes,
        user,
        cwd,
        timeout_s,
        termination,
        environment,
        output_bytes,
        command,
        substitution,
        parameters,
        launcher,
        stdin,
        resources,
        exit_effects,
        container,
    } = script;
    let kind = match interpreter {
        ScriptKind::Shell => "script",
        ScriptKind::PowerShell => "PowerShell script",
        ScriptKind::Bat => "batch file",
    };
    let user = user.as_deref().map_or("the agent's user".to_owned(), |user| format!("`{user}`"));
    let mut words = format!("runs a {kind} of {content_bytes} bytes ({content}) as {user} for at most {timeout_s} s");
    let mut add = |more: String| {
        words.push_str("; ");
        words.push_str(&more);
    };
    if let Some(command) = command {
        add(format!("kept as `{command}`"));
    }
    if let Some(cwd) = cwd {
        add(format!("in `{cwd}`"));
    }
    if !environment.is_empty() {
        add(format!("environment {}", pairs(environment)));
    }
    match substitution {
        Substitution::Off => {}
        Substitution::Text => add(format!("parameters as text: {}", pairs(parameters))),
        Substitution::Environment => add(format!("parameters as environment variables: {}", pairs(parameters))),
    }
    if let Some(launcher) = launcher {
        add(format!("started by `{launcher}`"));
    }
    if let Some(stdin) = stdin {
        add(format!("standard input {}", shown(stdin)));
    }
    if let Some(limits) = resources {
        let parts = [
            limits.cpu_percent.map(|n| format!("{n} % of a processor")),
            limits.memory_mib.map(|n| format!("{n} MiB")),
            limits.processes.map(|n| format!("{n} processes")),
        ];
        add(format!("at most {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
    }
    if let Some(container) = container {
        let parts = [&container.name, &container.id].into_iter().flatten().cloned().collect::<Vec<_>>();
        add(format!("in the container {}", parts.join(" ")));
    }
    if *exit_effects {
        add("its exit code may restart the instance or turn it off".to_owned());
    }
    if *termination == Termination::Process {
        add("what it leaves in the background lives on".to_owned());
    }
    if *output_bytes != OUTPUT_KEPT_DEFAULT_BYTES {
        add(format!("{output_bytes} bytes of its output are kept"));
    }
    words
}

/// Names with their values.
fn pairs(map: &BTreeMap<String, String>) -> String {
    if map.is_empty() {
        return "no values".to_owned();
    }
    map.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(", ")
}

/// A value in quotes; a long one by its digest, which nobody can read past.
pub(in crate::commands) fn shown(value: &str) -> String {
    if value.len() > SHOWN_MAX_BYTES {
        return format!("of {} bytes ({})", value.len(), Digest::of(value.as_bytes()));
    }
    format!("{value:?}")
}

/// When an order runs, where it is not just once.
pub(super) fn repeat(repeat: &Repeat) -> Option<String> {
    match repeat {
        Repeat::Once => None,
        Repeat::DryRun => Some("only tries: nothing runs".to_owned()),
        Repeat::Series(series) => {
            let due = match &series.due {
                Due::Frequency(frequency) => format!("at `{frequency}`"),
                Due::NextReboot => "at the next start of the instance".to_owned(),
                Due::EveryReboot => "at every start of the instance".to_owned(),
            };
            Some(format!("{due}, revision {}", series.revision))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::order::{Container, Resources};

    use super::*;

    #[test]
    fn nothing_that_a_script_is_signed_with_goes_without_words() {
        let plain = ScriptAction::new(b"x");
        let one = |value: &str| BTreeMap::from([("A".to_owned(), value.to_owned())]);
        let text = |value: &str| Some(value.to_owned());
        let changed = [
            ScriptAction { interpreter: ScriptKind::Bat, ..plain.clone() },
            ScriptAction { interpreter: ScriptKind::PowerShell, ..plain.clone() },
            ScriptAction { user: text("root"), ..plain.clone() },
            ScriptAction { cwd: text("/"), ..plain.clone() },
            ScriptAction { timeout_s: 61, ..plain.clone() },
            ScriptAction { termination: Termination::Process, ..plain.clone() },
            ScriptAction { environment: one("1"), ..plain.clone() },
            ScriptAction { environment: one("2"), ..plain.clone() },
            ScriptAction { environment: one(&"x".repeat(1000)), ..plain.clone() },
            ScriptAction { environment: one(&"y".repeat(1000)), ..plain.clone() },
            ScriptAction { output_bytes: 0, ..plain.clone() },
            ScriptAction { command: text("c-1"), ..plain.clone() },
            ScriptAction { substitution: Substitution::Text, ..plain.clone() },
            ScriptAction { substitution: Substitution::Environment, ..plain.clone() },
            ScriptAction { substitution: Substitution::Text, parameters: one("1"), ..plain.clone() },
            ScriptAction { launcher: text("python3"), ..plain.clone() },
            ScriptAction { stdin: text("1"), ..plain.clone() },
            ScriptAction { stdin: text("2"), ..plain.clone() },
            ScriptAction { resources: Some(Resources { processes: Some(1), ..Resources::default() }), ..plain.clone() },
            ScriptAction { exit_effects: true, ..plain.clone() },
            ScriptAction { container: Some(Container { id: None, name: text("web") }), ..plain.clone() },
            plain,
        ];
        let words: std::collections::BTreeSet<String> = changed.iter().map(script).collect();
        assert_eq!(words.len(), changed.len(), "{words:#?}");
    }
}
