//! Plugin orders: what is refused before a byte of the component is fetched, and that fetched bytes are the named ones.
//!
//! Runs of real components are in the `tests` crate, which has the compiler and the guests.

use std::collections::BTreeMap;

use orderly_model::capability::Capabilities;
use orderly_model::plugin::Manifest;
use orderly_signing::approval::Approval;
use orderly_signing::digest::Digest;
use orderly_signing::key::SecretKey;
use orderly_signing::order::Action;
use orderly_signing::sign::{sign_approval, sign_order, sign_statement};
use orderly_signing::statement::{Build, Predicate};
use orderly_wire::to_agent::{PluginDocuments, ToAgent};

use crate::fleet::{Fleet, Outcome, now_ms};

/// A plugin with its documents.
struct Package {
    component: Vec<u8>,
    manifest: String,
    publisher: SecretKey,
    approved: String,
    approval_expires_ms: i64,
    approval_revision: u64,
}

impl Package {
    fn new(component: &[u8], manifest: &str) -> Self {
        let approved = Manifest::parse(manifest).unwrap().capabilities.to_canonical_json();
        Self {
            component: component.to_vec(),
            manifest: manifest.to_owned(),
            publisher: SecretKey::from_seed([5; 32]),
            approved,
            approval_expires_ms: now_ms() + 60_000,
            approval_revision: 1,
        }
    }

    fn documents(&self, vetting: &SecretKey) -> PluginDocuments {
        let (component, manifest) = (Digest::of(&self.component), Digest::of(self.manifest.as_bytes()));
        let parsed = Manifest::parse(&self.manifest).unwrap();
        let predicate = Predicate {
            name: parsed.name.to_string(),
            version: parsed.version.to_string(),
            manifest,
            wit: parsed.wit.to_string(),
            build: Build { tool: "test".to_owned(), source: None },
        };
        let approval = Approval {
            version: 1,
            name: parsed.name.to_string(),
            plugin_version: parsed.version.to_string(),
            component,
            manifest,
            publishers: vec![SecretKey::from_seed([5; 32]).public().clone()],
            capabilities: self.approved.clone(),
            issued_ms: 1000,
            expires_ms: self.approval_expires_ms,
            revision: self.approval_revision,
        };
        PluginDocuments {
            component,
            component_bytes: self.component.len() as u64,
            manifest: self.manifest.clone().into_bytes(),
            statement: sign_statement(component, predicate, &self.publisher).unwrap().to_json(),
            approval: Some(sign_approval(&approval, vetting).unwrap().to_json()),
        }
    }
}

async fn run(
    fleet: &Fleet,
    package: &Package,
    parameters: &[(&str, &str)],
    change: impl FnOnce(&mut PluginDocuments),
) -> Outcome {
    let mut documents = package.documents(&fleet.vetting);
    let parsed = Manifest::parse(&package.manifest).unwrap();
    let order = fleet.order(Action::Plugin {
        name: parsed.name.to_string(),
        version: parsed.version.to_string(),
        component: documents.component,
        manifest: Digest::of(package.manifest.as_bytes()),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        timeout_s: 30,
        output_bytes: 24 * 1024,
    });
    change(&mut documents);
    // The server's signature is enough for what only reads.
    let envelope = sign_order(&order, &fleet.dispatch).unwrap();
    let mut offer = fleet.offer_of(&envelope, None);
    offer.plugin = Some(documents);
    fleet.server.send(ToAgent::Offer(Box::new(offer)));
    fleet.ended(envelope.digest()).await
}

type Change = Box<dyn FnOnce(&mut PluginDocuments)>;

const READER: &str = r#"
[plugin]
name = "reader"
version = "1.0.0"
summary = "Reads a file"
wit = "orderly:plugin@0.1.0"

[[parameters]]
name = "level"
kind = "integer"
description = "A number"
default = "1"

