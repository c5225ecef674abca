//! `agent.toml`: what the owner of this instance decides about it.
//!
//! Owns the file's form and its defaults. It can only narrow what the fleet's policy allows. Read once at the start; an
//! unknown name, a value out of range and a file that others may write are refused, all faults at once, and never
//! replaced by a default.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orderly_model::effect::Effect;
use orderly_model::policy::LocalPolicy;
use serde::Deserialize;

/// The file's name in the data directory.
pub(crate) const NAME: &str = "agent.toml";

/// The configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("configuration `{path}` cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may change it.
    #[error("configuration `{path}` may be written by others than root and the agent's user: `chown` it to one of them and `chmod go-w {path}`", path = path.display())]
    Writable {
        /// The file.
        path: PathBuf,
    },
    /// It does not parse.
    #[error("configuration `{path}` is refused:\n{told}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        told: String,
    },
    /// Values are out of range.
    #[error("configuration `{path}` is refused:\n{}", faults.join("\n"), path = path.display())]
    Faults {
        /// The file.
        path: PathBuf,
        /// Every fault.
        faults: Vec<String>,
    },
}

/// As people write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    heartbeat_s: Option<u64>,
    wasmc: Option<PathBuf>,
    running_max: Option<usize>,
    queued_max: Option<usize>,
    grace_s: Option<u64>,
    effects: Option<RawEffects>,
    containers: Option<RawContainers>,
    policy: Option<LocalPolicy>,
}

/// What exit codes do, as people write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEffects {
    enabled: Option<bool>,
    power_off: Option<Vec<String>>,
    restart: Option<Vec<String>>,
}

/// Containers, as people write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContainers {
    enabled: Option<bool>,
    docker: Option<PathBuf>,
}

/// Containers, as the owner of this instance lets orders use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Containers {
    /// Whether orders may run scripts in containers.
    pub enabled: bool,
    /// The socket of the Docker Engine API.
    pub docker: PathBuf,
}

/// The programs by which exit codes power off and restart this instance, each with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Powers it off.
    pub power_off: Vec<String>,
    /// Restarts it.
    pub restart: Vec<String>,
}

impl Effects {
    /// The line that carries this out.
    pub(crate) fn line(&self, effect: Effect) -> &[String] {
        match effect {
            Effect::PowerOff => &self.power_off,
            Effect::Restart => &self.restart,
        }
    }
}

/// As the agent uses it.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Time between heart-beats; the server's wish where absent.
    pub heartbeat: Option<Duration>,
    /// The program that compiles plugins.
    pub wasmc: PathBuf,
    /// Tasks that run at the same time.
    pub running_max: usize,
    /// Accepted tasks that wait for their turn.
    pub queued_max: usize,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// What exit codes do; nothing where the owner of this instance lets them do nothing.
    pub effects: Option<Effects>,
    /// What orders may do in containers.
    pub containers: Containers,
    /// What is allowed on this instance.
    pub policy: LocalPolicy,
}

