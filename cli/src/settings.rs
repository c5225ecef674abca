//! What the configuration file, the environment and the flags come to.
//!
//! Owns `config.toml` and the rule that flags win over the environment and the environment over the file. A value
//! that cannot be used is an error, never a fallback. Never opens a connection.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use orderly_signing::Digest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::args::GlobalArgs;
use crate::env;
use crate::error::{Failure, OrFail as _};

/// The file's name inside the configuration directory.
pub(crate) const CONFIG_FILE: &str = "config.toml";

/// The operator's key where neither flag nor file names one.
pub(crate) const OPERATOR_KEY_DEFAULT: &str = "operator";

/// `config.toml`, as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    /// The server, such as `https://127.0.0.1:7443`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// The server's CA: a PEM file (relative to this file), or its fingerprint `sha256:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// A file that holds the API token (relative to this file).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// The key that signs orders: a name in `keys/`, or a path. `operator` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator_key: Option<String>,
}

/// How the server's certificate is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ca {
    /// By this CA certificate, a PEM file.
    File(PathBuf),
    /// By a CA certificate in the server's chain whose DER has this SHA-256.
    Fingerprint(Digest),
}

/// A secret that never shows in logs or errors.
#[derive(Clone)]
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// The secret, for the one header that carries it.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a command works with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Configuration, keys and trust.
    pub(crate) dir: PathBuf,
    /// The server without a slash at its end, where one is configured.
    pub(crate) server: Option<String>,
    /// How to recognise it.
    pub(crate) ca: Option<Ca>,
    /// The API token.
    pub(crate) token: Option<Token>,
    /// The key that signs orders: a name or a path.
    pub(crate) operator_key: String,
}

impl Settings {
    /// Puts flags (which clap has merged with the environment) over the file.
    ///
    /// # Errors
    /// The file is there and cannot be read or has an unknown key; a value cannot be used.
    pub(crate) fn load(args: &GlobalArgs) -> Result<Self, Failure> {
        let dir = match &args.config_dir {
            Some(dir) => dir.clone(),
            None => default_dir()?,
        };
        let raw = read_config(&dir)?;
        let server = args.server.clone().or(raw.server).map(|text| server_url(&text)).transpose()?;
        let ca = match (&args.ca, &raw.ca) {
            (Some(text), _) => Some(ca(text, None)?),
            (None, Some(text)) => Some(ca(text, Some(&dir))?),
            (None, None) => None,
        };
        let token = match (&args.token_file, std::env::var(env::TOKEN), &raw.token_file) {
            (Some(file), _, _) => Some(read_token(file)?),
            (None, Ok(text), _) => Some(token(text, env::TOKEN)?),
            (None, Err(std::env::VarError::NotUnicode(_)), _) => {
                return Err(Failure::setup(format!("`{}` holds no text", env::TOKEN)));
            }
            (None, Err(_), Some(file)) => Some(read_token(&dir.join(file))?),
            (None, Err(_), None) => None,
        };
        let operator_key = raw.operator_key.unwrap_or_else(|| OPERATOR_KEY_DEFAULT.to_owned());
        Ok(Self { dir, server, ca, token, operator_key })
    }

    /// The path of `config.toml`.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.join(CONFIG_FILE)
    }
}

/// Reads `config.toml` of a directory; one that is not there says nothing.
///
/// # Errors
/// It cannot be read, or does not parse.
pub(crate) fn read_config(dir: &Path) -> Result<RawConfig, Failure> {
    let path = dir.join(CONFIG_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)
            .or_setup(|| format!("`{}` does not parse", path.display()))
            .map_err(|failure| failure.hint("it may hold `server`, `ca`, `token_file` and `operator_key`, all texts")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(RawConfig::default()),
        Err(error) => Err(Failure::setup(format!("cannot read `{}`", path.display())).because(error)),
    }
}

fn default_dir() -> Result<PathBuf, Failure> {
    let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    home("XDG_CONFIG_HOME")
        .or_else(|| home("HOME").map(|home| home.join(".config")))
        .map(|dir| dir.join("orderly"))
        .ok_or_else(|| {
            Failure::setup("there is no home directory to keep the configuration in")
                .hint(format!("set `{}` or pass `--config-dir`", env::CONFIG_DIR))
        })
}

/// Checks a server's address: `https`, a host, no path. Without TLS there is nothing to pin, so `http` is refused.
pub(crate) fn server_url(text: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::setup(format!("the server `{text}` cannot be used: {why}"))
            .hint("write it such as `https://127.0.0.1:7443`")
    };
    let uri: http::Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(wrong("it must begin with `https://`"));
    }
    if uri.host().is_none_or(str::is_empty) || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("it must be a host and a port, without a path"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn ca(text: &str, relative_to: Option<&Path>) -> Result<Ca, Failure> {
    if text.starts_with("sha256:") {
        let digest = text.parse().or_setup(|| format!("the CA fingerprint `{text}` cannot be used"))?;
        return Ok(Ca::Fingerprint(digest));
    }
    let path = PathBuf::from(text);
    Ok(Ca::File(relative_to.map_or(path.clone(), |dir| dir.join(path))))
}

fn read_token(path: &Path) -> Result<Token, Failure> {
    let text = fs::read_to_string(path).or_setup(|| format!("cannot read the token file `{}`", path.display()))?;
    token(text, &path.display().to_string())
}

fn token(text: String, origin: &str) -> Result<Token, Failure> {
    let text = Zeroizing::new(text);
    let trimmed = text.trim();
    if trimmed.is_empty() || !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::setup(format!("`{origin}` holds no token"))
            .hint("a token is one word such as `ort_…`; `orderly token create` makes one"));
    }
    Ok(Token(Zeroizing::new(trimmed.to_owned())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn args(dir: &Path) -> GlobalArgs {
        GlobalArgs { config_dir: Some(dir.to_owned()), ..GlobalArgs::default() }
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CONFIG_FILE), "server = \"https://a:1\"\nca = \"ca.pem\"\ntoken_file = \"token\"")
            .unwrap();
        fs::write(dir.path().join("token"), "ort_one\n").unwrap();
        let settings = Settings::load(&args(dir.path())).unwrap();
        assert_eq!(settings.server.as_deref(), Some("https://a:1"));
        assert_eq!(settings.ca, Some(Ca::File(dir.path().join("ca.pem"))));
        assert_eq!(settings.token.as_ref().map(Token::secret), Some("ort_one"));
        let flags = GlobalArgs { server: Some("https://b:2/".to_owned()), ..args(dir.path()) };
        assert_eq!(Settings::load(&flags).unwrap().server.as_deref(), Some("https://b:2"));
    }

    #[test]
    fn an_unknown_key_is_an_error_and_an_absent_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Settings::load(&args(dir.path())).unwrap().server.is_none());
        fs::write(dir.path().join(CONFIG_FILE), "sever = \"https://a:1\"").unwrap();
        let failure = Settings::load(&args(dir.path())).unwrap_err();
        assert!(failure.causes()[0].contains("sever"), "{:?}", failure.causes());
    }

    #[test]
    fn only_https_without_a_path_is_a_server() {
        for bad in ["http://a", "a:1", "https://", "https://a/v1", "https://a?x=1", ""] {
            assert!(server_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_never_shows() {
        let token = token("ort_secret".to_owned(), "x").unwrap();
        assert!(!format!("{token:?}").contains("secret"));
    }
}
