//! Plugins as the server lists them, and what of it is believed.
//!
//! Owns the choice of a version and the check of a plugin's digests against the security team's approval. Never trusts
//! a tier or a digest of the server where a signature follows from it.

use std::collections::BTreeMap;

use orderly_model::Tier;
use orderly_model::capability::{Capabilities, RunAs};
use orderly_model::name::PluginVersion;
use orderly_model::parameter;
use orderly_model::plugin::Manifest;
use orderly_signing::keyring::{Keyring, Requirement};
use orderly_signing::verify::verify_plugin;
use orderly_signing::{Digest, Verified};
use orderly_wire::http::plugin::{PluginDetail, PluginView};

use crate::client::{Client, encode};
use crate::error::{Failure, OrFail as _};
use crate::output::now_ms;

/// Finds `NAME` or `NAME@VERSION`; without a version the newest approved one.
///
/// # Errors
/// There is none.
pub(crate) async fn find(client: &Client, text: &str) -> Result<PluginDetail, Failure> {
    match text.split_once('@') {
        Some((name, version)) if name.is_empty() || version.is_empty() => {
            Err(Failure::usage(format!("`{text}` is no plugin")).hint("write NAME, or NAME@VERSION"))
        }
        Some((name, version)) => get(client, name, version).await,
        None => {
            let newest = newest_approved(client.all("/v1/plugins").await?, text)?;
            get(client, &newest.name, &newest.version).await
        }
    }
}

/// Gets one version with its documents.
///
/// # Errors
/// There is none, or the server answers with another: a key that is here might sign that one.
pub(crate) async fn get(client: &Client, name: &str, version: &str) -> Result<PluginDetail, Failure> {
    let detail = client.get(&format!("/v1/plugins/{}/{}", encode(name), encode(version))).await?;
    as_asked(detail, name, version)
}

fn as_asked(detail: PluginDetail, name: &str, version: &str) -> Result<PluginDetail, Failure> {
    let view = &detail.view;
    if view.name == name && view.version == version {
        return Ok(detail);
    }
    Err(Failure::not_verified(format!(
        "asked for `{name}` {version}, the server answered with `{}` {}",
        view.name.escape_debug(),
        view.version.escape_debug()
    )))
}

fn newest_approved(plugins: Vec<PluginView>, name: &str) -> Result<PluginView, Failure> {
    let named: Vec<PluginView> = plugins.into_iter().filter(|view| view.name == name).collect();
    if named.is_empty() {
        return Err(Failure::usage(format!("there is no plugin `{name}`"))
            .hint("`orderly plugin list` names them; `orderly plugin push` uploads one"));
    }
    named
        .into_iter()
        .filter(|view| view.approved)
        .filter_map(|view| Some((view.version.parse::<PluginVersion>().ok()?, view)))
        .max_by(|one, other| one.0.cmp(&other.0))
        .map(|(_, view)| view)
        .ok_or_else(|| {
            Failure::usage(format!("no version of the plugin `{name}` is approved yet"))
                .hint(format!("the security team runs `orderly plugin approve {name}@VERSION`"))
        })
}

/// Whether the fleet's policy asks for a person's signature. A tier that this version does not know does.
pub(crate) fn needs_operator(keyring: &Keyring, view: &PluginView) -> bool {
    let tier = Tier::ALL.into_iter().find(|tier| tier.as_str() == view.tier);
    tier.is_none_or(|tier| keyring.requirement(tier) != Requirement::Dispatch)
}

