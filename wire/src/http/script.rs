//! What a request says of a script besides what it is.

use std::collections::BTreeMap;

use orderly_model::command::{ContainerId, ContainerName};
use orderly_signing::order::{Container, Resources, ScriptAction, Substitution, Termination};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a script is started, what it gets, what it may use and how it ends. What is left out is as in an order that does not say
/// it: values are not put in, the interpreter's own way, no input, no limits, the whole tree ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptOptions {
    /// What is ended with it: `process-tree`, or `process` for the script's own process alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub termination: Option<Termination>,
    /// What it reads from its standard input, at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// The line of the program that starts it, such as `python3 -u {{ACS::ScriptFileName|Ext(".py")}}`; at most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// How values reach it: `off`, `environment` (as `ORDERLY_PARAM_NAME`) or `text` (pasted, as Cloud Assistant does it).
    #[serde(default, skip_serializing_if = "Substitution::is_off")]
    #[schema(value_type = String)]
    pub substitution: Substitution,
    /// Values of its parameters; none where substitution is off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Processor time, in percent of one processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// Memory, in MiB, at least 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Processes and threads at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// Whether exit code 193 powers its instance off and 194 restarts it. Such an order needs the signatures of root's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_effects: bool,
    /// The container that it runs in, by name or by id (64 hexadecimal digits), after `docker://` or nothing. Such an order needs
    /// the signatures of root's, and goes with no launcher, limits, restarting exit codes and `process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

impl ScriptOptions {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What an order says of a script with these options.
    #[must_use]
    pub fn of(&self, action: ScriptAction) -> ScriptAction {
        let resources =
            Resources { cpu_percent: self.cpu_percent, memory_mib: self.memory_mib, processes: self.processes };
        ScriptAction {
            termination: self.termination.unwrap_or(action.termination),
            stdin: self.stdin.clone(),
            launcher: self.launcher.clone(),
            substitution: self.substitution,
            parameters: self.parameters.clone(),
            resources: (resources != Resources::default()).then_some(resources),
            exit_effects: self.exit_effects,
            container: self.container.as_deref().map(named),
            ..action
        }
    }
}

/// A container by what people call it: what could be an id is one.
fn named(text: &str) -> Container {
    if let Ok(id) = text.parse::<ContainerId>() {
        return Container { id: Some(id.to_string()), name: None };
    }
    // What is no name either stays as it is, for a check to tell.
    let name = text.parse::<ContainerName>().map_or_else(|_| text.to_owned(), |name| name.to_string());
    Container { id: None, name: Some(name) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_said_leaves_an_order_as_it_is() {
        let action = ScriptAction::new(b"x");
        assert_eq!(ScriptOptions::default().of(action.clone()), action);
        assert_eq!(serde_json::to_string(&ScriptOptions::default()).unwrap(), "{}");
        let options: ScriptOptions =
            serde_json::from_str(r#"{"termination":"process","substitution":"text","memory_mib":64}"#).unwrap();
        let said = options.of(action);
        assert_eq!((said.termination, said.substitution), (Termination::Process, Substitution::Text));
        assert_eq!(said.resources.unwrap().memory_mib, Some(64));
        assert!(serde_json::from_str::<ScriptOptions>(r#"{"no-such-option":"x"}"#).is_err());
    }

    #[test]
    fn a_container_is_one_by_id_or_by_name() {
        let of = |text: &str| {
            let options = ScriptOptions { container: Some(text.to_owned()), ..ScriptOptions::default() };
            options.of(ScriptAction::new(b"x")).container.unwrap()
        };
        let id = "ab".repeat(32);
        assert_eq!(of(&format!("docker://{}", id.to_uppercase())).id, Some(format!("docker://{id}")));
        assert_eq!(of("/web-1"), Container { id: None, name: Some("web-1".to_owned()) });
    }
}