impl Config {
    /// Reads the file; where it is absent all defaults hold, unless the command line named it.
    ///
    /// # Errors
    /// It cannot be read, others may write it, or it is not right.
    pub(crate) fn load(path: &Path, named: bool) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => String::new(),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        let own = rustix::process::geteuid().as_raw();
        let foreign = |metadata: &std::fs::Metadata| ![0, own].contains(&metadata.uid());
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o022 != 0 || foreign(&metadata)) {
            return Err(ConfigError::Writable { path: path.to_owned() });
        }
        Self::parse(&text).map_err(|fault| match fault {
            Fault::Parse(told) => ConfigError::Parse { path: path.to_owned(), told },
            Fault::Values(faults) => ConfigError::Faults { path: path.to_owned(), faults },
        })
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| Fault::Parse(error.to_string()))?;
        let mut faults = Vec::new();
        let mut within = |name: &str, value: Option<u64>, least: u64, most: u64| {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                faults.push(format!("`{name}` is {value}, write {least} to {most}"));
            }
        };
        let count = |value: Option<usize>| value.map(|value| value as u64);
        within("heartbeat_s", raw.heartbeat_s, 1, 3600);
        within("running_max", count(raw.running_max), 1, 64);
        within("queued_max", count(raw.queued_max), 0, 1000);
        within("grace_s", raw.grace_s, 0, 300);
        if let Some(wasmc) = raw.wasmc.as_ref().filter(|wasmc| !wasmc.is_absolute()) {
            faults.push(format!("`wasmc` is `{}`, write an absolute path", wasmc.display()));
        }
        let effects = raw.effects.unwrap_or_default();
        let line = |given: Option<Vec<String>>, way: &str| {
            given.unwrap_or_else(|| ["/sbin/shutdown", way, "now"].map(str::to_owned).to_vec())
        };
        let enabled = effects.enabled.unwrap_or(true);
        let lines = Effects { power_off: line(effects.power_off, "-h"), restart: line(effects.restart, "-r") };
        for (name, line) in [("power_off", &lines.power_off), ("restart", &lines.restart)] {
            let absolute = line.first().is_some_and(|program| Path::new(program).is_absolute());
            if !absolute || line.len() > 64 || line.iter().any(|word| word.contains('\0')) {
                faults.push(format!(
                    "`effects.{name}` is {line:?}, write a program's absolute path and up to 63 arguments"
                ));
            }
        }
        let containers = raw.containers.unwrap_or_default();
        let containers = Containers {
            enabled: containers.enabled.unwrap_or(true),
            docker: containers.docker.unwrap_or_else(|| "/var/run/docker.sock".into()),
        };
        if !containers.docker.is_absolute() {
            let given = containers.docker.display();
            faults.push(format!("`containers.docker` is `{given}`, write the absolute path of the runtime's socket"));
        }
        if !faults.is_empty() {
            return Err(Fault::Values(faults));
        }
        Ok(Self {
            heartbeat: raw.heartbeat_s.map(Duration::from_secs),
            wasmc: raw.wasmc.unwrap_or_else(beside_us),
            running_max: raw.running_max.unwrap_or(4),
            queued_max: raw.queued_max.unwrap_or(64),
            grace: Duration::from_secs(raw.grace_s.unwrap_or(5)),
            effects: enabled.then_some(lines),
            containers,
            policy: raw.policy.unwrap_or_default(),
        })
    }
}

/// `orderly-wasmc` in the directory of this program.
fn beside_us() -> PathBuf {
    let name = "orderly-wasmc";
    std::env::current_exe().map_or_else(|_| name.into(), |program| program.with_file_name(name))
}

enum Fault {
    Parse(String),
    Values(Vec<String>),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        std::fs::write(&path, text).unwrap();
        Config::load(&path, true)
    }

    #[test]
    fn an_absent_file_means_all_defaults_unless_it_was_named() {
        let path = Path::new("/no/such/agent.toml");
        let config = Config::load(path, false).unwrap();
        assert_eq!((config.running_max, config.queued_max, config.grace), (4, 64, Duration::from_secs(5)));
        assert!(matches!(Config::load(path, true), Err(ConfigError::Read { .. })));
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let error = load("heartbeat_s = 0\nrunning_max = 65\nwasmc = \"x\"\n[effects]\nrestart = [\"reboot\"]\n")
            .unwrap_err()
            .to_string();
        for part in ["heartbeat_s", "running_max", "wasmc", "effects.restart"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn exit_codes_shut_down_unless_the_owner_says_otherwise() {
        let effects = load("").unwrap().effects.unwrap();
        assert_eq!(effects.line(Effect::Restart), ["/sbin/shutdown", "-r", "now"]);
        assert_eq!(effects.line(Effect::PowerOff), ["/sbin/shutdown", "-h", "now"]);
        assert_eq!(load("[effects]\nenabled = false\n").unwrap().effects, None);
        let effects = load("[effects]\npower_off = [\"/bin/x\"]\n").unwrap().effects.unwrap();
        assert_eq!(effects.line(Effect::PowerOff), ["/bin/x"]);
    }

    #[test]
    fn containers_are_dockers_unless_the_owner_says_otherwise() {
        let usual = Containers { enabled: true, docker: "/var/run/docker.sock".into() };
        assert_eq!(load("").unwrap().containers, usual);
        let other = load("[containers]\nenabled = false\ndocker = \"/x\"\n").unwrap().containers;
        assert_eq!(other, Containers { enabled: false, docker: "/x".into() });
        let error = load("[containers]\ndocker = \"x\"\n").unwrap_err().to_string();
        assert!(error.contains("containers.docker"), "{error}");
    }

    #[test]
    fn unknown_names_are_refused_with_their_line() {
        let error = load("running_max = 2\nrunningmax = 2\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("runningmax"), "{error}");
        assert!(load("[policy]\nno_such_rule = true\n").is_err());
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o662)).unwrap();
        assert!(Config::load(&path, true).unwrap_err().to_string().contains("chmod go-w"));
    }
}
