//! A plugin on this machine in the agent's very sandbox.
//!
//! Owns the way from files to what `orderly-host` takes. The host runs verified plugins only, so the author vouches here
//! with keys that live for one run: the same checks are passed as on an instance, and no other way in exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orderly_host::cache::{Cache, Compiled};
use orderly_host::invoke::{Ended, PluginEnd, PluginRun, describe, invoke};
use orderly_host::limits::Limits;
use orderly_host::output::OutputSink;
use orderly_host::platform::{Tree, Trees};
use orderly_host::{Description, PluginFacts};
use orderly_model::grant::Grants;
use orderly_model::plugin::Manifest;
use orderly_signing::approval::Approval;
use orderly_signing::keyring::{Keyring, KeyringKey, Role, RoleKeys};
use orderly_signing::sign::{sign_approval, sign_keyring, sign_statement};
use orderly_signing::statement::{Build, Predicate};
use orderly_signing::verify::{Plugin, verify_keyring, verify_plugin};
use orderly_signing::{Digest, SecretKey, Verified};

use crate::error::{Failure, OrFail as _};
use crate::output::now_ms;
use crate::source::Source;

/// How long the throwaway documents are good for: longer than any run.
const VALID_MS: i64 = 2 * 24 * 60 * 60 * 1000;

/// A compiled plugin that may be run here.
pub(super) struct Sandbox {
    plugin: Verified<Plugin>,
    compiled: Compiled,
    trees: Trees,
    program: PathBuf,
}

/// What is asked of one run.
pub(super) struct Ask<'a> {
    /// What it may touch.
    pub(super) grants: &'a Grants,
    /// What it may use up.
    pub(super) limits: Limits,
    /// Parameters, all resolved.
    pub(super) arguments: BTreeMap<String, String>,
    /// Whether a missing part of the box refuses the run.
    pub(super) require_sandbox: bool,
}

impl Sandbox {
    /// Vouches for a plugin and compiles it. `cache` keeps native code between runs; `wasmc` is the compiler, where it
    /// does not lie beside this program.
    ///
    /// # Errors
    /// The compiler is not there, or the component does not compile.
    pub(super) async fn open(source: &Source, cache: &Path, wasmc: Option<&Path>) -> Result<Self, Failure> {
        let program = std::env::current_exe().or_setup(|| "this program cannot find itself".to_owned())?;
        let beside = program.with_file_name("orderly-wasmc");
        let compiler = wasmc.map_or(beside, Path::to_owned);
        if !compiler.is_file() {
            return Err(Failure::setup(format!("the compiler `{}` is not there", compiler.display()))
                .hint("`orderly-wasmc` belongs beside `orderly`; `--wasmc FILE` names another place"));
        }
        let plugin = vouch(source)?;
        let cache = Cache::open(cache).or_setup(|| "the cache of compiled plugins cannot be used".to_owned())?;
        let compiled = cache
            .get(&plugin, &source.component, &compiler)
            .await
            .or_usage(|| "the component does not compile".to_owned())?;
        let group = format!("orderly-cli-{}", std::process::id());
        let trees =
            Trees::probe(&group, &program).or_setup(|| "processes cannot be followed on this machine".to_owned())?;
        Ok(Self { plugin, compiled, trees, program })
    }

    /// Asks the plugin what it is, with nothing granted.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn describe(&self) -> Result<Description, Failure> {
        let tree = self.tree("describe")?;
        let nothing = Ask {
            grants: &Grants::none(),
            limits: Limits::describe(),
            arguments: BTreeMap::new(),
            require_sandbox: false,
        };
        Box::pin(describe(self.run(&tree, nothing, false))).await.map_err(|ended| {
            Failure::new(
                crate::error::Exit::TaskFailed,
                format!("the plugin does not say what it is: {}", in_words(&ended)),
            )
        })
    }

    /// Runs the plugin and tells every use of a capability to the sink.
    ///
    /// # Errors
    /// No place to run it in; how the run itself comes out is in the result.
    pub(super) async fn invoke(&self, ask: Ask<'_>, sink: &mut (impl OutputSink + Send)) -> Result<PluginEnd, Failure> {
        let tree = self.tree("run")?;
        Ok(Box::pin(invoke(self.run(&tree, ask, true), sink)).await)
    }

    fn tree(&self, name: &str) -> Result<Tree, Failure> {
        self.trees.create(name).or_setup(|| "the plugin's processes cannot be followed".to_owned())
    }

    fn run<'a>(&'a self, tree: &'a Tree, ask: Ask<'a>, trace: bool) -> PluginRun<'a> {
        PluginRun {
            plugin: &self.plugin,
            compiled: &self.compiled,
            grants: ask.grants,
            limits: ask.limits,
            arguments: ask.arguments.into_iter().collect(),
            facts: facts(),
            tree,
            program: &self.program,
            stop: tokio_util::sync::CancellationToken::new(),
            require_sandbox: ask.require_sandbox,
            started_ms: now_ms(),
            seed: self.plugin.component,
            trace,
        }
    }
}

