//! Options that every command takes, and the readers of values that several commands share.
//!
//! Owns the texts of their help and their spelling. Never reads a file or the environment beyond what clap does.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use orderly_model::limits;

use crate::env;

/// How results are written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line, as soon as it is known.
    Jsonl,
}

/// Options of every command. Flags win over the environment, the environment over `config.toml`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalArgs {
    /// The server, such as https://127.0.0.1:7443
    #[arg(long, global = true, env = env::SERVER, value_name = "URL")]
    pub(crate) server: Option<String>,

    /// The server's CA: a PEM file, or its fingerprint sha256:…
    #[arg(long, global = true, env = env::CA, value_name = "FILE|FINGERPRINT")]
    pub(crate) ca: Option<String>,

    /// A file that holds the API token; the token itself can be in ORDERLY_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// The directory of configuration, keys and trust
    #[arg(long, global = true, env = env::CONFIG_DIR, value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,

    /// How results are written
    #[arg(long, short = 'o', global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,

    /// Say nothing beside results and errors
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
}

/// Reads `KEY=VALUE`. The key must not be empty; the value may hold further `=`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Reads a time span such as `90`, `90s`, `15m`, `4h`, `7d`, in seconds; a bare number is seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time span: write a whole number with s, m, h or d, such as 90s or 4h");
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, 's'),
    };
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// Reads how long a task may run, in seconds, within what an order may ask.
pub(crate) fn timeout(text: &str) -> Result<u32, String> {
    within(text, limits::TIMEOUT_MAX_S)
}

/// Reads within which time an order must be accepted, in seconds, within what an order may ask.
pub(crate) fn deadline(text: &str) -> Result<u32, String> {
    within(text, limits::DELIVERY_DEADLINE_MAX_S)
}

/// As [`seconds`], from one second to `max`.
fn within(text: &str, max: u32) -> Result<u32, String> {
    match u32::try_from(seconds(text)?) {
        Ok(0) => Err("at least one second is needed".to_owned()),
        Ok(seconds) if seconds <= max => Ok(seconds),
        _ => Err(format!("`{text}` is too long: at most {}h are allowed", max / 3600)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn time_spans() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("4h"), Ok(14_400));
        assert_eq!(seconds("7d"), Ok(604_800));
        for bad in ["", "s", "-1s", "1.5h", "1w", "é", "99999999999999999999s", "9999999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_time_out_and_no_deadline_beyond_what_an_order_may_ask() {
        assert_eq!(timeout("1"), Ok(1));
        assert!(timeout("0s").is_err());
        assert_eq!(timeout("24h"), Ok(limits::TIMEOUT_MAX_S));
        assert_eq!(timeout("25h").unwrap_err(), "`25h` is too long: at most 24h are allowed");
        assert_eq!(deadline("7d"), Ok(limits::DELIVERY_DEADLINE_MAX_S));
        assert!(deadline("8d").is_err() && deadline("99999999d").is_err());
    }

    #[test]
    fn pairs() {
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(key_value("a="), Ok(("a".to_owned(), String::new())));
        assert!(key_value("=b").is_err());
        assert!(key_value("a").is_err());
    }
}