[capabilities.files]
read = ["/etc/hostname"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_do_not_vouch_for_the_plugin_are_refused_by_their_check() {
    let fleet = Fleet::linked().await;
    let package = Package::new(b"component", READER);
    let refusals: [(&str, Change); 4] = [
        ("catalogue", Box::new(|documents| documents.approval = None)),
        ("content", Box::new(|documents| documents.component = Digest::of(b"swapped"))),
        ("content", Box::new(|documents| documents.manifest.push(b'\n'))),
        ("size", Box::new(|documents| documents.component_bytes = 1 << 40)),
    ];
    for (check, change) in refusals {
        let done = run(&fleet, &package, &[], change).await;
        assert_eq!((done.status(), done.check()), ("Invalid", check), "{}", done.reason());
    }
    let stranger = Package { publisher: SecretKey::from_seed([6; 32]), ..Package::new(b"component", READER) };
    assert_eq!(run(&fleet, &stranger, &[], |_| {}).await.check(), "publisher");
    let over = Package { approval_expires_ms: now_ms() - 1, ..Package::new(b"component", READER) };
    assert_eq!(run(&fleet, &over, &[], |_| {}).await.check(), "catalogue");
    let narrow = Package { approved: Capabilities::none().to_canonical_json(), ..Package::new(b"component", READER) };
    let done = run(&fleet, &narrow, &[], |_| {}).await;
    assert_eq!((done.check(), done.receipt.code.as_deref()), ("capabilities", Some("CapabilityDenied")));
    assert!(done.reason().contains("/etc/hostname"), "{}", done.reason());
    let done = run(&fleet, &package, &[("level", "high"), ("nonsense", "1")], |_| {}).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("InvalidParameter")));
    assert!(done.reason().contains("level") && done.reason().contains("nonsense"), "all at once: {}", done.reason());
    let writer = Package::new(b"component", &READER.replace("read =", "write ="));
    assert_eq!(run(&fleet, &writer, &[], |_| {}).await.check(), "threshold", "more than reading needs an operator");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_was_replaced_is_refused_though_it_has_not_expired() {
    let mut fleet = Fleet::linked().await;
    let wide = Package::new(b"component", READER);
    fleet.server.with(|state| state.blobs.insert(Digest::of(b"component").to_string(), b"component".to_vec()));
    let done = run(&fleet, &wide, &[], |_| {}).await;
    assert_eq!(done.status(), "Error", "accepted; there is no compiler here: {}", done.reason());
    // The security team takes the capability back. The order that shows it is refused, and is remembered all the same.
    let narrow = Package { approved: Capabilities::none().to_canonical_json(), approval_revision: 2, ..wide };
    let done = run(&fleet, &narrow, &[], |_| {}).await;
    assert_eq!((done.status(), done.check()), ("Invalid", "capabilities"), "{}", done.reason());
    let wide = Package::new(b"component", READER);
    for round in ["at once", "after a crash"] {
        let done = run(&fleet, &wide, &[], |_| {}).await;
        assert_eq!((done.status(), done.check()), ("Invalid", "rollback"), "{round}: {}", done.reason());
        for part in ["approval", "`reader` 1.0.0", "revision 1", "2"] {
            assert!(done.reason().contains(part), "{}", done.reason());
        }
        fleet.kill().await;
        fleet.run().await;
    }
    let newer = Package { approval_revision: 3, ..wide };
    assert_eq!(run(&fleet, &newer, &[], |_| {}).await.status(), "Error", "a newer one counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_not_the_named_bytes_is_refused_and_one_that_is_gets_accepted() {
    let fleet = Fleet::linked().await;
    let package = Package::new(b"component", READER);
    let blob = Digest::of(b"component").to_string();
    fleet.server.with(|state| state.blobs.insert(blob.clone(), b"c0mponent".to_vec()));
    let done = run(&fleet, &package, &[], |_| {}).await;
    assert_eq!((done.status(), done.check()), ("Invalid", "content"), "{}", done.reason());
    fleet.server.with(|state| state.blobs.insert(blob.clone(), b"component".to_vec()));
    // Accepted; that these bytes are no component shows when they are compiled, and there is no compiler here.
    let done = run(&fleet, &package, &[], |_| {}).await;
    assert_eq!(
        (done.status(), done.receipt.code.as_deref()),
        ("Error", Some("ExecutionException")),
        "{}",
        done.reason()
    );
    fleet.server.with(|state| state.blobs.clear());
    let done = run(&fleet, &package, &[], |_| {}).await;
    assert_eq!(done.status(), "Error", "the component is cached now: {}", done.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_compiled_code_the_component_is_neither_fetched_nor_read() {
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    // What it makes is no code, which shows in the plugin's process: whether that is reached is what is looked at.
    let compiler = fleet.data().join("compiler");
    std::fs::write(&compiler, "#!/bin/sh\nexec /bin/cat\n").unwrap();
    std::fs::set_permissions(&compiler, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fleet.configure(&format!("wasmc = {compiler:?}"));
    fleet.run().await;
    let package = Package::new(b"component", READER);
    fleet.server.with(|state| state.blobs.insert(Digest::of(b"component").to_string(), b"component".to_vec()));
    for round in ["compiled", "held in memory", "read from the disk"] {
        if round == "read from the disk" {
            fleet.end().await;
            fleet.run().await;
        }
        let done = run(&fleet, &package, &[], |_| {}).await;
        assert!(done.reason().contains("the component cannot be loaded"), "{round}: {}", done.reason());
        assert_eq!((done.status(), done.receipt.code.as_deref()), ("Error", Some("ExecutionException")), "no denial");
        fleet.server.with(|state| state.blobs.clear());
        let _ = std::fs::remove_dir_all(fleet.data().join("components"));
    }
    // Code that was tampered with is no code: then the bytes are needed again, and nobody has them any more.
    fleet.end().await;
    for entry in std::fs::read_dir(fleet.data().join("compiled")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "cwasm") {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, b"poison").unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
        }
    }
    fleet.run().await;
    let done = run(&fleet, &package, &[], |_| {}).await;
    assert_eq!((done.status(), done.check()), ("Invalid", "content"), "{}", done.reason());
}
