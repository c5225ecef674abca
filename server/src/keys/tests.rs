//! The files of the data directory, made once and healed after a crash.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::{KeyError, Keys, open};
use crate::tests::private_directory as directory;

fn opened(directory: &TempDir, names: &[&str]) -> Keys {
    open(directory.path(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn keys_are_made_once_and_private() {
    let directory = directory();
    let (first, second) = (opened(&directory, &[]), opened(&directory, &[]));
    assert_eq!(first.authority.fingerprint, second.authority.fingerprint);
    assert_eq!(first.chain, second.chain);
    assert_eq!(first.dispatch.public(), second.dispatch.public());
    for name in ["ca.key.pem", "dispatch.pem", "tls.pem"] {
        let mode = fs::metadata(directory.path().join("keys").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn another_name_makes_another_certificate_of_the_same_authority() {
    let directory = directory();
    let first = opened(&directory, &[]);
    let second = opened(&directory, &["orders.example.com"]);
    assert_eq!(first.authority.fingerprint, second.authority.fingerprint);
    assert_ne!(first.chain[0], second.chain[0]);
    assert_eq!(second.chain[1], second.authority.der);
    assert!(second.chain[0].windows(18).any(|window| window == b"orders.example.com"));
}

#[test]
fn a_start_that_was_cut_short_is_mended_by_the_next() {
    let directory = directory();
    let first = opened(&directory, &[]);
    // The crash came before the certificate of the authority was there.
    fs::remove_file(directory.path().join("ca.pem")).unwrap();
    let second = opened(&directory, &[]);
    assert_ne!(first.authority.fingerprint, second.authority.fingerprint);
    assert_ne!(first.chain[0], second.chain[0], "the certificate names its authority");
    // It came between the certificate and what is remembered of it.
    fs::remove_file(directory.path().join("keys/tls.json")).unwrap();
    opened(&directory, &[]);
    // It left a file half written beside its name.
    fs::write(directory.path().join("keys/tls.new"), "half").unwrap();
    opened(&directory, &[]);
}

#[test]
fn what_cannot_be_mended_says_what_to_do() {
    let lost = directory();
    opened(&lost, &[]);
    fs::remove_file(lost.path().join("keys/ca.key.pem")).unwrap();
    let error = open(lost.path(), &[]).unwrap_err();
    assert!(matches!(error, KeyError::AuthorityWithoutKey { .. }));
    assert!(error.to_string().contains("restore the key from a backup"));

    let error = open(directory().path(), &["not a name".to_owned()]).unwrap_err();
    assert!(matches!(error, KeyError::Name(name) if name == "not a name"));

    let open_to_all = directory();
    fs::set_permissions(open_to_all.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = open(open_to_all.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("chmod go="), "{error}");
}
