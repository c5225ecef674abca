//! What the security team's approvals of plugins said, remembered so that an older one never counts again.
//!
//! Owns that a verified approval is on the disk before anything is decided by it. The server keeps the approvals and could
//! offer one that was replaced and has not expired, with wider capabilities than the team allows by now. A journal that was
//! lost knows of none: then only their expiry bounds what an older approval allows.

use orderly_signing::error::Check;
use orderly_signing::order::Order;
use orderly_signing::verify::Verified;
use orderly_wire::to_agent::PluginDocuments;

use super::Desk;
use crate::exec::chain;
use crate::exec::plugin::AdmittedPlugin;
use crate::journal;
use crate::policy::{self, Refused};

impl Desk {
    /// Checks 6 to 8 of a plugin, its component's bytes aside. An order that is refused behind check 6 has shown its approval
    /// too: a narrower one that made the agent refuse must not be followed by the wider one before it.
    ///
    /// # Errors
    /// The check that said no.
    pub(super) fn admitted(
        &self,
        order: &Verified<Order>,
        documents: Option<&PluginDocuments>,
    ) -> Result<AdmittedPlugin, Refused> {
        let Some(documents) = documents else {
            return Err(Refused::because(Check::Content, "the offer came without the plugin's documents"));
        };
        let plugin = self.gate(&self.state.borrow()).vouched(order, documents)?;
        let mut state = self.state.borrow_mut();
        policy::not_rolled_back(&state.journal, &plugin)?;
        let revision = plugin.approval_revision;
        if state.journal.approval_revision(&plugin.name, &plugin.version).is_none_or(|highest| highest < revision) {
            let record = journal::record::approved(&plugin.name, &plugin.version, revision);
            state.journal.append(&[record]).map_err(|error| {
                let reason = format!("the approval cannot be recorded, so it is not followed: {}", chain(&error));
                Refused::because(Check::Journal, reason)
            })?;
        }
        self.gate(&state).plugin(order, documents, plugin)
    }
}
