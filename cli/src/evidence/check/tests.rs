//! One test for each way in which evidence can lie.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;

use orderly_signing::keyring::{KeyringKey, Role, RoleKeys};
use orderly_signing::receipt::OutputDigest;
use orderly_signing::sign::{sign_keyring, sign_receipt};
use orderly_signing::verify::verify_keyring;
use orderly_signing::{PublicKey, SecretKey};
use orderly_wire::to_server::{Segment, Stream};

use super::super::{output_in, receipt_in, report_in};
use super::*;
use crate::order::{self, Frame, Script, Work};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn keyring() -> Verified<Keyring> {
    let (root, operator) = (key(1), key(2));
    let entry = |name: &str, key: PublicKey| KeyringKey { name: name.to_owned(), key };
    let holds = |key: &SecretKey| RoleKeys { threshold: 1, keys: vec![key.public().key_id()] };
    let keyring = Keyring {
        version: 1,
        revision: 1,
        fleet: "f".to_owned(),
        issued_ms: 1,
        expires_ms: i64::MAX,
        keys: vec![
            entry("root", root.public().clone()),
            entry("alice", operator.public().clone()),
            entry("dispatch", key(3).public().clone()),
        ],
        roles: BTreeMap::from([
            (Role::Root, holds(&root)),
            (Role::Operator, holds(&operator)),
            (Role::Dispatch, holds(&key(3))),
        ]),
        policy: Keyring::default_policy(),
    };
    let bytes = sign_keyring(&keyring, &root).unwrap().to_json();
    verify_keyring(&bytes, &keyring.root_fingerprint(), 0, 1).unwrap()
}

struct Case {
    dir: tempfile::TempDir,
    layout: Layout,
    order: Order,
    order_digest: Digest,
    instances: [SecretKey; 2],
}

fn id(key: &SecretKey) -> InstanceId {
    InstanceId::of(key.public())
}

fn output() -> KeptOutput {
    KeptOutput {
        head: vec![Segment { stream: Stream::Stdout, data: b"hello\n".to_vec() }],
        dropped_bytes: 0,
        tail: vec![],
    }
}

impl Case {
    fn new() -> Self {
        Self::of(None)
    }

    /// A case of an order with this series.
    fn of(series: Option<orderly_wire::http::series::RunSeries>) -> Self {
        let instances = [key(10), key(11)];
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let frame = Frame {
            principal: "alice".to_owned(),
            instances: instances.iter().map(id).collect(),
            deadline_s: 60,
            name: None,
            now_ms: 1_764_000_000_000,
            series,
            rollout: None,
        };
        let work = Work::Script(Script {
            interpreter: orderly_signing::order::ScriptKind::Shell,
            content: b"echo hello".to_vec(),
            user: None,
            cwd: None,
            timeout_s: 60,
            environment: BTreeMap::new(),
            output_bytes: 1024,
            options: orderly_wire::http::script::ScriptOptions::default(),
            dry_run: false,
        });
        let envelope = order::sign(&work, &frame, &key(2)).unwrap();
        fs::write(layout.order(), envelope.to_json()).unwrap();
        fs::write(layout.targets(), serde_json::to_vec(&frame.instances).unwrap()).unwrap();
        fs::create_dir_all(dir.path().join("instances")).unwrap();
        let order: Order = serde_json::from_slice(&envelope.payload).unwrap();
        let case = Self { dir, layout, order, order_digest: envelope.digest(), instances };
        for instance in &case.instances {
            fs::create_dir_all(case.layout.task(&id(instance))).unwrap();
            fs::write(case.layout.instance_key(&id(instance)), instance.public().to_spki_pem()).unwrap();
            fs::write(output_in(&case.layout.task(&id(instance))), serde_json::to_vec(&output()).unwrap()).unwrap();
            case.put_receipt(instance, instance, |_| {});
        }
        case
    }

    /// Writes a receipt of `about` that `signer` signs.
    fn put_receipt(&self, about: &SecretKey, signer: &SecretKey, change: impl FnOnce(&mut Receipt)) {
        let mut receipt = Receipt {
            version: 1,
            order: self.order_digest,
            invocation: self.order.invocation.clone(),
            instance: id(about),
            generation: 1,
            series: None,
            status: "Success".to_owned(),
            code: None,
            reason: None,
            check: None,
            exit_code: Some(0),
            output: OutputDigest { sha256: Digest::of(b"hello\n"), bytes: 6, stdout_bytes: 6, stderr_bytes: 0 },
            report: None,
            started_ms: Some(1),
            finished_ms: 2,
            used: vec![],
            agent: "0.1.0".to_owned(),
        };
        change(&mut receipt);
        fs::write(receipt_in(&self.layout.task(&id(about))), sign_receipt(&receipt, signer).unwrap().to_json())
            .unwrap();
    }

    fn check(&self) -> Checked {
        check(self.dir.path(), &keyring()).unwrap()
    }
}

fn is_wrong(proof: &Proof) -> bool {
    matches!(proof, Proof::Wrong(_))
}

