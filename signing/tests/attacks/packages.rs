//! Attacks on plugin packages and their approval.

use orderly_signing::{
    Check, Digest, Envelope, Refusal, Verified,
    approval::Approval,
    envelope::{APPROVAL_TYPE, STATEMENT_TYPE},
    order::{Action, Order},
    sign,
    statement::{Predicate, Statement},
    verify::{self, Plugin},
};

use super::{
    fleet::{CAPABILITIES, COMPONENT, FAR, Fleet, MANIFEST, NOW, id_of, plugin, predicate},
    refused_by,
};

/// What lies on the instance when it checks a plugin.
struct Parts {
    fleet: Fleet,
    order: Action,
    component: Vec<u8>,
    manifest: Vec<u8>,
    statement: Vec<u8>,
    approval: Vec<u8>,
    now_ms: i64,
}

impl Parts {
    fn good() -> Self {
        let fleet = Fleet::new();
        let statement = sign::sign_statement(Digest::of(COMPONENT), predicate(), &fleet.publisher).unwrap().to_json();
        let approval = fleet.signed_approval(&fleet.approval());
        Self {
            fleet,
            order: plugin(),
            component: COMPONENT.to_vec(),
            manifest: MANIFEST.to_vec(),
            statement,
            approval,
            now_ms: NOW,
        }
    }

    /// Approves and states the bytes at hand, as they are.
    fn approve(&mut self, change: impl FnOnce(&mut Approval)) {
        let mut approval = self.fleet.approval();
        change(&mut approval);
        self.approval = self.fleet.signed_approval(&approval);
    }

    fn state(&mut self, component: &[u8], change: impl FnOnce(&mut Predicate)) {
        let mut predicate = predicate();
        change(&mut predicate);
        self.statement =
            sign::sign_statement(Digest::of(component), predicate, &self.fleet.publisher).unwrap().to_json();
    }

    fn verdict(&self) -> Result<Verified<Plugin>, Refusal> {
        let keyring = self.fleet.verified_keyring();
        let envelope = sign::sign_order(&self.fleet.order(self.order.clone()), &self.fleet.dispatch).unwrap();
        let order: Verified<Order> = verify::verify_order_offline(&envelope.to_json(), &keyring).unwrap();
        self.check(Some(&order))
    }

    fn check(&self, order: Option<&Verified<Order>>) -> Result<Verified<Plugin>, Refusal> {
        let component = Digest::of(&self.component);
        let keyring = self.fleet.verified_keyring();
        verify::verify_plugin(order, &keyring, component, &self.manifest, &self.statement, &self.approval, self.now_ms)
    }

    fn refused_by(&self) -> Check {
        refused_by(self.verdict())
    }
}

#[test]
fn a_good_plugin_is_vouched_for() {
    let parts = Parts::good();
    for plugin in [parts.verdict().unwrap(), parts.check(None).unwrap()] {
        assert_eq!((plugin.name.as_str(), plugin.version.as_str()), ("os-audit", "1.2.3"));
        assert_eq!((plugin.component, plugin.manifest), (Digest::of(COMPONENT), Digest::of(MANIFEST)));
        assert_eq!(plugin.publisher, id_of(&parts.fleet.publisher));
        assert_eq!((plugin.approved_capabilities.as_str(), plugin.approval_revision), (CAPABILITIES, 1));
        assert_eq!(plugin.envelope_json(), parts.statement);
    }
}

#[test]
fn component_swapped_under_an_approved_name() {
    let mut parts = Parts::good();
    parts.component = b"\0asm evil".to_vec();
    assert_eq!(parts.refused_by(), Check::Content, "the order names other bytes");
    assert_eq!(refused_by(parts.check(None)), Check::Catalogue, "and so does the approval");
    // The server, or the publisher, swaps order and statement too: the approval still names the old bytes.
    let evil = parts.component.clone();
    parts.state(&evil, |_| ());
    if let Action::Plugin { component, .. } = &mut parts.order {
        *component = Digest::of(&evil);
    }
    assert_eq!(parts.refused_by(), Check::Catalogue);
    // The security team approves bytes that the publisher never stated.
    let mut parts = Parts::good();
    parts.component = evil.clone();
    parts.approve(|approval| approval.component = Digest::of(&evil));
    assert_eq!(refused_by(parts.check(None)), Check::Publisher);
}

#[test]
fn manifest_swapped_to_ask_for_more() {
    let more = b"name = \"os-audit\"\n[[files]]\nwrite = \"/**\"\n".to_vec();
    let mut parts = Parts::good();
    parts.manifest = more.clone();
    assert_eq!(parts.refused_by(), Check::Content);
    assert_eq!(refused_by(parts.check(None)), Check::Catalogue);
    parts.approve(|approval| approval.manifest = Digest::of(&more));
    assert_eq!(refused_by(parts.check(None)), Check::Publisher);
}

#[test]
fn revoked_publisher() {
    let mut parts = Parts::good();
    let other = parts.fleet.mallory.public().clone();
    parts.approve(|approval| approval.publishers = vec![other]);
    assert_eq!(parts.refused_by(), Check::Publisher, "still in the keyring, no longer in the approval");
}

