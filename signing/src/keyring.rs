//! The keyring: which keys the fleet's owners trust, in which roles, and how many signatures each tier needs.
//!
//! Owns the document that an agent pins at enrolment, its bounds and its questions (who holds a role, what a tier
//! needs). It never verifies signatures; a keyring becomes believable only as `Verified<Keyring>`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    document::{self, Document},
    envelope::KEYRING_TYPE,
    error::Invalid,
    key::{KeyId, PublicKey},
};

/// Most keys in a keyring.
pub const MAX_KEYS: usize = 256;

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The owners: sign the keyring. Offline, m of n.
    Root,
    /// The security team: signs approvals of plugins. Offline, m of n.
    Vetting,
    /// A person or a pipeline: signs orders that need a person.
    Operator,
    /// The author of a plugin: signs plugin statements.
    Publisher,
    /// The control server: signs orders. Online.
    Dispatch,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Root, Self::Vetting, Self::Operator, Self::Publisher, Self::Dispatch];

    /// The text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Vetting => "vetting",
            Self::Operator => "operator",
            Self::Publisher => "publisher",
            Self::Dispatch => "dispatch",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much harm an order could do, from least to most. It follows from what is run and what it is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// A plugin that reads what an unprivileged user may read.
    PluginReadOnly,
    /// A plugin that reads what only root may read.
    PluginPrivilegedRead,
    /// A plugin that writes files.
    PluginWrite,
    /// A plugin that speaks over the network.
    PluginNetwork,
    /// A plugin that starts programs.
    PluginProcess,
    /// A script as a user other than root.
    NativeUser,
    /// A script as root.
    NativeRoot,
}

impl Tier {
    /// All tiers, from least to most.
    pub const ALL: [Self; 7] = [
        Self::PluginReadOnly,
        Self::PluginPrivilegedRead,
        Self::PluginWrite,
        Self::PluginNetwork,
        Self::PluginProcess,
        Self::NativeUser,
        Self::NativeRoot,
    ];

    /// The text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PluginReadOnly => "plugin-read-only",
            Self::PluginPrivilegedRead => "plugin-privileged-read",
            Self::PluginWrite => "plugin-write",
            Self::PluginNetwork => "plugin-network",
            Self::PluginProcess => "plugin-process",
            Self::NativeUser => "native-user",
            Self::NativeRoot => "native-root",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose signatures a tier needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// The control server's alone is enough (an operator's is, too).
    Dispatch,
    /// That of so many distinct operators, at least 1.
    Operators(u8),
}

/// A key with the name that people know it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyringKey {
    /// 1 to 64 characters of `a-z A-Z 0-9 - _ . + @ :`, unique in the keyring.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// Who holds a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleKeys {
    /// How many distinct keys must sign. More than 1 has a meaning for root and vetting only: for orders the policy
    /// says how many, so for the others it must be 1.
    pub threshold: u8,
    /// The keys, by id; each must be in the keyring.
    pub keys: Vec<KeyId>,
}

/// A role that nobody holds: its threshold is out of reach.
static NOBODY: RoleKeys = RoleKeys { threshold: 1, keys: Vec::new() };

/// The keyring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    /// Always 1.
    pub version: u32,
    /// Grows by at least one with each keyring; an older one is refused.
    pub revision: u64,
    /// The name of the fleet.
    pub fleet: String,
    /// When it was signed, unix milliseconds.
    pub issued_ms: i64,
    /// From when on it is stale, unix milliseconds. Stale is not broken.
    pub expires_ms: i64,
    /// All keys, each once.
    pub keys: Vec<KeyringKey>,
    /// Who holds which role. Root is always there.
    pub roles: BTreeMap<Role, RoleKeys>,
    /// What each tier needs. One that is not named needs one operator.
    pub policy: BTreeMap<Tier, Requirement>,
}

impl Keyring {
    /// The policy of a new fleet: plugins that read what anybody on the instance may read go out with the control server's signature, all else needs one operator.
    #[must_use]
    pub fn default_policy() -> BTreeMap<Tier, Requirement> {
        let requirement = |tier| match tier {
            Tier::PluginReadOnly => Requirement::Dispatch,
            _ => Requirement::Operators(1),
        };
        Tier::ALL.into_iter().map(|tier| (tier, requirement(tier))).collect()
    }

