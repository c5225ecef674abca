//! Parameters and built-ins on their way into a script.
//!
//! Owns who is believed for what: the signed order for parameters, for its invocation and its command; this instance for its
//! id; the server for the rest, which is why that is never text but where it can do no harm. The grammar and the two ways are
//! the model's. Everything is done before anything runs.

use std::collections::BTreeMap;

use orderly_model::limits::CONTENT_MAX_BYTES;
use orderly_model::name::ParameterName;
use orderly_model::parameter::{ParameterSpec, Values};
use orderly_model::template::{self, BuiltIns, Substitution, Template, base64_bytes};
use orderly_signing::instance::InstanceId;
use orderly_signing::order::{Order, ScriptAction};

/// What is known of a run beside the order.
pub(crate) struct Known<'a> {
    /// This instance.
    pub me: &'a InstanceId,
    /// What the server told, unsigned: `RegionId`, `AccountId`, `InstanceName`, and `Tag::KEY` for a tag.
    pub told: &'a BTreeMap<String, String>,
}

/// A script with its values in their places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// What is run.
    pub content: Vec<u8>,
    /// The order's environment, with the values that reach the script there.
    pub environment: BTreeMap<String, String>,
}

/// Puts the values in.
///
/// # Errors
/// All that is unknown, missing or of no use, for people.
pub(crate) fn fill(
    order: &Order,
    action: &ScriptAction,
    content: Vec<u8>,
    known: &Known<'_>,
) -> Result<Filled, String> {
    let mut environment = action.environment.clone();
    if action.substitution.is_off() {
        return Ok(Filled { content, environment });
    }
    let values = values(&action.parameters)?;
    let built_ins = built_ins(order, action, known)?;
    match action.substitution {
        Substitution::Off => Ok(Filled { content, environment }),
        Substitution::Text => {
            let text = std::str::from_utf8(&content)
                .map_err(|_| "the script is not UTF-8, so nothing can be put in its placeholders".to_owned())?;
            let filled = Template::parse(text)
                .and_then(|template| template.render(&values, &built_ins, base64_bytes(CONTENT_MAX_BYTES)));
            Ok(Filled { content: filled.map_err(all)?.into_bytes(), environment })
        }
        Substitution::Environment => {
            template::refuse_placeholders(&content).map_err(all)?;
            for (name, value) in template::variables(&values, &built_ins).map_err(all)? {
                if environment.insert(name.to_string(), value).is_some() {
                    return Err(format!(
                        "the order sets the environment variable `{name}`, which a parameter or a built-in has here"
                    ));
                }
            }
            Ok(Filled { content, environment })
        }
    }
}

/// What was signed is complete: whoever signed it filled the defaults in.
fn values(given: &BTreeMap<String, String>) -> Result<Values, String> {
    let names = given.keys().map(|name| name.parse::<ParameterName>());
    let specs = names.map(|name| name.map(ParameterSpec::implied)).collect::<Result<Vec<_>, _>>();
    let specs = specs.map_err(|error| super::chain(&error))?;
    Values::resolve(&specs, given).map_err(all)
}

fn built_ins(order: &Order, action: &ScriptAction, known: &Known<'_>) -> Result<BuiltIns, String> {
    let told = |name: &str| known.told.get(name).cloned();
    let tag = |(name, value): (&String, &String)| {
        // What is no tag here could be one to a newer server.
        Some((name.strip_prefix("Tag::")?.parse().ok()?, value.parse().ok()?))
    };
    Ok(BuiltIns {
        region_id: told("RegionId"),
        account_id: told("AccountId"),
        instance_id: known.me.clone(),
        instance_name: told("InstanceName"),
        invocation_id: order.invocation.parse().map_err(|error| super::chain(&error as &dyn std::error::Error))?,
        command_id: action
            .command
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error| super::chain(&error as &dyn std::error::Error))?,
        tags: known.told.iter().filter_map(tag).collect(),
    })
}

fn all<T: ToString>(faults: Vec<T>) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
