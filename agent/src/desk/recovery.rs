//! What an earlier agent left behind: tasks that it accepted and did not see to their end.
//!
//! Owns ending what is left of their process trees, and telling so. Runs once, before the link is made, so that no
//! server hears of an end while something of the task is alive. A task is never run again by guess.

use std::rc::Rc;
use std::time::Duration;

use orderly_host::platform::Tree;

use super::Desk;
use super::intake::interrupted;
use crate::exec::chain;

impl Desk {
    /// Ends and reports all tasks that an earlier agent left unfinished.
    pub(crate) async fn recover(self: &Rc<Self>) {
        let mut moving = self.notes.recover();
        let unfinished = self.state.borrow().journal.unfinished();
        for task in unfinished {
            let noted = moving.remove(&task.order.hex());
            let reason = match &task.tree {
                _ if noted.is_some() => {
                    "the agent ended while it moved a file; what it had staged is removed, whether the file came to where it was to go is not known".to_owned()
                }
                None => "the agent ended before the task began; it has not run".to_owned(),
                Some(identity) => match end(identity).await {
                    Ok(true) => "the agent ended while the task ran; what was left of it has been ended".to_owned(),
                    Ok(false) => "the agent ended after it had accepted the task; nothing of the task is alive, how far it came is not known".to_owned(),
                    Err(error) => format!("the agent ended while the task ran, and what is left of it could not be ended: {error}"),
                },
            };
            let invocation = task.invocation.unwrap_or_default();
            tracing::warn!(invocation.id = invocation, order = %task.order, reason, "interrupted");
            // Not waited for: a disk that is full must not keep the agent from its link.
            let desk = Rc::clone(self);
            self.tasks.spawn_local(async move {
                let recorded = desk.conclude(task.order, &invocation, interrupted(&reason)).await;
                if let Some(noted) = noted {
                    noted.settle(recorded);
                }
            });
        }
        self.restore_series().await;
        self.tasks.spawn_local(Rc::clone(self).keep_series());
        // Only now: what was still running of them had its script in there.
        crate::exec::handed::sweep(&self.named_scripts());
    }
}

/// Ends a tree; says whether anything of it was alive.
pub(super) async fn end(identity: &orderly_host::platform::TreeIdentity) -> Result<bool, String> {
    let tree = Tree::reopen(identity).map_err(|error| chain(&error))?;
    let alive = !tree.is_empty().map_err(|error| chain(&error))?;
    tree.terminate(Duration::ZERO).await.map_err(|error| chain(&error))?;
    Ok(alive)
}
