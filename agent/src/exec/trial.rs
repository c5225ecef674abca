//! Trials: everything is checked, and what would run is told instead of run.
//!
//! Owns the words. No value of a parameter or of the environment is among them, as it could be a secret.

use std::ffi::OsStr;
use std::fmt::Write as _;

use orderly_host::output::{Keeper, Stream};
use orderly_model::task::TaskStatus;
use orderly_signing::order::Termination;

use super::Outcome;
use super::plugin::Plugin;
use super::script::Script;
use super::start;
use crate::config::Effects;

/// Bytes of the words, at most.
const KEPT_BYTES: u32 = 16 * 1024;

/// Whether what would start the script is there.
///
/// # Errors
/// A sentence that says what is not.
pub(crate) fn check(script: &Script) -> Result<(), String> {
    start::line(&script.action, &script.content, OsStr::new("script")).and_then(|line| start::is_there(&line))
}

/// What would run of a script.
pub(crate) fn script(script: &Script, effects: Option<&Effects>) -> Outcome {
    let mut told = String::new();
    let mut say = |name: &str, value: &str| {
        let _ = writeln!(told, "{name}: {value}");
    };
    let account = &script.account;
    say("user", account.name());
    say("directory", &account.directory().display().to_string());
    match start::line(&script.action, &script.content, OsStr::new("SCRIPT")) {
        Ok(line) => {
            let words = [line.program.as_os_str()].into_iter().chain(line.arguments.iter().map(AsRef::as_ref));
            let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            say("line", &words.join(" "));
        }
        Err(reason) => say("line", &format!("none: {reason}")),
    }
    say("script", &format!("{} bytes", script.content.len()));
    let names = account.environment(&script.environment).into_iter();
    let names: Vec<_> = names.map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    say("environment", &names.join(" "));
    if let Some(input) = &script.action.stdin {
        say("input", &format!("{} bytes", input.len()));
    }
    say("time", &format!("{} s", script.action.timeout_s));
    if let Some(limits) = script.action.resources {
        let limits = [
            limits.cpu_percent.map(|percent| format!("{percent} % of a processor")),
            limits.memory_mib.map(|mib| format!("{mib} MiB of memory")),
            limits.processes.map(|processes| format!("{processes} processes")),
        ];
        say("limits", &limits.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    let ended = match script.action.termination {
        Termination::Process => "the script's process",
        Termination::ProcessTree => "the script's process and all that it began",
    };
    say("ended at its end", ended);
    if let Some(effects) = effects.filter(|_| script.action.exit_effects) {
        say("exit code 193", &effects.power_off.join(" "));
        say("exit code 194", &effects.restart.join(" "));
    }
    outcome(&told)
}

/// What would run of a plugin.
pub(crate) fn plugin(plugin: &Plugin) -> Outcome {
    let mut told = String::new();
    let admitted = &plugin.admitted;
    let _ = writeln!(told, "plugin: {} {}", admitted.plugin.name, admitted.plugin.version);
    let names: Vec<_> = admitted.arguments.keys().map(String::as_str).collect();
    let _ = writeln!(told, "parameters: {}", names.join(" "));
    let _ = writeln!(told, "time: {} s", plugin.timeout.as_secs());
    let _ = writeln!(told, "tier: {}", admitted.grants.tier());
    outcome(&told)
}

fn outcome(told: &str) -> Outcome {
    let mut keeper = Keeper::new(KEPT_BYTES);
    keeper.push(Stream::Stdout, told.as_bytes());
    let reason = "a trial: everything was checked, and nothing ran";
    Outcome { output: Some(keeper.finish()), ..Outcome::without_run(TaskStatus::Success, None, reason) }
}
