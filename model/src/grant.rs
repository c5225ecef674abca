//! What a plugin may touch in one run: asked ∧ approved ∧ allowed, computed by one function.
//! [`Grants`] can be had from it alone (and, in the one-shot child, from the parent that had it
//! so). A run is never given a part of what it asked for: any denial refuses it, with the whole list.

use std::fmt;

use serde::{Serialize, Serializer};

use orderly_signing::keyring::Tier;

use crate::capability::{Capabilities, CapabilitiesError, CapabilityKind, CapabilityTable, Flag, RunAs};
use crate::plugin::{MissingImport, missing_for};
use crate::policy::LocalPolicy;

/// Proof that everything in it was asked for, approved and allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    capabilities: Capabilities,
}

impl Grants {
    /// Nothing at all, with which anybody may run: for `describe`.
    pub fn none() -> Self {
        Self { capabilities: Capabilities::none() }
    }

    /// What may be touched.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How much harm could be done with it.
    pub fn tier(&self) -> Tier {
        self.capabilities.tier()
    }

    /// All imports that are not linked with these grants.
    pub fn missing_for<'a>(&self, imports: impl IntoIterator<Item = &'a str>) -> Vec<MissingImport> {
        missing_for(imports, &self.capabilities)
    }

    /// The text for [`Grants::from_parent`].
    pub fn to_json(&self) -> String {
        self.capabilities.to_canonical_json()
    }

    /// What the parent of a one-shot child had granted. For that child only, which trusts its parent: whoever
    /// writes the child's request decides what it may touch, and the sandbox around it is made from the same.
    ///
    /// # Errors
    /// Where the text is not what [`Grants::to_json`] makes.
    pub fn from_parent(json: &str) -> Result<Self, CapabilitiesError> {
        Capabilities::from_canonical_json(json).map(|capabilities| Self { capabilities })
    }
}

impl Serialize for Grants {
    /// The same as [`Grants::to_json`], as part of a larger document.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CapabilityTable::from(&self.capabilities).serialize(serializer)
    }
}

/// One capability that is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What kind it is of.
    pub capability: CapabilityKind,
    /// What was asked for, as manifests write it: `/etc/shadow`, `GET https://example.com:443`.
    pub asked: String,
    /// Why it is not granted.
    pub reason: DeniedReason,
}

/// Why a capability is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeniedReason {
    /// The approval of this plugin does not cover it.
    NotApproved,
    /// The instance's owner does not allow it; the name of the setting.
    LocalPolicy(&'static str),
}

impl fmt::Display for Denied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.capability)?;
        if !self.asked.is_empty() {
            write!(out, " `{}`", self.asked)?;
        }
        match self.reason {
            DeniedReason::NotApproved => {
                write!(out, " is asked for by the manifest but not approved by the security team")
            }
            DeniedReason::LocalPolicy(setting) => {
                write!(out, " is not allowed by this instance's policy (`{setting}`)")
            }
        }
    }
}

/// Grants all that was asked, where every single thing is approved and allowed.
///
/// Each thing that was asked must be covered by **one** thing that was approved: two approved
/// rules never add up. Reading past permissions must be approved as such, and so must the user.
///
/// # Errors
/// All denials; one thing that is neither approved nor allowed is there twice.
pub fn grants(asked: &Capabilities, approved: &Capabilities, allowed: &LocalPolicy) -> Result<Grants, Vec<Denied>> {
    let mut denials = Denials(Vec::new());
    denials.each(CapabilityKind::FilesRead, &asked.files_read, |pattern| {
        (approved.files_read.iter().any(|mine| mine.covers(pattern)), allowed.allows_read(pattern), "files_read")
    });
    denials.each(CapabilityKind::FilesWrite, &asked.files_write, |pattern| {
        (approved.files_write.iter().any(|mine| mine.covers(pattern)), allowed.allows_write(pattern), "files_write")
    });
    denials.each(CapabilityKind::Http, &asked.http, |rule| {
        (approved.http.iter().any(|mine| mine.covers(rule)), allowed.allows_http(rule), "http")
    });
    denials.each(CapabilityKind::Process, &asked.process, |rule| {
        (approved.process.iter().any(|mine| mine.covers(rule)), allowed.allows_process(rule), "process")
    });
    denials
        .each(CapabilityKind::Environment, &asked.environment, |name| (approved.environment.contains(name), true, ""));
    // The users of programs are beneath the same ceiling as the plugin's own.
    let users = asked.process.iter().map(|rule| &rule.user).chain([&asked.user]);
    let mut users: Vec<&RunAs> = users.collect();
    users.sort();
    users.dedup();
    denials.each(CapabilityKind::User, &users, |user| {
        // A rule's own user was compared with the approved rule's above.
        let own = **user == asked.user;
        (!own || approved.user.covers(user), allowed.allows_run_as(user), "users")
    });
    let flags = Flag::ALL.map(|flag| (flag.kind(), asked.flag(flag), approved.flag(flag)));
    let privileged = (CapabilityKind::FilesPrivileged, asked.files_privileged, approved.files_privileged);
    for (kind, asked, approved) in flags.into_iter().chain([privileged]) {
        if asked && !approved {
            denials.add(kind, String::new(), DeniedReason::NotApproved);
        }
    }
    if denials.0.is_empty() {
        let mut capabilities = asked.clone();
        capabilities.normalise();
        Ok(Grants { capabilities })
    } else {
        Err(denials.0)
    }
}

struct Denials(Vec<Denied>);

impl Denials {
    fn add(&mut self, capability: CapabilityKind, asked: String, reason: DeniedReason) {
        self.0.push(Denied { capability, asked, reason });
    }

    /// Asks for each thing: approved? allowed? by which setting?
    fn each<T: ToString>(&mut self, kind: CapabilityKind, asked: &[T], ask: impl Fn(&T) -> (bool, bool, &'static str)) {
        for thing in asked {
            let (approved, allowed, setting) = ask(thing);
            if !approved {
                self.add(kind, thing.to_string(), DeniedReason::NotApproved);
            }
            if !allowed {
                self.add(kind, thing.to_string(), DeniedReason::LocalPolicy(setting));
            }
        }
    }
}

#[cfg(test)]
mod tests;