    /// Checks all bounds: each key once (by its material), names unique, each role's keys known and distinct,
    /// thresholds and policy within reach, and online keys in no offline role.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        document::version_1(self.version)?;
        document::text("fleet", &self.fleet, 64, document::word)?;
        document::times(("issued_ms", self.issued_ms), ("expires_ms", self.expires_ms))?;
        document::within("keys", self.keys.len() as u64, 1, MAX_KEYS as u64)?;
        let (mut names, mut known) = (BTreeSet::new(), BTreeSet::new());
        for (index, entry) in self.keys.iter().enumerate() {
            let field = format!("keys[{index}]");
            document::text(&format!("{field}.name"), &entry.name, 64, |c| document::word(c) || matches!(c, '@' | ':'))?;
            if !names.insert(&entry.name) {
                return Err(Invalid::new(format!("{field}.name"), format!("is `{}` for a second time", entry.name)));
            }
            if !known.insert(entry.key.key_id()) {
                return Err(Invalid::new(field, format!("is the key {} for a second time", entry.key.key_id())));
            }
        }
        if !self.roles.contains_key(&Role::Root) {
            return Err(Invalid::new("roles", "must have `root`"));
        }
        for (&role, holders) in &self.roles {
            Self::validate_role(role, holders, &known)?;
        }
        self.validate_dispatch()?;
        self.validate_policy()
    }

    fn validate_role(role: Role, holders: &RoleKeys, known: &BTreeSet<KeyId>) -> Result<(), Invalid> {
        let mut distinct = BTreeSet::new();
        for id in &holders.keys {
            if !known.contains(id) {
                return Err(Invalid::new(
                    format!("roles.{role}.keys"),
                    format!("names the key {id}, which is not in `keys`"),
                ));
            }
            if !distinct.insert(id) {
                return Err(Invalid::new(format!("roles.{role}.keys"), format!("names the key {id} twice")));
            }
        }
        let most = match role {
            Role::Root | Role::Vetting => distinct.len() as u64,
            Role::Operator | Role::Publisher | Role::Dispatch => 1,
        };
        document::within(&format!("roles.{role}.threshold"), u64::from(holders.threshold), 1, most)
    }

    /// The control server's key lies on a machine that we do not trust: it must not be able to act for a person.
    fn validate_dispatch(&self) -> Result<(), Invalid> {
        for id in &self.role(Role::Dispatch).keys {
            if let Some(role) = self.roles_of(id).into_iter().find(|&role| role != Role::Dispatch) {
                return Err(Invalid::new(
                    "roles.dispatch.keys",
                    format!("names the key {id}, which also holds `{role}`: use two keys"),
                ));
            }
        }
        Ok(())
    }

    fn validate_policy(&self) -> Result<(), Invalid> {
        for (tier, requirement) in &self.policy {
            if *requirement == Requirement::Operators(0) {
                return Err(Invalid::new(
                    format!("policy.{tier}"),
                    "needs no operator: say `dispatch` if that is meant",
                ));
            }
        }
        Ok(())
    }

    /// Who holds the role. For a role that is not in the keyring: nobody, so that its threshold is out of reach.
    #[must_use]
    pub fn role(&self, role: Role) -> &RoleKeys {
        self.roles.get(&role).unwrap_or(&NOBODY)
    }

    /// The roles that the key holds.
    #[must_use]
    pub fn roles_of(&self, id: &KeyId) -> Vec<Role> {
        self.roles.iter().filter(|(_, holders)| holders.keys.contains(id)).map(|(&role, _)| role).collect()
    }

    /// The entry of a key, by its id.
    #[must_use]
    pub fn key(&self, id: &KeyId) -> Option<&KeyringKey> {
        self.keys.iter().find(|entry| entry.key.key_id() == *id)
    }

    /// What the tier needs.
    #[must_use]
    pub fn requirement(&self, tier: Tier) -> Requirement {
        self.policy.get(&tier).copied().unwrap_or(Requirement::Operators(1))
    }

    /// The fingerprint that agents pin: SHA-256 over `orderly-root-v1`, the threshold and the sorted ids of the root
    /// keys, each with a line end. It stays the same while the root keys do, whatever else changes.
    #[must_use]
    pub fn root_fingerprint(&self) -> Digest {
        let root = self.role(Role::Root);
        let ids: BTreeSet<String> = root.keys.iter().map(ToString::to_string).collect();
        let mut text = format!("orderly-root-v1\n{}\n", root.threshold);
        for id in ids {
            text.push_str(&id);
            text.push('\n');
        }
        Digest::of(text.as_bytes())
    }

    /// Whether it is stale at this time. A stale keyring still serves to start, link, report and be mended.
    #[must_use]
    pub const fn expired(&self, now_ms: i64) -> bool {
        now_ms >= self.expires_ms
    }
}

impl Document for Keyring {
    const TYPE: &'static str = KEYRING_TYPE;
    const NAME: &'static str = "keyring";

    fn bounds(&self) -> Result<(), Invalid> {
        self.validate()
    }
}

#[cfg(test)]
mod tests;
