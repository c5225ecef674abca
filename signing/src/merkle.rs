//! The set of targets of an order, as the root of an RFC 6962 Merkle tree, and proofs that an instance is in it.
//!
//! Owns the leaf format (`instance id ‖ 0x00 ‖ 32 bytes`), the tree and the check of a proof. One signature over
//! [`Targets`] serves one instance or a million, and each gets log2(n) hashes. It never signs or verifies anything.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{digest::Digest, instance::InstanceId};

/// Most targets of one order. Its tree takes 64 bytes for each while it is built.
pub const MAX_TARGETS: usize = 2_000_000;

/// Longest proof: more hashes than a tree of `MAX_TARGETS` leaves has levels are never looked at.
pub const MAX_PROOF_HASHES: usize = 21;

/// One instance that an order is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The instance.
    pub instance: InstanceId,
    /// Digest of the secrets that are sealed to it, [`Digest::ZERO`] when there are none.
    pub secrets: Digest,
}

/// What an order says about its targets; it is signed with the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// How many there are.
    pub count: u64,
    /// Root of the tree over them.
    pub root: Digest,
}

/// The proof that one leaf is in the tree of a root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetProof {
    /// Place of the leaf, from 0.
    pub index: u64,
    /// The siblings on the way to the root, from the leaf up.
    pub hashes: Vec<Digest>,
}

/// Instances cannot be the targets of an order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// No instance at all.
    #[error("an order needs at least one target")]
    Empty,
    /// More than [`MAX_TARGETS`].
    #[error("{found} targets are too many for one order, at most {MAX_TARGETS} are allowed")]
    TooMany {
        /// How many there were.
        found: usize,
    },
    /// One instance twice.
    #[error("instance `{0}` is named twice")]
    Duplicate(InstanceId),
}

/// A set of targets with its whole tree: sorted, each once, at least one.
#[derive(Clone)]
pub struct TargetSet {
    targets: Vec<Target>,
    /// Level 0 is the leaves' hashes, the last level is the root alone. An odd node at the end of a level goes up as
    /// it is, which gives the tree of RFC 6962 (whose left part is the largest full tree).
    levels: Vec<Vec<Digest>>,
}

impl TargetSet {
    /// Sorts the targets and builds the tree once; proofs are then only read from it.
    ///
    /// # Errors
    /// None, too many, or one twice.
    pub fn new(mut targets: Vec<Target>) -> Result<Self, TargetError> {
        if targets.len() > MAX_TARGETS {
            return Err(TargetError::TooMany { found: targets.len() });
        }
        targets.sort_unstable();
        if let Some([twice, _]) = targets.array_windows().find(|[a, b]| a.instance == b.instance) {
            return Err(TargetError::Duplicate(twice.instance.clone()));
        }
        let leaves: Vec<Digest> =
            targets.iter().map(|target| leaf_hash(&leaf(&target.instance, &target.secrets))).collect();
        if leaves.is_empty() {
            return Err(TargetError::Empty);
        }
        Ok(Self { targets, levels: tree(leaves) })
    }

    /// The set of these instances, none with secrets.
    ///
    /// # Errors
    /// As [`TargetSet::new`].
    pub fn of_instances(instances: impl IntoIterator<Item = InstanceId>) -> Result<Self, TargetError> {
        Self::new(instances.into_iter().map(|instance| Target { instance, secrets: Digest::ZERO }).collect())
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        root_of(&self.levels)
    }

    /// How many targets there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.targets.len() as u64
    }

    /// What the order says about the set.
    #[must_use]
    pub fn targets(&self) -> Targets {
        Targets { count: self.count(), root: self.root() }
    }

    /// The targets in the order of their leaves.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Target> {
        self.targets.iter()
    }

    /// The proof for this instance, or nothing when it is not a target.
    #[must_use]
    pub fn proof(&self, instance: &InstanceId) -> Option<TargetProof> {
        let index = self.targets.binary_search_by(|target| target.instance.cmp(instance)).ok()?;
        Some(self.path(index))
    }

    /// All targets with their proofs, in the order of their leaves.
    pub fn proofs(&self) -> impl ExactSizeIterator<Item = (&Target, TargetProof)> {
        self.targets.iter().enumerate().map(|(index, target)| (target, self.path(index)))
    }

    fn path(&self, index: usize) -> TargetProof {
        let siblings = self.levels.iter().enumerate().filter_map(|(height, level)| level.get((index >> height) ^ 1));
        TargetProof { index: index as u64, hashes: siblings.copied().collect() }
    }
}

impl fmt::Debug for TargetSet {
    /// Short: a set can have millions of targets, and this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetSet({} targets, root {})", self.count(), self.root())
    }
}

/// Whether this instance, with these sealed secrets, is in the set that the order signs (RFC 9162, 2.1.3.2). The proof
/// must have exactly as many hashes as the place of the leaf needs.
#[must_use]
pub fn verify_target(targets: &Targets, instance: &InstanceId, secrets: Digest, proof: &TargetProof) -> bool {
    verify_inclusion(targets.count, &targets.root, leaf_hash(&leaf(instance, &secrets)), proof)
}

fn verify_inclusion(count: u64, root: &Digest, leaf: Digest, proof: &TargetProof) -> bool {
    if proof.index >= count || proof.hashes.len() > MAX_PROOF_HASHES {
        return false;
    }
    let (mut node, mut last, mut hash) = (proof.index, count - 1, leaf);
    for sibling in &proof.hashes {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

fn leaf(instance: &InstanceId, secrets: &Digest) -> Vec<u8> {
    [instance.as_str().as_bytes(), &[0], secrets.as_bytes()].concat()
}

/// The prefixes 0x00 and 0x01 keep leaves and nodes apart: without them a node could be shown as a leaf.
fn leaf_hash(leaf: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::new().chain_update([0x00]).chain_update(leaf).finalize().into())
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new().chain_update([0x01]).chain_update(left.as_bytes()).chain_update(right.as_bytes());
    Digest::from_bytes(hash.finalize().into())
}

fn tree(leaves: Vec<Digest>) -> Vec<Vec<Digest>> {
    let mut levels = Vec::new();
    let mut level = leaves;
    while level.len() > 1 {
        let above = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node_hash(left, right),
                // Never more than two: the odd one goes up as it is.
                odd => odd.first().copied().unwrap_or(Digest::ZERO),
            })
            .collect();
        levels.push(level);
        level = above;
    }
    levels.push(level);
    levels
}

fn root_of(levels: &[Vec<Digest>]) -> Digest {
    // RFC 6962: the hash of an empty tree is that of no bytes.
    levels.last().and_then(|top| top.first()).copied().unwrap_or_else(|| Digest::of(b""))
}

#[cfg(test)]
mod tests;
