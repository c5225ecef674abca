//! The readers against databases that rpm itself, SQLite and Berkeley DB made, and against damage.
//!
//! `fixtures/rpmdb.sqlite` was written by rpm 4.18 (its indexes were dropped), `logged.sqlite` is the same with a change that
//! is in the log only, `Packages` was loaded by `db5.3_load` and is read by rpm, `Packages.db` was written by the format's
//! description.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use orderly_plugin::testing::FakeFile;
use proptest::prelude::*;

use super::{Fault, Found, bdb, header, ndb, sqlite};

const SQLITE: &[u8] = include_bytes!("../../fixtures/rpmdb.sqlite");
const LOGGED: &[u8] = include_bytes!("../../fixtures/logged.sqlite");
const LOG: &[u8] = include_bytes!("../../fixtures/logged.sqlite-wal");
const NDB: &[u8] = include_bytes!("../../fixtures/Packages.db");
const BDB: &[u8] = include_bytes!("../../fixtures/Packages");

/// What `rpm -qa` prints for the database that the fixtures come from.
const EXPECTED: [&str; 8] = [
    "alpha 1.0-1 noarch alpha",
    "beta 2.3.4-5.el9 noarch beta",
    "delta-libs 3:10-2 noarch delta-libs",
    "epsilon 7-1 noarch epsilon",
    "eta 4-4 noarch eta",
    "gamma 0.1-0.rc1 noarch gamma",
    "theta-devel 5.14-362.el9 noarch theta-devel",
    "zeta 1:1.1.1-9 noarch zeta",
];

fn file(bytes: &[u8]) -> FakeFile {
    FakeFile(bytes.to_vec())
}

fn names(found: &Found) -> Vec<String> {
    let packages = found.packages.iter();
    let mut names = packages
        .map(|package| format!("{} {} {} {}", package.name, package.version, package.architecture, package.source))
        .collect::<Vec<_>>();
    names.sort();
    names
}

#[test]
fn every_kind_of_database_gives_the_same_packages() {
    let found = [
        sqlite::packages(&file(SQLITE), None).unwrap(),
        sqlite::packages(&file(SQLITE), Some(&file(b""))).unwrap(),
        ndb::packages(&file(NDB)).unwrap(),
        bdb::packages(&file(BDB)).unwrap(),
    ];
    for found in &found {
        assert_eq!((names(found), found.unreadable), (EXPECTED.map(str::to_owned).to_vec(), 0));
    }
}

#[test]
fn a_change_that_is_only_in_the_log_counts() {
    let without = sqlite::packages(&file(LOGGED), None).unwrap();
    let with = sqlite::packages(&file(LOGGED), Some(&file(LOG))).unwrap();
    assert_eq!((without.packages.len(), with.packages.len()), (8, 7));
}

#[test]
fn a_torn_log_does_not_count() {
    let mut torn = LOG.to_vec();
    let last = torn.len() - 1;
    torn[last] ^= 1;
    assert_eq!(sqlite::packages(&file(LOGGED), Some(&file(&torn))).unwrap().packages.len(), 8);
    let short = file(&LOG[..LOG.len() - 1]);
    assert_eq!(sqlite::packages(&file(LOGGED), Some(&short)).unwrap().packages.len(), 8);
}

#[test]
fn a_file_of_another_kind_is_refused() {
    assert!(matches!(sqlite::packages(&file(NDB), None), Err(Fault::Format(_))));
    assert!(matches!(ndb::packages(&file(SQLITE)), Err(Fault::Format(_))));
    assert!(matches!(bdb::packages(&file(SQLITE)), Err(Fault::Format(_))));
    assert!(matches!(sqlite::packages(&file(b""), None), Err(Fault::Format(_))));
}

#[test]
fn pages_that_point_at_themselves_end() {
    let mut looped = SQLITE.to_vec();
    // The root of the schema becomes an inner page whose right child is itself.
    looped[100] = 0x05;
    looped[103..105].copy_from_slice(&[0, 0]);
    looped[108..112].copy_from_slice(&1_u32.to_be_bytes());
    assert!(matches!(sqlite::packages(&file(&looped), None), Err(Fault::Format(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = header::package(&bytes);
        let _ = sqlite::packages(&file(&bytes), Some(&file(&bytes)));
        let _ = ndb::packages(&file(&bytes));
        let _ = bdb::packages(&file(&bytes));
    }

    #[test]
    fn damage_is_an_error_or_a_lesser_list(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        near in proptest::collection::vec((0_usize..200, any::<u8>()), 0..4),
    ) {
        for (kind, original) in [SQLITE, NDB, BDB].into_iter().enumerate() {
            let mut bytes = original.to_vec();
            for (place, value) in &places {
                let at = place.index(bytes.len());
                bytes[at] = *value;
            }
            for (place, value) in &near {
                bytes[*place] = *value;
            }
            let damaged = file(&bytes);
            let _ = match kind {
                0 => sqlite::packages(&damaged, Some(&file(LOG))),
                1 => ndb::packages(&damaged),
                _ => bdb::packages(&damaged),
            };
        }
    }
}
