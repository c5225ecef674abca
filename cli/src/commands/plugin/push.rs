//! `orderly plugin push` and `orderly plugin approve`: a package to the server, and the security team's word on it.
//!
//! Owns what an approval says. It is signed over digests that were computed or verified here, and what is approved is
//! shown before the key is used.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use orderly_model::plugin::Manifest;
use orderly_signing::approval::Approval;
use orderly_signing::keyring::{Keyring, Role};
use orderly_signing::sign::sign_approval;
use orderly_signing::verify::{verify_approval, verify_statement};
use orderly_signing::{Digest, PublicKey, Verified};
use orderly_wire::http::plugin::{PluginDetail, PluginView};
use reqwest::Method;

use crate::args::seconds;
use crate::catalogue;
use crate::client::{Client, encode};
use crate::commands::verify::{check_package, publishers};
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::output::now_ms;
use orderly_wire::package::Package;

/// Options of `plugin push`.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The package that `plugin sign` made
    package: PathBuf,
    /// Also approve it, with the vetting key that is here
    #[arg(long)]
    approve: bool,
    #[command(flatten)]
    approval: ApprovalArgs,
}

/// How an approval is signed.
#[derive(Debug, Args)]
pub(crate) struct ApprovalArgs {
    /// The vetting key: a name in `keys/`, or a path
    #[arg(long, default_value = "vetting", value_name = "KEY")]
    vetting_key: String,
    /// How long new work may begin under the approval
    #[arg(long, default_value = "365d", value_name = "SPAN", value_parser = seconds)]
    valid_for: u64,
}

impl Push {
    /// Checks the package as the server will, uploads it, and approves it where asked.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let bytes = fs::read(&self.package).or_usage(|| format!("cannot read `{}`", self.package.display()))?;
        let package =
            Package::parse(&bytes).or_usage(|| format!("`{}` is no plugin package", self.package.display()))?;
        let keyring = context.trust.need_keyring()?;
        // Here already, so that a wrong signature is told before anything is sent.
        let (statement, _) = check_package(&package, &publishers(&keyring))?;
        let client = context.client()?;
        let mut view: PluginView = client.send_bytes(Method::POST, "/v1/plugins", "application/x-tar", bytes).await?;
        as_sent(&package, view.component, view.manifest)?;
        if self.approve {
            // Nobody is asked before the key signs: it must be the package that is here, whatever the server shows.
            let said = &statement.predicate;
            let detail = catalogue::get(&client, &said.name, &said.version).await?;
            as_sent(&package, detail.view.component, Digest::of(detail.manifest_text.as_bytes()))?;
            view = approve(context, &client, &keyring, &detail, &self.approval).await?.view;
        }
        context.printer.one(&view, |printer| {
            let state = if view.approved { "approved" } else { "not yet approved" };
            printer.line(&format!("`{}` {} is on the server, {state}, tier {}", view.name, view.version, view.tier));
            if !view.approved {
                printer
                    .remark(&format!("the security team runs `orderly plugin approve {}@{}`", view.name, view.version));
            }
        });
        Ok(Exit::Success)
    }
}

/// Refuses other bytes than those of the package.
fn as_sent(package: &Package, component: Digest, manifest: Digest) -> Result<(), Failure> {
    if component == Digest::of(&package.component) && manifest == Digest::of(&package.manifest) {
        return Ok(());
    }
    Err(Failure::not_verified("the server says that it has other bytes than were sent"))
}

/// Options of `plugin approve`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The plugin, NAME@VERSION
    plugin: String,
    /// Approve without asking; needed where there is no terminal
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    approval: ApprovalArgs,
}

impl Approve {
    /// Shows what the plugin may do, and signs.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (name, version) = self
            .plugin
            .split_once('@')
            .ok_or_else(|| Failure::usage(format!("`{}` names no version", self.plugin)).hint("write NAME@VERSION"))?;
        let keyring = context.trust.need_keyring()?;
        let client = context.client()?;
        let detail = catalogue::get(&client, name, version).await?;
        let manifest = parse(&detail)?;
        context.printer.remark(&format!("`{name}` {version}: {}", manifest.summary));
        context.printer.remark(&format!("tier {}; it may:", manifest.capabilities.tier()));
        for line in catalogue::capability_lines(&manifest.capabilities) {
            context.printer.remark(&format!("  {line}"));
        }
        if !self.yes && !confirm(context)? {
            return Err(Failure::usage("it was not approved").hint("answer `yes`, or pass `--yes`"));
        }
        let detail = approve(context, &client, &keyring, &detail, &self.approval).await?;
        context.printer.one(&detail.view, |printer| printer.line(&format!("`{name}` {version} is approved")));
        Ok(Exit::Success)
    }
}

