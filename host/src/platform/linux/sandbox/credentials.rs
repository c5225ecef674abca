//! From root to an unprivileged user, with at most the capabilities that were granted. Owns the order of the calls.

use rustix::fs::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{UserChange, step};
use crate::error::SandboxError;
use crate::platform::linux::spec::Credentials;
use crate::platform::linux::users;

/// Changes the user of this thread, the only one; says whether it changed.
pub(super) fn change(user: &UserChange) -> Result<bool, SandboxError> {
    if !users::is_root() {
        return Ok(false);
    }
    let keep = match user {
        UserChange::To(credentials) => {
            become_user(credentials)?;
            CapabilitySet::empty()
        }
        UserChange::ToReading(credentials) => {
            rustix::thread::set_keep_capabilities(true).map_err(|error| step("keep a capability", error))?;
            become_user(credentials)?;
            CapabilitySet::DAC_READ_SEARCH
        }
        UserChange::Root => {
            CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::CHOWN
        }
    };
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(|error| step("give up capabilities", error))?;
    Ok(!matches!(user, UserChange::Root))
}

fn become_user(credentials: &Credentials) -> Result<(), SandboxError> {
    let groups: Vec<Gid> = credentials.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(credentials.uid), Gid::from_raw(credentials.gid));
    rustix::thread::set_thread_groups(&groups).map_err(|error| step("leave the groups of root", error))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|error| step("change the group", error))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|error| step("change the user", error))
}
