//! A fleet of one on this machine: an operator's configuration, a server, an agent.
//!
//! Owns its folder and its two processes. Made with the programs that people use, by the lines that they would type. The
//! agent is ended before the server, as dropping does.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::text;
use crate::interrupt::Interrupt;
use crate::process::Daemon;
use crate::programs::Programs;
use crate::step;

/// How long a program may take until it is ready; a first start makes keys and databases.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// Server, agent and operator.
#[derive(Debug)]
pub(crate) struct Fleet {
    // In the order in which they are dropped: the agent's end is reported to a server that is still there.
    agent: Daemon,
    _server: Daemon,
    cli: PathBuf,
    config: PathBuf,
    url: String,
    token: String,
    // Held for as long as the folder is in use.
    _lock: File,
}

impl Fleet {
    /// Makes the folder anew, starts the server, makes the operator's keys, enrols the agent and waits for its link.
    pub(crate) fn start(programs: &Programs, agent: &Path, dir: &Path, interrupt: &Interrupt) -> Result<Self> {
        let lock = fresh(dir)?;
        let (data, config, agent_dir) = (dir.join("server"), dir.join("operator"), dir.join("agent"));
        let mut command = Command::new(&programs.server);
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
        println!("$ {}", step::shown(&command));
        let server = Daemon::start("orderly-server", &mut command, &dir.join("server.log"))?;
        let token = server
            .line(READY, "the admin token", |line| Some(line.split_once("admin token: ")?.1.trim().to_owned()))?;
        let url =
            server.line(READY, "its address", |line| Some(line.split_once("listening on ")?.1.trim().to_owned()))?;
        println!("   listening on {url}");

        private_file(&dir.join("token"), &token)?;
        let operator = Operator { cli: &programs.cli, config: &config };
        let (ca, token_file) = (data.join("ca.pem"), dir.join("token"));
        operator.tour(&[
            "config",
            "set",
            "--to-server",
            &url,
            "--to-ca",
            text(&ca)?,
            "--to-token-file",
            text(&token_file)?,
        ])?;
        operator.tour(&["trust", "init", "--fleet", "demo"])?;

        let created = operator.json(&["activation", "create", "--tag", "env=demo"])?;
        let line = created.get("line").and_then(|line| line.as_str()).context("the activation has no line")?;
        let mut enrol = Command::new(agent);
        enrol.args(line.split_whitespace().skip(1)).arg("--data-dir").arg(&agent_dir);
        println!("$ orderly-agent {}", line.split_once(' ').map_or("", |(_, rest)| rest));
        step::run(&mut enrol)?;
        let mut command = Command::new(agent);
        command.arg("run").arg("--data-dir").arg(&agent_dir);
        println!("$ {}", step::shown(&command));
        let mut agent = Daemon::start("orderly-agent", &mut command, &dir.join("agent.log"))?;
        let until = Instant::now() + READY;
        while operator.json(&["instance", "list", "--online"])?.as_array().is_none_or(Vec::is_empty) {
            agent.must_run()?;
            if Instant::now() > until {
                bail!("the agent did not link within {} s; see {}", READY.as_secs(), dir.join("agent.log").display());
            }
            interrupt.pause(Duration::from_millis(100))?;
        }
        operator.tour(&["instance", "list"])?;
        Ok(Self { agent, _server: server, cli: programs.cli.clone(), config, url, token, _lock: lock })
    }

    /// The agent's process id.
    pub(crate) fn agent_pid(&self) -> u32 {
        self.agent.pid()
    }

    /// The server's address and an API token.
    pub(crate) fn api(&self) -> (&str, &str) {
        (&self.url, &self.token)
    }

    /// The CLI's program.
    pub(crate) fn cli(&self) -> &Path {
        &self.cli
    }

    /// The operator's configuration directory.
    pub(crate) fn config_dir(&self) -> &Path {
        &self.config
    }

    /// Runs the CLI as the operator, shown as one would type it.
    pub(crate) fn tour(&self, arguments: &[&str]) -> Result<()> {
        self.operator().tour(arguments)
    }

    /// Runs the CLI as the operator and reads what it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        self.operator().json(arguments)
    }

    /// Gives a command the operator's surroundings.
    pub(crate) fn surroundings<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.operator().surroundings(command)
    }

    fn operator(&self) -> Operator<'_> {
        Operator { cli: &self.cli, config: &self.config }
    }
}

struct Operator<'a> {
    cli: &'a Path,
    config: &'a Path,
}

impl Operator<'_> {
    fn tour(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("orderly");
        println!("$ {}", step::shown(command.args(arguments)));
        step::run(self.surroundings(&mut Command::new(self.cli)).args(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let mut command = Command::new(self.cli);
        let output = self
            .surroundings(&mut command)
            // Before the words, which may be a script behind `--`.
            .args(["--output", "json", "--quiet"])
            .args(arguments)
            .output()
            .context("cannot start orderly")?;
        if !output.status.success() {
            bail!(
                "`{}` ended with {}:\n{}",
                step::shown(&command),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        serde_json::from_slice(&output.stdout).context("orderly printed no JSON")
    }

    /// Only what is configured here counts, whatever the person's own environment says.
    fn surroundings<'b>(&self, command: &'b mut Command) -> &'b mut Command {
        for name in ["ORDERLY_SERVER", "ORDERLY_TOKEN", "ORDERLY_CA"] {
            command.env_remove(name);
        }
        command.env("ORDERLY_CONFIG_DIR", self.config)
    }
}

/// Takes the folder, which no other run may be using, and empties it.
pub(crate) fn fresh(dir: &Path) -> Result<File> {
    let parent = dir.parent().context("the folder has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let lock_path = dir.with_extension("lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot make {}", lock_path.display()))?;
    if lock.try_lock().is_err() {
        bail!("another run is using {}: end it first", dir.display());
    }
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    fs::DirBuilder::new().mode(0o700).create(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(lock)
}

fn private_file(path: &Path, content: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, content.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
