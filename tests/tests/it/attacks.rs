//! Attacks on a real agent from a server in an attacker's hands, and on what it keeps on disk.
//!
//! The attacker has the server's TLS key and its dispatch key, has seen orders go by, and lacks an operator's key. Each
//! test is named after the attack and asserts the check that refused, from the receipt that the instance signed.

use std::fs;
use std::path::{Path, PathBuf};

use orderly_signing::keyring::{Requirement, Tier};
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, Order, ScriptAction};
use orderly_signing::sign::sign_order;
use orderly_signing::{Check, Digest, Envelope, InstanceId, PublicKey, SecretKey};
use orderly_tests::agent::Agent;
use orderly_tests::api::{now_ms, output_text};
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::rogue::Rogue;
use orderly_tests::simulated::{Place, Simulated, open_link};
use orderly_tests::tls;
use orderly_tests::trust::new_key;
use orderly_wire::http::invocation::Targets;

/// A real agent linked to a server in an attacker's hands.
///
/// The fields are dropped in this order: the server's folder goes last.
struct Scene {
    rogue: Rogue,
    agent: Agent,
    fleet: Fleet,
    key: PublicKey,
    targets: TargetSet,
    mark: PathBuf,
}

impl Scene {
    fn set() -> Self {
        let mut fleet = Fleet::start();
        let agent = fleet.agent("agent");
        let key = fleet.api.instance(&agent.id).key;
        let rogue = Rogue::take_over(&mut fleet);
        rogue.wait_link(0);
        let targets = TargetSet::of_instances([agent.id.clone()]).unwrap();
        let mark = fleet.path("mark");
        Self { rogue, agent, fleet, key, targets, mark }
    }

    /// A script that leaves a line in a file where it runs.
    fn content(&self) -> Vec<u8> {
        format!("echo ran >> {}; echo ran", self.mark.display()).into_bytes()
    }

    fn order(&self) -> Order {
        Work::script(self.content()).order(std::slice::from_ref(&self.agent.id))
    }

    fn operator(&self) -> &SecretKey {
        &self.fleet.trust.operator
    }

    fn offer(&self, envelope: &Envelope) {
        self.rogue.offer(envelope, &self.targets, &self.agent.id, &self.content());
    }

    fn runs(&self) -> usize {
        fs::read_to_string(&self.mark).map_or(0, |text| text.lines().count())
    }

    /// Offers the envelope and expects a signed refusal by this check, and that nothing ran.
    fn refused(&self, envelope: &Envelope, check: Check) {
        self.offer(envelope);
        self.expect(envelope, check);
    }

    fn expect(&self, envelope: &Envelope, check: Check) {
        let receipt = self.rogue.receipt(&envelope.digest(), &self.key);
        assert_eq!(receipt.status, "Invalid", "{:?}", receipt.reason);
        assert_eq!(receipt.check.as_deref(), Some(check.code()), "{:?}", receipt.reason);
        assert!(receipt.reason.as_deref().is_some_and(|reason| reason.len() > 10), "no reason");
        assert_eq!(self.runs(), 0, "it ran");
    }

    /// Offers an honest order and expects that it runs.
    fn runs_honestly(&self) -> Envelope {
        let before = self.runs();
        let envelope = sign_order(&self.order(), self.operator()).unwrap();
        self.offer(&envelope);
        let receipt = self.rogue.receipt(&envelope.digest(), &self.key);
        assert_eq!(receipt.status, "Success", "{:?}", receipt.reason);
        assert_eq!(self.runs(), before + 1);
        envelope
    }
}

#[test]
fn server_keys_stolen_a_native_command_needs_an_operator() {
    let scene = Scene::set();
    scene.refused(&sign_order(&scene.order(), &scene.rogue.dispatch).unwrap(), Check::Threshold);
    scene.runs_honestly();
}

