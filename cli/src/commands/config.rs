//! `orderly config`: what is configured, and where it comes from.
//!
//! Owns `config.toml`'s being written. Never shows a token.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, OrFail as _, Outcome};
use crate::keystore::make_private_dir;
use crate::output::Tone;
use crate::settings::{Ca, RawConfig, read_config, server_url};
use crate::trust::write_whole;

/// Show and set what is configured
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show what flags, environment and `config.toml` come to
    Show,
    /// Write values into `config.toml`; what is not named stays
    Set(Set),
}

/// Options of `config set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The server, such as https://127.0.0.1:7443
    #[arg(long = "to-server", value_name = "URL")]
    server: Option<String>,
    /// The server's CA: a PEM file, or its fingerprint sha256:…
    #[arg(long = "to-ca", value_name = "FILE|FINGERPRINT")]
    ca: Option<String>,
    /// A file that holds the API token
    #[arg(long = "to-token-file", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The key that signs orders: a name in `keys/`, or a path
    #[arg(long = "to-operator-key", value_name = "KEY")]
    operator_key: Option<String>,
}

#[derive(Debug, Serialize)]
struct View {
    config_dir: PathBuf,
    server: Option<String>,
    ca: Option<String>,
    token: bool,
    operator_key: String,
    operator_key_here: bool,
    root: Option<String>,
}

impl Config {
    /// Runs the sub-command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Show => show(context),
            Self::Set(set) => set.run(context),
        }
    }
}

impl Set {
    fn run(self, context: &Context) -> Outcome {
        let old = read_config(&context.settings.dir)?;
        let server = self.server.map(|text| server_url(&text)).transpose()?;
        let new = RawConfig {
            server: server.or(old.server),
            ca: self.ca.map(|text| absolute_unless_fingerprint(&text)).or(old.ca),
            token_file: self.token_file.map(absolute).or(old.token_file),
            operator_key: self.operator_key.or(old.operator_key),
        };
        let text = toml::to_string(&new).or_usage(|| "the values cannot be written as TOML".to_owned())?;
        make_private_dir(&context.settings.dir)?;
        write_whole(&context.settings.config_file(), text.as_bytes())?;
        context.printer.remark(&format!("wrote `{}`", context.settings.config_file().display()));
        Ok(Exit::Success)
    }
}

/// A path that means the same from every working directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn absolute_unless_fingerprint(text: &str) -> String {
    if text.starts_with("sha256:") { text.to_owned() } else { absolute(PathBuf::from(text)).display().to_string() }
}

fn show(context: &Context) -> Outcome {
    let settings = &context.settings;
    let view = View {
        config_dir: settings.dir.clone(),
        server: settings.server.clone(),
        ca: settings.ca.as_ref().map(|ca| match ca {
            Ca::File(path) => path.display().to_string(),
            Ca::Fingerprint(digest) => digest.to_string(),
        }),
        token: settings.token.is_some(),
        operator_key: settings.operator_key.clone(),
        operator_key_here: context.keys.has(&settings.operator_key),
        root: context.trust.pin()?.map(|pin| pin.to_string()),
    };
    context.printer.one(&view, |printer| {
        let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let here = |here: bool| if here { "yes" } else { "no" };
        let rows = [
            ("directory", view.config_dir.display().to_string()),
            ("server", or_dash(&view.server)),
            ("its CA", or_dash(&view.ca)),
            ("token", here(view.token).to_owned()),
            ("operator key", format!("{} (here: {})", view.operator_key, here(view.operator_key_here))),
            ("pinned root", or_dash(&view.root)),
        ];
        printer.table(
            &["", ""],
            rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect(),
        );
    });
    Ok(Exit::Success)
}
