//! Attacks on a real agent with plugins, from a server in an attacker's hands that shows documents of its own making.
//!
//! The order is an operator's and honest; what the server sends along with it is not. Each test asserts the check that
//! refused, from the receipt that the instance signed.

use std::collections::BTreeMap;

use orderly_signing::merkle::TargetSet;
use orderly_signing::sign::{sign_approval, sign_order};
use orderly_signing::{Check, Digest, PublicKey, SecretKey};
use orderly_tests::agent::Agent;
use orderly_tests::api::now_ms;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::packages::Package;
use orderly_tests::rogue::Rogue;
use orderly_tests::trust::new_key;
use orderly_wire::http::invocation::{Run, RunPlugin};
use orderly_wire::to_agent::{Offer, PluginDocuments, ToAgent};

/// The fields are dropped in this order: the server's folder goes last.
struct Scene {
    rogue: Rogue,
    agent: Agent,
    fleet: Fleet,
    key: PublicKey,
    package: Package,
}

impl Scene {
    fn set() -> Self {
        let mut fleet = Fleet::start();
        let agent = fleet.agent("agent");
        let key = fleet.api.instance(&agent.id).key;
        let rogue = Rogue::take_over(&mut fleet);
        rogue.wait_link(0);
        let package = Package::of("hello", &fleet.trust.publisher);
        Self { rogue, agent, fleet, key, package }
    }

    /// What honest people would have made.
    fn documents(&self) -> PluginDocuments {
        let approval = self.package.approval(&self.fleet.trust.publisher);
        PluginDocuments {
            component: Digest::of(&self.package.component),
            component_bytes: self.package.component.len() as u64,
            manifest: self.package.manifest.clone(),
            statement: self.package.statement.clone(),
            approval: Some(sign_approval(&approval, &self.fleet.trust.vetting).unwrap().to_json()),
        }
    }

    fn approval(
        &self,
        key: &SecretKey,
        bend: impl FnOnce(&mut orderly_signing::approval::Approval),
    ) -> Option<Vec<u8>> {
        let mut approval = self.package.approval(&self.fleet.trust.publisher);
        bend(&mut approval);
        Some(sign_approval(&approval, key).unwrap().to_json())
    }

    /// Offers an operator's order for the honest package with these documents, and expects a refusal.
    fn refused(&self, documents: PluginDocuments, check: Check) {
        let manifest = self.package.read_manifest();
        let plugin = RunPlugin {
            name: manifest.name.to_string(),
            version: Some(manifest.version.to_string()),
            parameters: BTreeMap::new(),
            timeout_s: Some(10),
            output_bytes: Some(1024),
        };
        let digests = Some((Digest::of(&self.package.component), Digest::of(&self.package.manifest)));
        let work = Work { run: Run::Plugin(plugin), digests, deadline_s: 60 };
        let envelope =
            sign_order(&work.order(std::slice::from_ref(&self.agent.id)), &self.fleet.trust.operator).unwrap();
        let targets = TargetSet::of_instances([self.agent.id.clone()]).unwrap();
        let proof = targets.proof(&self.agent.id).unwrap();
        let offer = Offer {
            order: envelope.to_json(),
            proof,
            content: None,
            plugin: Some(documents),
            built_ins: BTreeMap::new(),
            live: false,
        };
        self.rogue.say(ToAgent::Offer(Box::new(offer)));
        let receipt = self.rogue.receipt(&envelope.digest(), &self.key);
        println!("{:?}: {:?}", receipt.check, receipt.reason);
        assert_eq!(receipt.status, "Invalid", "{:?}", receipt.reason);
        assert_eq!(receipt.check.as_deref(), Some(check.code()), "{:?}", receipt.reason);
        assert!(receipt.used.is_empty() && receipt.started_ms.is_none(), "it was started: {:?}", *receipt);
    }
}

#[test]
fn approval_left_out_or_forged_or_over() {
    let scene = Scene::set();
    scene.refused(PluginDocuments { approval: None, ..scene.documents() }, Check::Catalogue);
    let forged = scene.approval(&new_key(), |_| {});
    scene.refused(PluginDocuments { approval: forged, ..scene.documents() }, Check::Signature);
    let dispatch = scene.approval(&scene.rogue.dispatch, |_| {});
    scene.refused(PluginDocuments { approval: dispatch, ..scene.documents() }, Check::Role);
    let vetting = &scene.fleet.trust.vetting;
    let over = scene.approval(vetting, |a| (a.issued_ms, a.expires_ms) = (now_ms() - 9000, now_ms() - 1000));
    scene.refused(PluginDocuments { approval: over, ..scene.documents() }, Check::Catalogue);
}

#[test]
fn publisher_revoked_or_somebody_else() {
    let scene = Scene::set();
    let stranger = new_key();
    let revoked = scene.approval(&scene.fleet.trust.vetting, |approval| {
        approval.publishers = vec![stranger.public().clone()];
    });
    scene.refused(PluginDocuments { approval: revoked, ..scene.documents() }, Check::Publisher);
    let mut forged = scene.package.clone();
    forged.sign(&stranger);
    scene.refused(PluginDocuments { statement: forged.statement, ..scene.documents() }, Check::Publisher);
}

#[test]
fn component_or_manifest_swapped_under_an_approved_name() {
    let scene = Scene::set();
    let component = Digest::of(b"another component");
    scene.refused(PluginDocuments { component, ..scene.documents() }, Check::Content);
    let mut manifest = scene.package.manifest.clone();
    manifest.extend_from_slice(b"# another\n");
    scene.refused(PluginDocuments { manifest, ..scene.documents() }, Check::Content);
}