#[test]
fn a_server_that_signs_alone_gets_its_order_refused() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let work = Work::script("echo ran");
    let request = work.request(Targets::Instances(vec![agent.id.clone()]), None);
    // The real server may say so at once; where it sends the order, the agent refuses it.
    if let Ok(view) = fleet.api.create(&request) {
        let task = fleet.api.wait_end(&view.id, &agent.id, orderly_tests::wait::SOON);
        assert_eq!((task.view.status.as_str(), task.view.check.as_deref()), ("Invalid", Some("threshold")));
    }
    let (_, task) = crate::native::run(&fleet, &agent.id, &work);
    assert_eq!(task.view.status, "Success");
}

#[test]
fn an_owner_may_lower_the_threshold_on_purpose() {
    let fleet =
        Fleet::start_with(&[(Tier::NativeRoot, Requirement::Dispatch), (Tier::NativeUser, Requirement::Dispatch)]);
    let agent = fleet.agent("agent");
    let request = Work::script("echo ran").request(Targets::Instances(vec![agent.id.clone()]), None);
    let view = fleet.api.create(&request).unwrap();
    let task = fleet.api.wait_end(&view.id, &agent.id, orderly_tests::wait::SOON);
    assert_eq!((task.view.status.as_str(), output_text(&task).as_str()), ("Success", "ran\n"));
}

#[test]
fn scripts_of_users_lowered_are_not_scripts_of_root_lowered() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only an agent that is root could be fooled");
        return;
    }
    let fleet = Fleet::start_with(&[(Tier::NativeUser, Requirement::Dispatch)]);
    let agent = fleet.agent("agent");
    let targets = || Targets::Instances(vec![agent.id.clone()]);
    let as_user = |user: Option<&str>| {
        let user = user.map(str::to_owned);
        let work = Work::script("id -un").with(|script| (script.user, script.cwd) = (user, Some("/".to_owned())));
        fleet.api.create(&work.request(targets(), None))
    };
    let lowered = as_user(Some("nobody")).unwrap();
    let task = fleet.api.wait_end(&lowered.id, &agent.id, orderly_tests::wait::SOON);
    assert_eq!((task.view.status.as_str(), output_text(&task).as_str()), ("Success", "nobody\n"));
    // Without a user it is the agent's own, which is root here; the server cannot know that, the agent does.
    for user in [None, Some("root")] {
        if let Ok(view) = as_user(user) {
            let task = fleet.api.wait_end(&view.id, &agent.id, orderly_tests::wait::SOON);
            assert_eq!(
                (task.view.status.as_str(), task.view.check.as_deref()),
                ("Invalid", Some("threshold")),
                "{user:?}"
            );
        }
    }
}

#[test]
fn signature_stripped() {
    let scene = Scene::set();
    let mut envelope = sign_order(&scene.order(), scene.operator()).unwrap();
    envelope.signatures.clear();
    scene.refused(&envelope, Check::Signature);
}

#[test]
fn payload_changed_after_signing() {
    let scene = Scene::set();
    let mut envelope = sign_order(&scene.order(), scene.operator()).unwrap();
    let text = String::from_utf8(envelope.payload).unwrap();
    envelope.payload = text.replace("\"timeout_s\":60", "\"timeout_s\":61").into_bytes();
    assert!(String::from_utf8_lossy(&envelope.payload).contains("\"timeout_s\":61"));
    scene.refused(&envelope, Check::Signature);
}

#[test]
fn a_key_of_nobody_signs() {
    let scene = Scene::set();
    scene.refused(&sign_order(&scene.order(), &new_key()).unwrap(), Check::Signature);
}

#[test]
fn wrong_role() {
    let scene = Scene::set();
    scene.refused(&sign_order(&scene.order(), &scene.fleet.trust.publisher).unwrap(), Check::Role);
}

