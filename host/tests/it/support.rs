//! What every test needs: a verified plugin of any bytes, grants, a tree, a run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orderly_host::PluginFacts;
use orderly_host::cache::{Cache, Compiled};
use orderly_host::invoke::{PluginEnd, PluginRun, invoke};
use orderly_host::limits::Limits;
use orderly_host::output::{Kept, OutputSink, Stream};
use orderly_host::platform::{Tree, Trees};
use orderly_model::grant::Grants;
use orderly_signing::approval::Approval;
use orderly_signing::keyring::{Keyring, KeyringKey, Role, RoleKeys};
use orderly_signing::sign::{sign_approval, sign_keyring, sign_statement};
use orderly_signing::statement::{Build, Predicate};
use orderly_signing::verify::{Plugin, verify_keyring, verify_plugin};
use orderly_signing::{Digest, SecretKey, Verified};
use tokio_util::sync::CancellationToken;

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_orderly-host-test-program"))
}

pub(crate) fn compiler() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_orderly-wasmc"))
}

/// A plugin of these bytes, verified as an agent does it.
pub(crate) fn verified(component: &[u8]) -> Verified<Plugin> {
    let now = 1_000_000;
    let keys: Vec<SecretKey> = (1..=3).map(|seed| SecretKey::from_seed([seed; 32])).collect();
    let [root, vetting, publisher] = keys.as_slice() else { panic!("three keys") };
    let named = |(name, key): (&str, &SecretKey)| KeyringKey { name: name.to_owned(), key: key.public().clone() };
    let holds = |key: &SecretKey| RoleKeys { threshold: 1, keys: vec![key.public().key_id()] };
    let keyring = Keyring {
        version: 1,
        revision: 1,
        fleet: "test".to_owned(),
        issued_ms: 1,
        expires_ms: now * 2,
        keys: [("root", root), ("vetting", vetting)].map(named).to_vec(),
        roles: [(Role::Root, holds(root)), (Role::Vetting, holds(vetting))].into(),
        policy: [].into(),
    };
    let signed = sign_keyring(&keyring, root).unwrap().to_json();
    let keyring = verify_keyring(&signed, &keyring.root_fingerprint(), 1, now).unwrap();
    let manifest = b"[plugin]";
    let (digest, manifest_digest) = (Digest::of(component), Digest::of(manifest));
    let predicate = Predicate {
        name: "probe".to_owned(),
        version: "1.0.0".to_owned(),
        manifest: manifest_digest,
        wit: "orderly:plugin@0.1.0".to_owned(),
        build: Build { tool: "wat".to_owned(), source: None },
    };
    let statement = sign_statement(digest, predicate, publisher).unwrap().to_json();
    let approval = Approval {
        version: 1,
        name: "probe".to_owned(),
        plugin_version: "1.0.0".to_owned(),
        component: digest,
        manifest: manifest_digest,
        publishers: vec![publisher.public().clone()],
        capabilities: "{}".to_owned(),
        issued_ms: 1,
        expires_ms: now * 2,
        revision: 1,
    };
    let approval = sign_approval(&approval, vetting).unwrap().to_json();
    verify_plugin(None, &keyring, digest, manifest, &statement, &approval, now).unwrap()
}

/// One test's place: a cache that all of them share, and trees.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) trees: Trees,
}

pub(crate) fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    Place { directory, trees: Trees::probe("host-tests", program()).unwrap() }
}

pub(crate) fn unique(name: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Place {
    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.path().join("aot")
    }

    pub(crate) fn tree(&self) -> Tree {
        self.trees.create(&unique("task")).unwrap()
    }

    pub(crate) async fn compiled(&self, component: &[u8]) -> (Verified<Plugin>, Compiled) {
        let plugin = verified(component);
        let compiled = Cache::open(&self.cache()).unwrap().get(&plugin, component, compiler()).await.unwrap();
        (plugin, compiled)
    }

    /// Runs `component` with the grants of this JSON.
    pub(crate) async fn run(
        &self,
        component: &[u8],
        grants: &str,
        change: impl FnOnce(&mut PluginRun<'_>),
    ) -> (PluginEnd, Seen) {
        let (plugin, compiled) = self.compiled(component).await;
        let grants = Grants::from_parent(grants).unwrap();
        let tree = self.tree();
        let mut run = PluginRun {
            plugin: &plugin,
            compiled: &compiled,
            grants: &grants,
            limits: Limits::new(64, Duration::from_secs(20), 4_096),
            arguments: Vec::new(),
            facts: PluginFacts { hostname: "here".to_owned(), ..PluginFacts::default() },
            tree: &tree,
            program: program(),
            stop: CancellationToken::new(),
            require_sandbox: false,
            started_ms: 1_700_000_000_000,
            seed: Digest::of(b"order"),
            trace: true,
        };
        change(&mut run);
        let mut seen = Seen::default();
        let end = invoke(run, &mut seen).await;
        assert!(end.tree.is_ok() && tree.is_empty().unwrap(), "something of the tree is alive");
        (end, seen)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) text: Vec<u8>,
    pub(crate) progress: Vec<String>,
    pub(crate) used: Vec<String>,
}

impl OutputSink for Seen {
    fn chunk(&mut self, _stream: Stream, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    fn progress(&mut self, done: u32, total: u32, message: &str) {
        self.progress.push(format!("{done}/{total} {message}"));
    }

    fn used(&mut self, capability: &str) {
        self.used.push(capability.to_owned());
    }
}

pub(crate) fn text(kept: &Kept) -> String {
    let bytes: Vec<u8> = kept.head.iter().chain(&kept.tail).flat_map(|segment| segment.bytes.clone()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