/// The limits that the manifest asks for.
pub(super) fn limits(manifest: &Manifest, timeout_s: Option<u32>) -> Limits {
    let deadline = Duration::from_secs(u64::from(timeout_s.unwrap_or(manifest.limits.timeout_s)));
    Limits::new(manifest.limits.memory_mb, deadline, manifest.limits.output_kb.saturating_mul(1024))
}

/// How a run came out, in words.
pub(super) fn in_words(ended: &Ended) -> String {
    match ended {
        Ended::Outcome(outcome) => format!("it did its work: {}", outcome.summary),
        Ended::Failure(failure) => match failure {
            orderly_host::Failure::InvalidParameter { name, reason } => format!("parameter `{name}`: {reason}"),
            orderly_host::Failure::NotApplicable(reason) => format!("not applicable here: {reason}"),
            orderly_host::Failure::Denied(reason) => format!("denied: {reason}"),
            orderly_host::Failure::Failed(reason) => format!("it failed: {reason}"),
        },
        Ended::Trap(reason) => format!("it trapped: {reason}"),
        Ended::Deadline => "its time was over".to_owned(),
        Ended::OutOfMemory => "it asked for more memory than its manifest's `memory_mb`".to_owned(),
        Ended::OutputCap => "it wrote more than any plugin may".to_owned(),
        Ended::Refused(reasons) => format!("it was refused:\n  {}", reasons.join("\n  ")),
        Ended::NotStarted(reason) => format!("it could not be started: {reason}"),
        Ended::Crashed(reason) => format!("its process died: {reason}"),
        Ended::Stopped => "it was stopped".to_owned(),
        other => format!("{other:?}"),
    }
}

/// This machine, as a plugin with the capability `facts` sees it. There is no instance here, so its id is empty.
fn facts() -> PluginFacts {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let pairs = release.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    PluginFacts {
        instance_id: String::new(),
        hostname: read("/proc/sys/kernel/hostname").trim().to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        system: std::env::consts::OS.to_owned(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        os_release: pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect(),
        tags: Vec::new(),
    }
}

/// Makes throwaway keys, signs statement and approval of exactly these bytes, and verifies them as an agent does.
fn vouch(source: &Source) -> Result<Verified<Plugin>, Failure> {
    let failed = || "the plugin cannot be vouched for".to_owned();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).or_setup(|| "the system gives no random bytes".to_owned())?;
    let key = SecretKey::from_seed(seed);
    let holders = RoleKeys { threshold: 1, keys: vec![key.public().key_id()] };
    let (now, manifest) = (now_ms(), &source.manifest);
    let keyring = Keyring {
        version: 1,
        revision: 1,
        fleet: "author".to_owned(),
        issued_ms: now,
        expires_ms: now.saturating_add(VALID_MS),
        keys: vec![KeyringKey { name: "author".to_owned(), key: key.public().clone() }],
        roles: BTreeMap::from([(Role::Root, holders.clone()), (Role::Vetting, holders)]),
        policy: Keyring::default_policy(),
    };
    let envelope = sign_keyring(&keyring, &key).or_usage(failed)?.to_json();
    let keyring = verify_keyring(&envelope, &keyring.root_fingerprint(), 0, now).or_usage(failed)?;
    let (component, digest) = (Digest::of(&source.component), Digest::of(&source.manifest_bytes));
    let predicate = Predicate {
        name: manifest.name.to_string(),
        version: manifest.version.to_string(),
        manifest: digest,
        wit: manifest.wit.to_string(),
        build: Build { tool: "orderly plugin run".to_owned(), source: None },
    };
    let statement = sign_statement(component, predicate, &key).or_usage(failed)?.to_json();
    let approval = Approval {
        version: 1,
        name: manifest.name.to_string(),
        plugin_version: manifest.version.to_string(),
        component,
        manifest: digest,
        publishers: vec![key.public().clone()],
        capabilities: manifest.capabilities.to_canonical_json(),
        issued_ms: now,
        expires_ms: now.saturating_add(VALID_MS),
        revision: 1,
    };
    let approval = sign_approval(&approval, &key).or_usage(failed)?.to_json();
    verify_plugin(None, &keyring, component, &source.manifest_bytes, &statement, &approval, now).or_usage(failed)
}