#[test]
fn content_swapped_under_a_signed_order() {
    let scene = Scene::set();
    let envelope = sign_order(&scene.order(), scene.operator()).unwrap();
    let other = scene.content().iter().rev().copied().collect::<Vec<u8>>();
    scene.rogue.offer(&envelope, &scene.targets, &scene.agent.id, &other);
    scene.expect(&envelope, Check::Content);
}

#[test]
fn order_for_another_instance() {
    let scene = Scene::set();
    let other = InstanceId::of(new_key().public());
    let envelope =
        sign_order(&Work::script(scene.content()).order(std::slice::from_ref(&other)), scene.operator()).unwrap();
    let targets = TargetSet::of_instances([other.clone()]).unwrap();
    scene.rogue.offer(&envelope, &targets, &other, &scene.content());
    scene.expect(&envelope, Check::Target);
}

#[test]
fn expired_and_not_yet_valid() {
    let scene = Scene::set();
    let mut order = scene.order();
    (order.issued_ms, order.not_before_ms, order.expires_ms) = (now_ms() - 9000, now_ms() - 9000, now_ms() - 2000);
    scene.refused(&sign_order(&order, scene.operator()).unwrap(), Check::Expired);
    let mut order = scene.order();
    (order.not_before_ms, order.expires_ms) = (now_ms() + 3_600_000, now_ms() + 7_200_000);
    scene.refused(&sign_order(&order, scene.operator()).unwrap(), Check::NotYetValid);
}

#[test]
fn replayed_order_gets_the_state_and_never_a_second_run() {
    let scene = Scene::set();
    let envelope = scene.runs_honestly();
    let before = scene.rogue.reports(&envelope.digest()).len();
    scene.offer(&envelope);
    orderly_tests::wait::until("an answer to the replay", orderly_tests::wait::SOON, || {
        (scene.rogue.reports(&envelope.digest()).len() > before).then_some(())
    });
    assert_eq!(scene.rogue.receipt(&envelope.digest(), &scene.key).status, "Success");
    scene.runs_honestly();
    assert_eq!(scene.runs(), 2, "the replayed order ran again");
}

#[test]
fn replay_after_restart() {
    let mut scene = Scene::set();
    let envelope = scene.runs_honestly();
    for crash in [true, false] {
        let links = scene.rogue.links();
        if crash {
            scene.agent.kill();
        } else {
            scene.agent.end();
        }
        scene.agent.start();
        scene.rogue.wait_link(links);
        scene.offer(&envelope);
    }
    let runs = scene.runs();
    scene.runs_honestly();
    assert_eq!((runs, scene.runs()), (1, 2), "the replayed order ran again");
}

#[test]
fn same_id_other_digest() {
    let scene = Scene::set();
    let mut order = scene.order();
    let first = sign_order(&order, scene.operator()).unwrap();
    scene.offer(&first);
    assert_eq!(scene.rogue.receipt(&first.digest(), &scene.key).status, "Success");
    if let Action::Script(ScriptAction { timeout_s, .. }) = &mut order.action {
        *timeout_s += 1;
    }
    let second = sign_order(&order, scene.operator()).unwrap();
    assert_ne!(first.digest(), second.digest());
    scene.offer(&second);
    let receipt = scene.rogue.receipt(&second.digest(), &scene.key);
    assert_eq!(
        (receipt.status.as_str(), receipt.check.as_deref()),
        ("Invalid", Some("replay")),
        "{:?}",
        receipt.reason
    );
    assert_eq!(scene.runs(), 1);
}

#[test]
fn the_clock_pushed_forward_by_dispatch() {
    let scene = Scene::set();
    let mut order = scene.order();
    // Ten years from now, signed by the stolen key: it must not make honest orders look expired afterwards.
    let later = now_ms() + 10 * 365 * 24 * 3_600_000;
    (order.issued_ms, order.not_before_ms, order.expires_ms) = (later, now_ms() - 1000, later + 60_000);
    let envelope = sign_order(&order, &scene.rogue.dispatch).unwrap();
    scene.offer(&envelope);
    assert_eq!(scene.rogue.receipt(&envelope.digest(), &scene.key).status, "Invalid");
    scene.runs_honestly();
}

