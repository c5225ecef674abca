//! What an order says, in words.
//!
//! Owns the sentences. All that an order can say has its words here: who verifies one must not miss half of it.

use orderly_signing::order::{Action, Due, Repeat, ScriptAction, Substitution};

/// What an order does.
pub(super) fn action(action: &Action) -> String {
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

/// All that an order says of a script: who verifies one must not miss half of it.
fn script(script: &ScriptAction) -> String {
    let ScriptAction { content, content_bytes, timeout_s, .. } = script;
    let user = script.user.as_deref().map_or("the agent's user".to_owned(), |user| format!("`{user}`"));
    let mut words = format!("runs a script of {content_bytes} bytes ({content}) as {user} for at most {timeout_s} s");
    let mut add = |more: String| {
        words.push_str("; ");
        words.push_str(&more);
    };
    let names = |map: &std::collections::BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>().join(", ");
    if let Some(cwd) = &script.cwd {
        add(format!("in `{cwd}`"));
    }
    if !script.environment.is_empty() {
        add(format!("environment {}", names(&script.environment)));
    }
    if !script.substitution.is_off() {
        let how = match script.substitution {
            Substitution::Text => "as text",
            _ => "as environment variables",
        };
        add(format!("parameters {how}: {}", names(&script.parameters)));
    }
    if let Some(launcher) = &script.launcher {
        add(format!("started by `{launcher}`"));
    }
    if let Some(stdin) = &script.stdin {
        add(format!("{} bytes of standard input", stdin.len()));
    }
    if let Some(limits) = script.resources {
        let parts = [
            limits.cpu_percent.map(|n| format!("{n} % of a processor")),
            limits.memory_mib.map(|n| format!("{n} MiB")),
            limits.processes.map(|n| format!("{n} processes")),
        ];
        add(format!("at most {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
    }
    if let Some(container) = &script.container {
        let parts = [&container.name, &container.id].into_iter().flatten().cloned().collect::<Vec<_>>();
        add(format!("in the container {}", parts.join(" ")));
    }
    if script.exit_effects {
        add("its exit code may restart the instance or turn it off".to_owned());
    }
    words
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
