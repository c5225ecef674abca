//! What a request says of a script besides what it is: checked here, so that what no instance would take is refused at once.

use orderly_model::command::{ContainerId, ContainerName};
use orderly_model::limits::PARAMETERS_MAX;
use orderly_model::name::ParameterName;
use orderly_model::parameter::ParameterSpec;
use orderly_model::template::{self, Launcher, Substitution, Template};
use orderly_signing::order::{MAX_CPU_PERCENT, MAX_MEMORY_MIB, MAX_PROCESSES, MAX_VALUE_BYTES, Termination};
use orderly_wire::http::script::ScriptOptions;

use super::Faults;

/// Faults of one script's placeholders that an answer lists.
const LISTED: usize = 5;

/// Checks the options of a script with this content.
pub(super) fn check(options: &ScriptOptions, content: &[u8], faults: &mut Faults) {
    if options.stdin.as_ref().is_some_and(|input| input.len() > MAX_VALUE_BYTES) {
        faults.add("options.stdin", format!("has more than {MAX_VALUE_BYTES} bytes"));
    }
    if let Some(Err(error)) = options.launcher.as_deref().map(str::parse::<Launcher>) {
        faults.add("options.launcher", error.to_string());
    }
    let limits = [
        ("options.cpu_percent", options.cpu_percent, 1, MAX_CPU_PERCENT),
        ("options.memory_mib", options.memory_mib, 4, MAX_MEMORY_MIB),
        ("options.processes", options.processes, 1, MAX_PROCESSES),
    ];
    for (field, value, least, most) in limits {
        if let Some(value) = value {
            faults.within(field, value, least, most);
        }
    }
    container(options, faults);
    values(options, content, faults);
}

/// Nothing of an order is left out in a container: what does not go with one is refused.
fn container(options: &ScriptOptions, faults: &mut Faults) {
    let Some(text) = &options.container else { return };
    if let (Err(_), Err(error)) = (text.parse::<ContainerId>(), text.parse::<ContainerName>()) {
        faults.add("options.container", error.to_string());
    }
    let foreign = [
        ("options.launcher", options.launcher.is_some()),
        ("options.cpu_percent", options.cpu_percent.is_some()),
        ("options.memory_mib", options.memory_mib.is_some()),
        ("options.processes", options.processes.is_some()),
        ("options.exit_effects", options.exit_effects),
        ("options.termination", options.termination == Some(Termination::Process)),
    ];
    for (field, _) in foreign.into_iter().filter(|(_, is_there)| *is_there) {
        faults.add(field, "does not go with a container");
    }
}

fn values(options: &ScriptOptions, content: &[u8], faults: &mut Faults) {
    if options.parameters.len() > PARAMETERS_MAX {
        faults.add("options.parameters", format!("has more than {PARAMETERS_MAX} values"));
    }
    for (name, value) in &options.parameters {
        let field = format!("options.parameters.{}", name.escape_debug());
        if let Err(error) = name.parse::<ParameterName>() {
            faults.add(&field, error.to_string());
        }
        if value.len() > MAX_VALUE_BYTES || value.contains('\0') {
            faults.add(&field, format!("must have at most {MAX_VALUE_BYTES} bytes, none of them zero"));
        }
    }
    let wrong = match options.substitution {
        Substitution::Off if options.parameters.is_empty() => return,
        Substitution::Off => {
            return faults.add("options.parameters", "reach no script: say `environment` or `text` as `substitution`");
        }
        Substitution::Environment => template::refuse_placeholders(content),
        Substitution::Text => match std::str::from_utf8(content) {
            Ok(text) => Template::parse(text).and_then(|template| complete(&template, options)),
            Err(_) => return faults.add("content", "is not UTF-8, so nothing can be put in its placeholders"),
        },
    };
    for fault in wrong.err().into_iter().flatten().take(LISTED) {
        faults.add("content", fault.to_string());
    }
}

/// Each placeholder has its value; more values than placeholders do no harm.
fn complete(template: &Template, options: &ScriptOptions) -> Result<(), Vec<template::TemplateFault>> {
    let given = options.parameters.keys().filter_map(|name| name.parse::<ParameterName>().ok());
    let specs: Vec<_> = given.map(ParameterSpec::implied).collect();
    template.check(&specs)
}
