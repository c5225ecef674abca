//! What we sign verifies with tools of others, and what they sign verifies with us.
//!
//! Python (`cryptography` and `securesystemslib`, in a virtual environment that the test makes under the target
//! directory) and `openssl`. Where a tool or the network is missing, the test says so and passes on a developer's
//! machine, and fails where `CI` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "fixture/fleet.rs"]
mod fleet;
#[path = "fixture/python.rs"]
mod python;

use std::{env, fs, path::Path, process::Command};

use fleet::{COMPONENT, Fleet, NOW, predicate, script};
use orderly_signing::{Digest, Envelope, InstanceId, PublicKey, SecretKey, key::file, sign, verify};
use python::{or_skip, run};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Writes an order, a statement and a receipt that we signed, with the keys, as `interop.py` and `VERIFYING.md` name them.
fn write_documents(fleet: &Fleet, dir: &Path) -> Digest {
    let order = sign::sign_order(&fleet.order(script()), &fleet.operators[0]).unwrap();
    let statement = sign::sign_statement(Digest::of(COMPONENT), predicate(), &fleet.publisher).unwrap();
    let receipt = sign::sign_receipt(&fleet.receipt(order.digest()), &fleet.instances[0]).unwrap();
    let documents: [(&str, &Envelope, &SecretKey); 3] = [
        ("order", &order, &fleet.operators[0]),
        ("statement", &statement, &fleet.publisher),
        ("receipt", &receipt, &fleet.instances[0]),
    ];
    for (name, envelope, key) in documents {
        fs::write(dir.join(format!("{name}.json")), envelope.to_json()).unwrap();
        file::save_public(dir.join(format!("{name}.pub.pem")), key.public()).unwrap();
        file::save_secret(dir.join(format!("{name}.key.pem")), key).unwrap();
    }
    let targets: Vec<InstanceId> = fleet.ids().into_iter().take(4).rev().collect();
    fs::write(dir.join("targets.json"), serde_json::to_vec(&targets).unwrap()).unwrap();
    order.digest()
}

#[test]
fn python_verifies_ours_and_we_verify_pythons() {
    let Some(python) = or_skip(python::with("interop-venv", &format!("{HERE}/tests/interop/requirements.txt"))) else {
        return;
    };
    let (fleet, dir) = (Fleet::new(), tempfile::tempdir().unwrap());
    let digest = write_documents(&fleet, dir.path());
    let said = run(Command::new(python).arg(format!("{HERE}/tests/interop/interop.py")).arg(dir.path())).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let expected = [
        "verified order",
        "verified statement",
        "verified receipt",
        "verified instance id and order digest",
        "verified targets",
        "signed order",
        "signed statement",
        "signed receipt",
    ];
    assert_eq!(lines, expected);

    let theirs = |name: &str| fs::read(dir.path().join(format!("python-{name}.json"))).unwrap();
    let (keyring, me) = (fleet.verified_keyring(), &fleet.ids()[0]);
    let proof = fleet.targets().proof(me).unwrap();
    let order = verify::verify_order(&theirs("order"), &keyring, me, Digest::ZERO, &proof, NOW).unwrap();
    assert_eq!(*order, fleet.order(script()));
    assert_eq!(order.operators(), 1);
    assert_ne!(order.digest(), digest, "other white space is another document, and is kept as it came");
    let statement = verify::verify_statement(&theirs("statement"), fleet.publisher.public()).unwrap();
    assert_eq!(statement.predicate, predicate());
    let receipt = verify::verify_receipt(&theirs("receipt"), fleet.instances[0].public()).unwrap();
    verify::check_receipt_for(&receipt, &digest).unwrap();
}

#[test]
fn openssl_verifies_as_the_document_says() {
    let Some(_) = or_skip(run(Command::new("openssl").arg("version"))) else { return };
    let (fleet, dir) = (Fleet::new(), tempfile::tempdir().unwrap());
    let digest = write_documents(&fleet, dir.path());
    let document = fs::read_to_string(format!("{HERE}/VERIFYING.md")).unwrap();
    let script: String = document.split("```sh\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    let shell = |script: &str| run(Command::new("sh").args(["-euc", script]).current_dir(dir.path()));
    let said = shell(&script).unwrap();
    assert!(said.contains("Signature Verified Successfully"), "{said}");
    assert!(said.contains(&digest.hex()), "{said}");
    assert!(said.contains(&fleet.operators[0].public().key_id().to_string()), "{said}");
    assert!(said.contains(InstanceId::of(fleet.instances[0].public()).as_str()), "{said}");
    // The same lines on a changed order fail.
    let mut order = Envelope::parse(&fs::read(dir.path().join("order.json")).unwrap()).unwrap();
    order.payload[20] ^= 1;
    fs::write(dir.path().join("order.json"), order.to_json()).unwrap();
    assert!(shell(&script).unwrap_err().contains("Signature Verification Failure"));
}

#[test]
fn openssl_reads_our_keys_and_we_read_its() {
    let Some(_) = or_skip(run(Command::new("openssl").arg("version"))) else { return };
    let (fleet, dir) = (Fleet::new(), tempfile::tempdir().unwrap());
    write_documents(&fleet, dir.path());
    let openssl =
        |arguments: &str| run(Command::new("openssl").args(arguments.split(' ')).current_dir(dir.path())).unwrap();
    assert_eq!(openssl("pkey -in order.key.pem -pubout"), fleet.operators[0].public().to_spki_pem());
    assert_eq!(openssl("pkey -in order.key.pem"), *fleet.operators[0].to_pkcs8_pem());

    openssl("genpkey -algorithm ed25519 -out theirs.key.pem");
    openssl("pkey -in theirs.key.pem -pubout -out theirs.pub.pem");
    // openssl makes its file 0600 by itself.
    let secret = file::load_secret(dir.path().join("theirs.key.pem")).unwrap();
    let public: PublicKey = file::load_public(dir.path().join("theirs.pub.pem")).unwrap();
    assert_eq!(*secret.public(), public);
    fs::write(dir.path().join("message"), b"message").unwrap();
    openssl("pkeyutl -sign -inkey theirs.key.pem -rawin -in message -out signature");
    let signature: [u8; 64] = fs::read(dir.path().join("signature")).unwrap().try_into().unwrap();
    assert!(public.verify(b"message", &signature));
    assert_eq!(secret.sign(b"message"), signature);
}