#[test]
fn statement_by_a_stranger_or_changed() {
    let mut parts = Parts::good();
    let good = parts.statement.clone();
    parts.statement = sign::sign_statement(Digest::of(COMPONENT), predicate(), &parts.fleet.mallory).unwrap().to_json();
    assert_eq!(parts.refused_by(), Check::Publisher);
    let mut changed = Envelope::parse(&good).unwrap();
    changed.payload = String::from_utf8(changed.payload).unwrap().replace("1.2.3", "1.2.4").into_bytes();
    parts.statement = changed.to_json();
    assert_eq!(parts.refused_by(), Check::Publisher);
    changed.signatures.clear();
    parts.statement = changed.to_json();
    assert_eq!(parts.refused_by(), Check::Publisher, "signature stripped");
}

#[test]
fn approval_below_its_threshold_or_in_a_wrong_role() {
    let mut parts = Parts::good();
    let approval = parts.fleet.approval();
    let mut envelope = sign::sign_approval(&approval, &parts.fleet.vetting[0]).unwrap();
    parts.approval = envelope.to_json();
    assert_eq!(parts.refused_by(), Check::Threshold);
    envelope.signatures.push(envelope.signatures[0].clone());
    parts.approval = envelope.to_json();
    assert_eq!(parts.refused_by(), Check::Threshold, "duplicate signature counted twice");
    let mut server = sign::sign_approval(&approval, &parts.fleet.dispatch).unwrap();
    server.add_signature(&parts.fleet.operators[0]);
    parts.approval = server.to_json();
    assert_eq!(parts.refused_by(), Check::Role);
    parts.approval = sign::sign_approval(&approval, &parts.fleet.publisher).unwrap().to_json();
    assert_eq!(parts.refused_by(), Check::Role, "a publisher does not approve itself");
}

#[test]
fn approval_that_is_over() {
    let mut parts = Parts::good();
    for late in [parts.fleet.approval().expires_ms, FAR] {
        parts.now_ms = late;
        assert_eq!(parts.refused_by(), Check::Catalogue);
    }
}

#[test]
fn approval_and_statement_of_another_plugin_or_version() {
    let mut parts = Parts::good();
    parts.approve(|approval| approval.plugin_version = "1.2.2".to_owned());
    assert_eq!(parts.refused_by(), Check::Catalogue, "the order asks for another version");
    assert_eq!(refused_by(parts.check(None)), Check::Publisher, "the statement is about another version");
    let mut parts = Parts::good();
    parts.state(COMPONENT, |predicate| predicate.name = "disk-report".to_owned());
    assert_eq!(parts.refused_by(), Check::Publisher);
    let mut parts = Parts::good();
    parts.state(COMPONENT, |predicate| predicate.manifest = Digest::of(b"other"));
    assert_eq!(parts.refused_by(), Check::Publisher);
    let mut parts = Parts::good();
    parts.order = super::fleet::script();
    assert_eq!(parts.refused_by(), Check::Content, "the order runs no plugin");
}

#[test]
fn statement_and_approval_exchanged() {
    let mut parts = Parts::good();
    std::mem::swap(&mut parts.statement, &mut parts.approval);
    assert_eq!(parts.refused_by(), Check::PayloadType);
}

#[test]
fn statement_with_two_subjects_or_other_types() {
    let fleet = Fleet::new();
    let good = serde_json::to_string(&Statement::new(Digest::of(COMPONENT), predicate())).unwrap();
    let verdict = |json: String| {
        let mut envelope = Envelope::new(STATEMENT_TYPE, json.into_bytes());
        envelope.add_signature(&fleet.publisher);
        verify::verify_statement(&envelope.to_json(), fleet.publisher.public())
    };
    assert_eq!(verdict(good.clone()).unwrap().component(), Some(Digest::of(COMPONENT)));
    let subject = format!("{{\"name\":\"plugin.wasm\",\"digest\":{{\"sha256\":\"{}\"}}}}", Digest::ZERO.hex());
    for (from, to) in [
        ("\"subject\":[", format!("\"subject\":[{subject},")),
        ("Statement/v1", "Statement/v0.1".to_owned()),
        ("plugin-statement:v1", "plugin-statement:v2".to_owned()),
        ("plugin.wasm", "other.wasm".to_owned()),
        ("\"sha256\":\"", "\"sha256\":\"00".to_owned()),
        ("\"sha256\":", "\"sha1\":\"00\",\"sha256\":".to_owned()),
        ("\"build\":{", "\"build\":{\"reviewed\":true,".to_owned()),
        ("\"name\":\"os-audit\"", "\"name\":\"os-audit\",\"name\":\"os-audit\"".to_owned()),
    ] {
        assert!(good.contains(from));
        assert_eq!(refused_by(verdict(good.replacen(from, &to, 1))), Check::Payload, "{to}");
    }
    let envelope = sign::sign_statement(Digest::of(COMPONENT), predicate(), &fleet.publisher).unwrap();
    assert_eq!(refused_by(verify::verify_statement(&envelope.to_json(), fleet.mallory.public())), Check::Signature);
}

#[test]
fn approval_that_names_one_publisher_twice_or_none() {
    let mut parts = Parts::good();
    let publisher = parts.fleet.publisher.public().clone();
    for publishers in [vec![publisher.clone(), publisher], Vec::new()] {
        let approval = Approval { publishers, ..parts.fleet.approval() };
        let mut envelope = Envelope::new(APPROVAL_TYPE, serde_json::to_vec(&approval).unwrap());
        envelope.add_signature(&parts.fleet.vetting[0]);
        envelope.add_signature(&parts.fleet.vetting[1]);
        parts.approval = envelope.to_json();
        assert_eq!(parts.refused_by(), Check::Payload);
    }
}
