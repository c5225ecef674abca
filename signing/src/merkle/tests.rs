//! Tests of the tree: known answers of RFC 6962, every size and place up to 70, and proofs that must not hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::key::SecretKey;

/// The leaves that Certificate Transparency's own tests use, and the roots of the first 1 to 8 of them.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(hex: &str) -> Digest {
    format!("sha256:{hex}").parse().unwrap()
}

fn known_leaves(count: usize) -> Vec<Digest> {
    LEAVES[..count].iter().map(|leaf| leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap())).collect()
}

fn numbered_leaves(count: u32) -> Vec<Digest> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

fn set_of(levels: Vec<Vec<Digest>>) -> TargetSet {
    TargetSet { targets: Vec::new(), levels }
}

fn instances(count: u8) -> Vec<InstanceId> {
    (0..count).map(|n| InstanceId::of(SecretKey::from_seed([n; 32]).public())).collect()
}

/// MTH of RFC 6962, section 2.1, word by word.
fn mth(leaves: &[Digest]) -> Digest {
    match leaves {
        [one] => *one,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

#[test]
fn roots_are_the_known_answers() {
    for (index, root) in ROOTS.iter().enumerate() {
        assert_eq!(root_of(&tree(known_leaves(index + 1))), hash(root), "{} leaves", index + 1);
    }
    assert_eq!(root_of(&[]).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn paths_are_the_known_answers() {
    let answers: [(usize, usize, &[&str]); 4] = [
        (1, 0, &[]),
        (
            8,
            0,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            8,
            5,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (3, 2, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    ];
    for (count, index, hashes) in answers {
        let expected: Vec<Digest> = hashes.iter().map(|text| hash(text)).collect();
        assert_eq!(set_of(tree(known_leaves(count))).path(index).hashes, expected, "leaf {index} of {count}");
    }
}

#[test]
fn every_leaf_of_every_size_is_proven_and_nothing_else_is() {
    for count in 1..70_u32 {
        let leaves = numbered_leaves(count);
        let set = set_of(tree(leaves.clone()));
        let (root, size) = (set.root(), u64::from(count));
        assert_eq!(root, mth(&leaves), "{count} leaves");
        for (index, leaf) in leaves.iter().enumerate() {
            let proof = set.path(index);
            assert!(verify_inclusion(size, &root, *leaf, &proof), "leaf {index} of {count}");
            let holds = |size: u64, leaf: Digest, change: &dyn Fn(&mut TargetProof)| {
                let mut proof = proof.clone();
                change(&mut proof);
                verify_inclusion(size, &root, leaf, &proof)
            };
            for other in 0..count + 2 {
                let moved = holds(size, *leaf, &|proof| proof.index = u64::from(other));
                assert_eq!(moved, other as usize == index, "leaf {index} of {count}, said to be {other}");
            }
            assert!(!holds(size, leaf_hash(b"another"), &|_| ()), "another leaf");
            assert!(!holds(size, *leaf, &|proof| proof.hashes.push(Digest::ZERO)), "extended");
            assert!(!holds(size, *leaf, &|proof| proof.hashes.insert(0, Digest::ZERO)), "extended below");
            assert!(!holds(size, *leaf, &|proof| proof.hashes.resize(1000, Digest::ZERO)), "very long");
            assert!(!holds(size, *leaf, &|proof| proof.index = u64::MAX), "far outside");
            assert!(!holds(0, *leaf, &|_| ()), "no leaves");
            if !proof.hashes.is_empty() {
                assert!(!holds(size, *leaf, &|proof| proof.hashes.truncate(proof.hashes.len() - 1)), "shortened");
                assert!(!holds(size, *leaf, &|proof| _ = proof.hashes.remove(0)), "shortened below");
                for wrong in 0..proof.hashes.len() {
                    assert!(!holds(size, *leaf, &|proof| proof.hashes[wrong] = Digest::ZERO), "wrong hash {wrong}");
                }
            }
        }
    }
}

#[test]
fn a_node_is_no_leaf_and_a_leaf_no_node() {
    let leaves = numbered_leaves(4);
    let set = set_of(tree(leaves.clone()));
    // The content of an inner node, shown as the content of a leaf in a tree that is half as large.
    let inner = [leaves[0].as_bytes().as_slice(), leaves[1].as_bytes()].concat();
    let proof = TargetProof { index: 0, hashes: vec![set.levels[1][1]] };
    assert!(!verify_inclusion(2, &set.root(), leaf_hash(&inner), &proof));
    // Without the prefixes it would hold: the hash of the node itself, taken as the leaf's, does.
    assert!(verify_inclusion(2, &set.root(), node_hash(&leaves[0], &leaves[1]), &proof));
    assert_ne!(leaf_hash(&inner), node_hash(&leaves[0], &leaves[1]));
}

#[test]
fn a_set_is_sorted_unique_and_not_empty() {
    let ids = instances(5);
    let set = TargetSet::of_instances(ids.clone()).unwrap();
    let backwards = TargetSet::of_instances(ids.iter().rev().cloned()).unwrap();
    assert_eq!(set.root(), backwards.root());
    assert_eq!((set.count(), set.iter().len()), (5, 5));
    assert!(set.iter().map(|target| &target.instance).is_sorted());
    assert_eq!(TargetSet::new(Vec::new()).unwrap_err(), TargetError::Empty);
    let twice = [ids[0].clone(), ids[1].clone(), ids[0].clone()];
    assert_eq!(TargetSet::of_instances(twice).unwrap_err(), TargetError::Duplicate(ids[0].clone()));
    let secrets = [Digest::ZERO, Digest::of(b"s")];
    let twice = secrets.map(|secrets| Target { instance: ids[0].clone(), secrets });
    assert_eq!(TargetSet::new(twice.to_vec()).unwrap_err(), TargetError::Duplicate(ids[0].clone()));
    assert_eq!(set.proof(&instances(6)[5]), None);
}

#[test]
fn the_leaf_is_the_id_a_zero_and_the_secrets() {
    let id = instances(1).remove(0);
    let set = TargetSet::of_instances([id.clone()]).unwrap();
    let leaf = [&[0], id.as_str().as_bytes(), &[0; 33]].concat();
    assert_eq!(set.root(), Digest::of(&leaf));
}

proptest! {
    #[test]
    fn each_target_is_proven_with_its_own_secrets_only(count in 1_u8..40, with in any::<u64>(), pick in any::<prop::sample::Index>()) {
        let targets: Vec<Target> = instances(count)
            .into_iter()
            .enumerate()
            .map(|(n, instance)| {
                let secrets = if with >> n & 1 == 1 { Digest::of(instance.as_str().as_bytes()) } else { Digest::ZERO };
                Target { instance, secrets }
            })
            .collect();
        let chosen = targets[pick.index(targets.len())].clone();
        let set = TargetSet::new(targets).unwrap();
        let said = set.targets();
        for (target, proof) in set.proofs() {
            prop_assert!(verify_target(&said, &target.instance, target.secrets, &proof));
            prop_assert_eq!(&proof, &set.proof(&target.instance).unwrap());
            let same = target.instance == chosen.instance;
            prop_assert_eq!(verify_target(&said, &chosen.instance, chosen.secrets, &proof), same);
        }
        let proof = set.proof(&chosen.instance).unwrap();
        prop_assert!(!verify_target(&said, &chosen.instance, Digest::of(b"swapped"), &proof));
        let json = serde_json::to_string(&proof).unwrap();
        prop_assert_eq!(serde_json::from_str::<TargetProof>(&json).unwrap(), proof);
    }
}