#[test]
fn honest_evidence_holds() {
    let checked = Case::new().check();
    assert!(checked.holds(true), "{checked:?}");
    assert_eq!(checked.proven(), 2);
    assert_eq!(checked.signers, ["alice (operator)"]);
}

#[test]
fn order_changed_after_signing() {
    let case = Case::new();
    let text = fs::read_to_string(case.layout.order()).unwrap();
    let mut envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
    envelope["payload"] = serde_json::Value::String("e30=".to_owned());
    fs::write(case.layout.order(), envelope.to_string()).unwrap();
    let failure = check(case.dir.path(), &keyring()).unwrap_err();
    assert_eq!(failure.exit() as i32, 6);
    assert!(failure.causes()[0].starts_with("signature:"), "{:?}", failure.causes());
}

#[test]
fn target_left_out_or_added() {
    let case = Case::new();
    for list in [vec![id(&case.instances[0])], vec![id(&case.instances[0]), id(&key(12))]] {
        fs::write(case.layout.targets(), serde_json::to_vec(&list).unwrap()).unwrap();
        assert!(is_wrong(&case.check().targets));
    }
}

#[test]
fn forged_receipt() {
    let case = Case::new();
    case.put_receipt(&case.instances[0], &key(66), |_| {});
    let checked = case.check();
    assert!(checked.lines.iter().any(|line| is_wrong(&line.receipt)));
    assert!(!checked.holds(false));
}

#[test]
fn instance_id_claimed_by_another_key() {
    let case = Case::new();
    let attacker = key(66);
    fs::write(case.layout.instance_key(&id(&case.instances[0])), attacker.public().to_spki_pem()).unwrap();
    case.put_receipt(&case.instances[0], &attacker, |_| {});
    assert!(case.check().lines.iter().any(|line| is_wrong(&line.receipt)));
}

#[test]
fn a_script_that_only_the_server_signed_did_not_run_on_an_honest_instance() {
    let case = Case::new();
    let mut envelope = orderly_signing::Envelope::parse(&fs::read(case.layout.order()).unwrap()).unwrap();
    envelope.signatures.clear();
    envelope.add_signature(&key(3));
    fs::write(case.layout.order(), envelope.to_json()).unwrap();
    let checked = case.check();
    assert_eq!(checked.signers, ["dispatch (dispatch)"]);
    assert!(checked.lacking.as_ref().is_some_and(|lacking| lacking.contains("operator")), "{checked:?}");
    assert!(checked.lines.iter().all(|line| is_wrong(&line.receipt)) && !checked.holds(false));
    // That instances refused it is what honest ones say.
    for instance in &case.instances {
        fs::remove_file(output_in(&case.layout.task(&id(instance)))).unwrap();
        case.put_receipt(instance, instance, |receipt| {
            (receipt.status, receipt.started_ms, receipt.exit_code) = ("Invalid".to_owned(), None, None);
            receipt.output = OutputDigest::none();
        });
    }
    assert!(case.check().holds(true));
}

#[test]
fn standard_output_shown_as_standard_error() {
    let case = Case::new();
    let mut changed = output();
    changed.head[0].stream = Stream::Stderr;
    fs::write(output_in(&case.layout.task(&id(&case.instances[0]))), serde_json::to_vec(&changed).unwrap()).unwrap();
    assert!(case.check().lines.iter().any(|line| is_wrong(&line.output)));
}

#[test]
fn receipt_for_another_order() {
    let case = Case::new();
    case.put_receipt(&case.instances[0], &case.instances[0], |receipt| receipt.order = Digest::of(b"another"));
    assert!(case.check().lines.iter().any(|line| is_wrong(&line.receipt)));
}

#[test]
fn receipt_of_another_instance() {
    let case = Case::new();
    let bytes = fs::read(receipt_in(&case.layout.task(&id(&case.instances[1])))).unwrap();
    fs::write(receipt_in(&case.layout.task(&id(&case.instances[0]))), bytes).unwrap();
    assert!(case.check().lines.iter().any(|line| is_wrong(&line.receipt)));
}

#[test]
fn output_changed() {
    let case = Case::new();
    let mut changed = output();
    changed.head[0].data = b"hullo\n".to_vec();
    fs::write(output_in(&case.layout.task(&id(&case.instances[0]))), serde_json::to_vec(&changed).unwrap()).unwrap();
    assert!(case.check().lines.iter().any(|line| is_wrong(&line.output)));
    changed.head[0].data.push(b'!');
    fs::write(output_in(&case.layout.task(&id(&case.instances[0]))), serde_json::to_vec(&changed).unwrap()).unwrap();
    assert!(case.check().lines.iter().any(|line| is_wrong(&line.output)));
}

