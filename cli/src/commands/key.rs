//! `orderly key`: key files of this configuration directory.
//!
//! Owns making, listing and showing them. Never shows a secret key.

use clap::Subcommand;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::output::Tone;

/// Make and show signing keys
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key; never overwrites one
    New {
        /// Its name
        name: String,
    },
    /// List the keys that are here
    List,
    /// Show a public key: its id and its PEM
    Show {
        /// Its name, or the path of a public key file
        name: String,
    },
}

#[derive(Debug, Serialize)]
struct View {
    name: String,
    key_id: String,
    secret_here: bool,
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_pem: Option<String>,
}

impl Key {
    /// Runs the sub-command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Self::New { name } => {
                context.keys.create(&name)?;
                let view = view(context, &name, false)?;
                context.printer.one(&view, |printer| {
                    printer.line(&format!("made `{}` with the id {}", context.keys.secret_path(&name).display(), view.key_id));
                    printer.line(&format!("give `{}` to the fleet's owners, who add it with `orderly trust publish --add ROLE:{name}=FILE`", context.keys.public_path(&name).display()));
                });
            }
            Self::List => {
                let views = context
                    .keys
                    .names()?
                    .iter()
                    .map(|name| view(context, name, false))
                    .collect::<Result<Vec<_>, Failure>>()?;
                context.printer.many(&views, |printer| {
                    let rows = views.iter().map(|view| {
                        vec![
                            (view.name.clone(), Tone::Plain),
                            (view.key_id.clone(), Tone::Dim),
                            (view.roles.join(", "), Tone::Plain),
                            (if view.secret_here { "yes" } else { "public only" }.to_owned(), Tone::Plain),
                        ]
                    });
                    printer.table(&["key", "id", "roles", "secret here"], rows.collect());
                });
            }
            Self::Show { name } => {
                let view = view(context, &name, true)?;
                context.printer.one(&view, |printer| {
                    printer.line(&format!("id    {}", view.key_id));
                    printer.line(&format!(
                        "roles {}",
                        if view.roles.is_empty() { "-".to_owned() } else { view.roles.join(", ") }
                    ));
                    printer.line(view.public_pem.as_deref().unwrap_or_default().trim_end());
                });
            }
        }
        Ok(Exit::Success)
    }
}

fn view(context: &Context, name: &str, pem: bool) -> Result<View, Failure> {
    let key = context.keys.public(name)?;
    // Roles are a remark beside the key: without a keyring there are none to show.
    let keyring = context.trust.keyring().ok().flatten();
    let roles = keyring.map(|keyring| keyring.roles_of(&key.key_id())).unwrap_or_default();
    Ok(View {
        name: name.to_owned(),
        key_id: key.key_id().to_string(),
        secret_here: context.keys.has(name),
        roles: roles.into_iter().map(|role| role.to_string()).collect(),
        public_pem: pem.then(|| key.to_spki_pem()),
    })
}