#[test]
fn a_keyring_of_another_root_is_not_taken() {
    let scene = Scene::set();
    let attacker = orderly_tests::trust::Trust::new();
    let keyring = attacker.signed(&attacker.keyring(99, scene.rogue.dispatch.public(), &[])).to_json();
    scene.rogue.say(orderly_wire::to_agent::ToAgent::Keyring(orderly_wire::to_agent::KeyringUpdate { keyring }));
    scene.refused(&sign_order(&scene.order(), &attacker.operator).unwrap(), Check::Signature);
    scene.runs_honestly();
}

#[test]
fn link_proof_relayed_or_made_with_another_key() {
    let fleet = Fleet::start();
    let place = Place { address: fleet.address, tls: tls::client_config(&fleet.ca_pem()) };
    let code = fleet.api.activation(1).code;
    let agent = fleet.runtime.block_on(Simulated::enrol(&place, &code, "honest")).unwrap();
    let message = |exporter: &[u8; 32]| orderly_signing::proof::link_message("link", &agent.id, exporter);
    let relayed = |_: &[u8; 32]| agent.key.sign(&message(&[7; 32])).to_vec();
    let stranger = |exporter: &[u8; 32]| new_key().sign(&message(exporter)).to_vec();
    let honest = |exporter: &[u8; 32]| agent.key.sign(&message(exporter)).to_vec();
    let open =
        |prove: &dyn Fn(&[u8; 32]) -> Vec<u8>| fleet.runtime.block_on(open_link(&place, &agent.id, prove)).map(|_| ());
    for prove in [&relayed as &dyn Fn(&[u8; 32]) -> Vec<u8>, &stranger] {
        let error = open(prove).expect_err("a link with a wrong proof");
        assert!(error.to_string().contains("proof"), "{error:#}");
    }
    open(&honest).unwrap();
}

#[test]
fn a_poisoned_aot_cache_is_deleted_and_rebuilt() {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let view = fleet.publish_plugin("hello");
    let work = Work::plugin(&view, &[]);
    let honest = output_and_status(&fleet, &agent.id, &work);
    assert_eq!(honest.0, "Success", "{honest:?}");
    let cached = native_code(&agent.data);
    assert!(!cached.is_empty(), "no native code below {}", agent.data.display());
    for path in &cached {
        // One byte in the middle: native code that does something else, as far as anyone could tell.
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let mode = fs::metadata(path).unwrap().permissions();
        fs::remove_file(path).unwrap();
        fs::write(path, &bytes).unwrap();
        fs::set_permissions(path, mode).unwrap();
    }
    let poisoned: Vec<Digest> = cached.iter().map(|path| Digest::of(&fs::read(path).unwrap())).collect();
    // What the agent checked a moment ago it holds in sealed memory: the poisoned files do not even matter to it.
    assert_eq!(output_and_status(&fleet, &agent.id, &work), honest);
    agent.end();
    agent.start();
    assert_eq!(output_and_status(&fleet, &agent.id, &work), honest);
    for (path, poisoned) in cached.iter().zip(poisoned) {
        let now = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_ne!(Digest::of(&now), poisoned, "{} was kept", path.display());
    }
}

fn output_and_status(fleet: &Fleet, id: &InstanceId, work: &Work) -> (String, String) {
    let (_, task) = crate::native::run(fleet, id, work);
    (task.view.status.clone(), format!("{:?} {:?}", task.report, task.view.reason))
}

/// Files of native code (ELF images, with whatever stands before them) in an agent's data directory.
fn native_code(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(native_code(&path));
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(4).take(4096).any(|part| part == b"\x7fELF")) {
            found.push(path);
        }
    }
    found
}