#[test]
fn report_changed_added_or_missing() {
    let case = Case::new();
    let first = &case.instances[0];
    fs::write(report_in(&case.layout.task(&id(first))), b"{}").unwrap();
    assert!(case.check().lines.iter().any(|line| is_wrong(&line.report)));
    case.put_receipt(first, first, |receipt| receipt.report = Some(Digest::of(b"{}")));
    assert!(case.check().holds(true));
    fs::write(report_in(&case.layout.task(&id(first))), b"{ }").unwrap();
    assert!(!case.check().holds(false));
    fs::remove_file(report_in(&case.layout.task(&id(first)))).unwrap();
    let checked = case.check();
    assert!(checked.holds(false) && !checked.holds(true));
}

#[test]
fn a_missing_receipt_is_unknown_not_right() {
    let case = Case::new();
    fs::remove_file(receipt_in(&case.layout.task(&id(&case.instances[0])))).unwrap();
    let checked = case.check();
    assert_eq!(checked.proven(), 1);
    assert!(checked.holds(false) && !checked.holds(true));
}

/// An hourly series whose first instance had three runs, the second none.
fn series() -> Case {
    let hourly = serde_json::json!({ "due": { "frequency": "rate(1h)" } });
    let case = Case::of(Some(serde_json::from_value(hourly).unwrap()));
    let mut previous = None;
    for instance in &case.instances {
        for file in [receipt_in, output_in] {
            fs::remove_file(file(&case.layout.task(&id(instance)))).unwrap();
        }
    }
    for run in 1..=3 {
        previous = Some(put_run(&case, run, run, previous));
    }
    case
}

fn run_dir(case: &Case, number: u32) -> std::path::PathBuf {
    case.layout.runs(&id(&case.instances[0])).join(number.to_string())
}

/// Writes the receipt and output of this run at the place of that number; answers the receipt's digest.
fn put_run(case: &Case, place: u32, generation: u32, previous: Option<Digest>) -> Digest {
    let dir = run_dir(case, place);
    fs::create_dir_all(&dir).unwrap();
    let task = case.layout.task(&id(&case.instances[0]));
    case.put_receipt(&case.instances[0], &case.instances[0], |receipt| {
        receipt.generation = generation;
        receipt.series = Some(orderly_signing::receipt::SeriesRun { scheduled_ms: 1, previous });
    });
    fs::rename(receipt_in(&task), receipt_in(&dir)).unwrap();
    fs::write(output_in(&dir), serde_json::to_vec(&output()).unwrap()).unwrap();
    orderly_signing::Envelope::parse(&fs::read(receipt_in(&dir)).unwrap()).unwrap().digest()
}

/// What is said of the receipts of the first instance's runs.
fn of_runs(checked: &Checked) -> Vec<(u32, &Proof)> {
    checked.lines.iter().filter_map(|line| Some((line.run?, &line.receipt))).collect()
}

#[test]
fn runs_of_a_series_hold_from_the_first_to_the_last() {
    let checked = series().check();
    assert_eq!(of_runs(&checked), [(1, &Proof::Right), (2, &Proof::Right), (3, &Proof::Right)]);
    assert!(checked.holds(false) && !checked.holds(true), "the other instance had no run: {checked:?}");
    assert_eq!((checked.lines.len(), checked.proven()), (4, 3));
}

#[test]
fn run_left_out_of_a_series() {
    let case = series();
    fs::remove_dir_all(run_dir(&case, 2)).unwrap();
    assert!(is_wrong(of_runs(&case.check())[1].1));
    fs::remove_dir_all(run_dir(&case, 1)).unwrap();
    assert!(is_wrong(of_runs(&case.check())[0].1), "the first run is not the first");
}

#[test]
fn run_moved_or_put_into_a_series() {
    let case = series();
    fs::rename(run_dir(&case, 3), run_dir(&case, 4)).unwrap();
    assert!(is_wrong(of_runs(&case.check())[2].1));
    let case = series();
    put_run(&case, 3, 3, Some(Digest::of(b"another past")));
    assert!(is_wrong(of_runs(&case.check())[2].1));
}

#[test]
fn a_run_without_its_receipt_is_unknown_and_so_is_what_follows() {
    let case = series();
    fs::remove_file(receipt_in(&run_dir(&case, 2))).unwrap();
    let checked = case.check();
    let runs = of_runs(&checked);
    assert!(matches!((runs[1].1, runs[2].1), (Proof::Unknown(_), Proof::Unknown(_))), "{runs:?}");
    assert!(checked.holds(false) && !checked.holds(true));
}

#[test]
fn runs_of_a_series_hidden_behind_one_of_them() {
    let case = series();
    let task = case.layout.task(&id(&case.instances[0]));
    fs::copy(receipt_in(&run_dir(&case, 3)), receipt_in(&task)).unwrap();
    fs::remove_dir_all(case.layout.runs(&id(&case.instances[0]))).unwrap();
    let checked = case.check();
    assert!(checked.lines.iter().any(|line| is_wrong(&line.receipt)) && !checked.holds(false), "{checked:?}");
    // That the instance refused the order is no run.
    case.put_receipt(&case.instances[0], &case.instances[0], |receipt| {
        (receipt.status, receipt.started_ms, receipt.exit_code) = ("Invalid".to_owned(), None, None);
        receipt.output = OutputDigest::none();
    });
    assert!(case.check().holds(false));
}
