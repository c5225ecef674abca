//! Documents as they were first released. What was signed once must verify for ever, so these files never change;
//! a new format is a new version with files of its own.
//!
//! Ed25519 signatures are deterministic, so the files are compared byte for byte. To add the file of a new document, run
//! with `GOLDEN_ADD=1`: it writes files that are missing and never one that is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "fixture/fleet.rs"]
mod fleet;

use std::{env, fs, path::Path};

use fleet::{COMPONENT, Fleet, MANIFEST, NOW, plugin, predicate, script};
use orderly_signing::{
    Check, Digest, Envelope,
    order::{Action, Order},
    receipt::{Receipt, SeriesRun, Use},
    sign, verify,
};

/// Compares with the file and gives back its bytes, so that what is verified is the file.
fn golden(name: &str, envelope: &Envelope) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let json = String::from_utf8(envelope.to_json()).unwrap();
    let payload = String::from_utf8(envelope.payload.clone()).unwrap();
    let text = format!("{json}\n");
    if env::var_os("GOLDEN_ADD").is_some() && !path.exists() {
        fs::write(&path, &text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        found, text,
        "{name} is written in another way than when it was released; its payload is now\n{payload}"
    );
    found.into_bytes()
}

#[test]
fn keyring() {
    let fleet = Fleet::new();
    let bytes = golden("keyring", &fleet.signed_keyring(&fleet.keyring()));
    let pin: Digest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/keyring.pin"))
        .unwrap_or_else(|error| panic!("keyring.pin ({}): {error}", fleet.keyring().root_fingerprint()))
        .trim()
        .parse()
        .unwrap();
    assert_eq!(*verify::verify_keyring(&bytes, &pin, 7, NOW).unwrap(), fleet.keyring());
}

#[test]
fn orders() {
    let fleet = Fleet::new();
    let keyring = fleet.verified_keyring();
    let stop = Action::Stop { order: Digest::of(b"order"), invocation: "t-0001".to_owned() };
    for (name, action, key) in [
        ("order-script", script(), &fleet.operators[0]),
        ("order-plugin", plugin(), &fleet.dispatch),
        ("order-stop", stop, &fleet.dispatch),
    ] {
        let order: Order = fleet.order(action);
        let bytes = golden(name, &sign::sign_order(&order, key).unwrap());
        assert_eq!(*verify::verify_order_offline(&bytes, &keyring).unwrap(), order);
    }
}

#[test]
fn statement_and_approval() {
    let fleet = Fleet::new();
    let statement =
        golden("statement", &sign::sign_statement(Digest::of(COMPONENT), predicate(), &fleet.publisher).unwrap());
    let approval = golden("approval", &Envelope::parse(&fleet.signed_approval(&fleet.approval())).unwrap());
    let keyring = fleet.verified_keyring();
    let plugin =
        verify::verify_plugin(None, &keyring, Digest::of(COMPONENT), MANIFEST, &statement, &approval, NOW).unwrap();
    assert_eq!(plugin.name, "os-audit");
}

#[test]
fn receipts() {
    let fleet = Fleet::new();
    let ran = Receipt {
        used: vec![Use { capability: "files.read /etc/**".to_owned(), count: 12 }],
        report: Some(Digest::of(b"report")),
        ..fleet.receipt(Digest::of(b"order"))
    };
    let refused = Receipt {
        status: "Invalid".to_owned(),
        code: Some("OrderRefused".to_owned()),
        reason: Some("the order could be accepted until 5 ms ago".to_owned()),
        check: Some(Check::Expired.code().to_owned()),
        exit_code: None,
        output: orderly_signing::receipt::OutputDigest::none(),
        started_ms: None,
        ..fleet.receipt(Digest::of(b"order"))
    };
    let series = Receipt {
        generation: 2,
        series: Some(SeriesRun { scheduled_ms: NOW, previous: Some(Digest::of(b"receipt")) }),
        ..fleet.receipt(Digest::of(b"order"))
    };
    for (name, receipt) in [("receipt-success", ran), ("receipt-refused", refused), ("receipt-series", series)] {
        let bytes = golden(name, &sign::sign_receipt(&receipt, &fleet.instances[0]).unwrap());
        assert_eq!(*verify::verify_receipt(&bytes, fleet.instances[0].public()).unwrap(), receipt);
    }
}