/// Checks that the plugin's digests are those of an approval by the security team, and that its publisher says the same.
///
/// # Errors
/// There is no approval, or something is not as the signatures say.
pub(crate) fn check_approved(found: &PluginDetail, keyring: &Verified<Keyring>) -> Result<(), Failure> {
    let (name, version) = (&found.view.name, &found.view.version);
    let approval = found.approval.as_ref().ok_or_else(|| {
        Failure::usage(format!("the plugin `{name}` {version} is not approved yet"))
            .hint(format!("the security team runs `orderly plugin approve {name}@{version}`"))
    })?;
    let manifest = found.manifest_text.as_bytes();
    let statement = found.statement.to_string();
    let plugin = verify_plugin(
        None,
        keyring,
        found.view.component,
        manifest,
        statement.as_bytes(),
        approval.to_string().as_bytes(),
        now_ms(),
    )
    .or_not_verified(|| format!("the server's plugin `{name}` {version} is not what was approved"))?;
    if plugin.name != *name || plugin.version != *version || found.view.manifest != Digest::of(manifest) {
        return Err(Failure::not_verified(format!(
            "asked for `{name}` {version}, the server's documents are about `{}` {}",
            plugin.name, plugin.version
        )));
    }
    Ok(())
}

/// The manifest of a plugin on the server.
///
/// # Errors
/// It does not parse: it was made for another release.
pub(crate) fn manifest(found: &PluginDetail) -> Result<Manifest, Failure> {
    Manifest::parse(&found.manifest_text).or_setup(|| {
        format!("the manifest of `{}` {} cannot be read by this release", found.view.name, found.view.version)
    })
}

/// The values of a plugin's parameters, where its manifest says which there are: all faults are told before anything
/// is signed. Where it does not, only the plugin itself can tell, on the instance.
///
/// # Errors
/// A parameter is not declared, missing, or its value does not fit.
pub(crate) fn check_parameters(manifest: &Manifest, given: &BTreeMap<String, String>) -> Result<(), Failure> {
    let Some(specs) = &manifest.parameters else {
        return Ok(());
    };
    let Err(faults) = parameter::resolve(specs, given) else {
        return Ok(());
    };
    let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let known =
        if names.is_empty() { "it takes no parameters".to_owned() } else { format!("it takes {}", names.join(", ")) };
    Err(Failure::usage(format!("the parameters of `{}` are not right:{}", manifest.name, lines.concat())).hint(known))
}

/// What capabilities allow, a line each.
pub(crate) fn capability_lines(capabilities: &Capabilities) -> Vec<String> {
    fn each<T: ToString>(what: &str, things: &[T]) -> Vec<String> {
        things.iter().map(|thing| format!("{what} {}", thing.to_string())).collect()
    }
    let mut lines = each("read", &capabilities.files_read);
    if capabilities.files_privileged {
        lines.push("read these past permissions, as root would".to_owned());
    }
    lines.extend(each("read and write", &capabilities.files_write));
    lines.extend(each("send", &capabilities.http));
    lines.extend(each("start", &capabilities.process));
    lines.extend(each("see the environment variable", &capabilities.environment));
    let flags = [
        (capabilities.clock, "see the real time"),
        (capabilities.random, "get random bytes"),
        (capabilities.facts, "see the instance's facts and tags"),
        (capabilities.mounts, "see the mounted file systems"),
    ];
    lines.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, line)| line.to_owned()));
    if capabilities.user != RunAs::Unprivileged {
        lines.push(format!("run as the user {}", capabilities.user));
    }
    if lines.is_empty() {
        lines.push("nothing but log and report".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn another_plugin_under_the_name_that_was_asked_for() {
        let view = PluginView {
            name: "wipe-logs".to_owned(),
            version: "1.0.0".to_owned(),
            summary: String::new(),
            component: Digest::ZERO,
            component_bytes: 0,
            manifest: Digest::ZERO,
            publisher: String::new(),
            approved: true,
            capabilities: vec![],
            tier: "plugin-write".to_owned(),
            created_ms: 0,
        };
        let answer = || PluginDetail {
            view: view.clone(),
            manifest_text: String::new(),
            statement: serde_json::Value::Null,
            approval: None,
        };
        assert!(as_asked(answer(), "wipe-logs", "1.0.0").is_ok());
        for (name, version) in [("disk-report", "1.0.0"), ("wipe-logs", "1.0.1")] {
            let failure = as_asked(answer(), name, version).unwrap_err();
            assert_eq!(failure.exit() as i32, 6);
            assert!(failure.to_string().contains("answered with `wipe-logs` 1.0.0"), "{failure}");
        }
    }
}