fn confirm(context: &Context) -> Result<bool, Failure> {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    context.printer.remark("type `yes` to sign the approval:");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).or_usage(|| "the answer cannot be read".to_owned())?;
    Ok(answer.trim() == "yes")
}

fn parse(detail: &PluginDetail) -> Result<Manifest, Failure> {
    Manifest::parse(&detail.manifest_text).or_not_verified(|| "the server's manifest does not parse".to_owned())
}

/// Signs the approval of a plugin whose publisher's statement verifies, and uploads it.
async fn approve(
    context: &Context,
    client: &Client,
    keyring: &Verified<Keyring>,
    detail: &PluginDetail,
    args: &ApprovalArgs,
) -> Result<PluginDetail, Failure> {
    let threshold = keyring.role(Role::Vetting).threshold;
    if threshold > 1 {
        return Err(Failure::usage(format!("the keyring wants {threshold} vetting keys under an approval"))
            .hint("this command signs with one: several must sign the very same document"));
    }
    let manifest = parse(detail)?;
    let publisher = publisher_of(detail, keyring)?;
    let key = context.keys.secret(&args.vetting_key)?;
    let now = now_ms();
    let last = match &detail.approval {
        Some(last) => verify_approval(last.to_string().as_bytes(), keyring).map_or(0, |last| last.revision),
        None => 0,
    };
    let approval = Approval {
        version: 1,
        name: manifest.name.to_string(),
        plugin_version: manifest.version.to_string(),
        component: detail.view.component,
        manifest: Digest::of(detail.manifest_text.as_bytes()),
        publishers: vec![publisher],
        capabilities: manifest.capabilities.to_canonical_json(),
        issued_ms: now,
        expires_ms: now.saturating_add(i64::try_from(args.valid_for).unwrap_or(i64::MAX).saturating_mul(1000)),
        revision: next_revision(last, now),
    };
    let envelope = sign_approval(&approval, &key).or_usage(|| "the approval cannot be signed".to_owned())?;
    let path = format!("/v1/plugins/{}/{}/approval", encode(&approval.name), encode(&approval.plugin_version));
    let _: serde_json::Value = client.send_bytes(Method::PUT, &path, "application/json", envelope.to_json()).await?;
    catalogue::get(client, &approval.name, &approval.plugin_version).await
}

/// Higher than the last, and than any that was signed earlier: a server that hides the last one must not make the next a
/// lower one.
fn next_revision(last: u64, now_ms: i64) -> u64 {
    last.saturating_add(1).max(u64::try_from(now_ms).unwrap_or(0))
}

/// The publisher of the keyring whose statement this is, about these very digests.
fn publisher_of(detail: &PluginDetail, keyring: &Verified<Keyring>) -> Result<PublicKey, Failure> {
    let statement = detail.statement.to_string();
    let signed = |key: &PublicKey| verify_statement(statement.as_bytes(), key).ok();
    for key in publishers(keyring) {
        let Some(said) = signed(&key) else { continue };
        let manifest = Digest::of(detail.manifest_text.as_bytes());
        let same = said.component() == Some(detail.view.component)
            && said.predicate.manifest == manifest
            && said.predicate.name == detail.view.name
            && said.predicate.version == detail.view.version;
        if same {
            return Ok(key);
        }
        return Err(Failure::not_verified("the publisher's statement is about other bytes than the server shows"));
    }
    Err(Failure::not_verified("the statement is by no publisher of the keyring")
        .hint("a publisher is added with `orderly trust publish --add publisher:NAME=FILE`"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn other_bytes_than_were_sent_are_not_approved() {
        let package = Package { component: b"c".to_vec(), manifest: b"m".to_vec(), statement: b"s".to_vec() };
        let (component, manifest) = (Digest::of(b"c"), Digest::of(b"m"));
        assert!(as_sent(&package, component, manifest).is_ok());
        assert!(as_sent(&package, Digest::of(b"x"), manifest).is_err());
        assert!(as_sent(&package, component, Digest::of(b"x")).is_err());
    }

    #[test]
    fn a_server_that_hides_the_last_approval_gets_no_lower_revision() {
        let first = next_revision(0, 1_764_000_000_000);
        assert!(next_revision(0, 1_764_000_000_001) > first);
        assert!(next_revision(first, 0) > first, "a clock that was set back");
    }
}
