//! The command line of the server, and what follows from it.

use std::net::SocketAddr;
use std::path::PathBuf;

use orderly_model::command::{ContentLimits, ContentUse};
use orderly_model::limits::{CONTENT_LIMIT_MAX_BASE64_BYTES, SCRIPT_STORED_MAX_BASE64_BYTES};

/// The largest file where nothing else is said: 4 GiB.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// All files together where nothing else is said: 50 GiB.
const STORAGE_MAX_BYTES: u64 = 50 * 1024 * 1024 * 1024;

/// The control server of an Orderly fleet: API, dispatcher and agent links on one port.
///
/// The first start makes the keys in the data directory and prints the administrator's token once, on standard output.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "orderly-server", version)]
pub struct Config {
    /// Directory of keys, database and blobs; made with mode 0700 where it is absent.
    #[arg(long, env = "ORDERLY_SERVER_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7443", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// PostgreSQL to store in, instead of SQLite in the data directory.
    #[arg(long, env = "ORDERLY_SERVER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// A name or address by which agents and people reach the server, for its certificate; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub public_name: Vec<String>,

    /// Bytes of the largest file that is stored, to be put on instances or collected from them.
    #[arg(long, env = "ORDERLY_SERVER_FILE_MAX_BYTES", value_name = "BYTES", default_value_t = FILE_MAX_BYTES,
        value_parser = clap::value_parser!(u64).range(1..=orderly_signing::order::MAX_FILE_BYTES))]
    pub file_max_bytes: u64,

    /// Bytes of all files together; what would go beyond it is refused.
    #[arg(long, env = "ORDERLY_SERVER_STORAGE_MAX_BYTES", value_name = "BYTES", default_value_t = STORAGE_MAX_BYTES)]
    pub storage_max_bytes: u64,

    /// Bytes of the largest script of a command that is kept, of its Base64 form; up to 4 MiB.
    #[arg(long, env = "ORDERLY_SERVER_COMMAND_MAX_BYTES", value_name = "BYTES",
        default_value_t = SCRIPT_STORED_MAX_BASE64_BYTES as u32,
        value_parser = clap::value_parser!(u32).range(1..=CONTENT_LIMIT_MAX_BASE64_BYTES as i64))]
    pub command_max_bytes: u32,

    /// Days for which an invocation is kept after its last task has ended; for ever where absent.
    #[arg(long, env = "ORDERLY_SERVER_KEEP_DAYS", value_name = "DAYS",
        value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub keep_days: Option<u32>,

    /// How many invocations are kept, the newest; what has not ended, or is still referred to, stays. All where absent.
    #[arg(long, env = "ORDERLY_SERVER_KEEP_COUNT", value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_count: Option<u32>,

    /// Makes and prints another administrator's token, for when the first was lost.
    #[arg(long)]
    pub new_admin_token: bool,
}

impl Config {
    /// How large the scripts of commands that are kept may be.
    #[must_use]
    pub fn scripts(&self) -> ContentLimits {
        let usual = ContentLimits::default();
        let stored = usize::try_from(self.command_max_bytes).unwrap_or(usize::MAX);
        // The command line has taken no other value than one that is allowed.
        ContentLimits::new(stored, usual.of(ContentUse::Unsaved), usual.of(ContentUse::Upload)).unwrap_or(usual)
    }
}
