//! What a request says of a script besides what it is: checked here, so that what no instance would take is refused at once.

use orderly_model::limits::PARAMETERS_MAX;
use orderly_model::name::ParameterName;
use orderly_model::parameter::ParameterSpec;
use orderly_model::template::{self, Launcher, Substitution, Template};
use orderly_signing::order::{MAX_CPU_PERCENT, MAX_MEMORY_MIB, MAX_PROCESSES, MAX_VALUE_BYTES};
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
    values(options, content, faults);
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
