//! The environment variables that `orderly` reads: all of them, in one list.
//!
//! Owns their names. Never reads one; `settings` and `output` do.

/// The directory of configuration, keys and trust; `~/.config/orderly` where absent.
pub(crate) const CONFIG_DIR: &str = "ORDERLY_CONFIG_DIR";

/// The server, such as `https://127.0.0.1:7443`.
pub(crate) const SERVER: &str = "ORDERLY_SERVER";

/// The API token itself, `ort_…`.
pub(crate) const TOKEN: &str = "ORDERLY_TOKEN";

/// The server's CA: the path of its certificate in PEM, or its fingerprint `sha256:…`.
pub(crate) const CA: &str = "ORDERLY_CA";

/// Turns colour off where it is set to anything (no-color.org).
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// Who is at the terminal; told to the server as part of the principal, never believed by anybody.
pub(crate) const USER: &str = "USER";

/// How many columns tables may take, where it is set; the terminal's else.
pub(crate) const COLUMNS: &str = "COLUMNS";
