//! `orderly file push`: files of this machine to instances.
//!
//! Owns the options and the order of things: every file is digested and brought to the server before anything is signed, and each
//! is an invocation of its own. What is signed is the digest that was computed here.

use std::path::PathBuf;

use clap::Args;
use orderly_model::file::FileDraft;

use super::{MoveArgs, both, wrong};
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::follow;
use crate::order::Work;
use crate::transfer::{self, Content};

/// Put files on instances
///
/// An instance writes a file beside its place, checks its digest, gives it owner and mode, and only then its name. An upload that was
/// cut goes on where it ended when the same command runs again.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The directory on the instances; made where it is missing
    #[arg(long, value_name = "DIR")]
    to: String,
    /// The name there; the file's own where absent
    #[arg(long)]
    name: Option<String>,
    /// Whose it will be, as chown(1) takes it; the agent's own user, and the user's own group, where absent
    #[arg(long, value_name = "USER[:GROUP]")]
    owner: Option<String>,
    /// Its mode: three or four octal digits; 0644 where absent
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,
    /// Do not wait for the end; print the invocations' ids
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    common: MoveArgs,
}

/// User and group of `USER`, `USER:GROUP` or `:GROUP`.
fn split(owner: &str) -> (Option<String>, Option<String>) {
    let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group.to_owned())));
    (Some(user.to_owned()).filter(|user| !user.is_empty()), group)
}

impl Push {
    /// Uploads, signs, sends and follows.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if self.name.is_some() && self.files.len() > 1 {
            return Err(Failure::usage("`--name` goes with one file only"));
        }
        let mut files: Vec<(PathBuf, String, Content)> = Vec::new();
        for path in &self.files {
            let own = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            let name = self.name.clone().or(own).ok_or_else(|| {
                Failure::usage(format!("`{}` has no name that an order can say", path.display())).hint("pass `--name`")
            })?;
            if files.iter().any(|(_, other, _)| *other == name) {
                return Err(Failure::usage(format!("two of the files would be called `{name}`")));
            }
            let content = transfer::content(path)?;
            files.push((path.clone(), name, content));
        }
        let timeout_s = Some(self.common.timeout);
        let (owner, group) = split(self.owner.as_deref().unwrap_or_default());
        let draft = |name: &str| FileDraft {
            directory: self.to.clone(),
            name: name.to_owned(),
            owner: owner.clone(),
            group: group.clone(),
            mode: self.mode.clone(),
            overwrite: self.overwrite,
            timeout_s,
        };
        let actions = files
            .iter()
            .map(|(_, name, content)| draft(name).check(content.digest, content.bytes).map_err(|faults| wrong(&faults)))
            .collect::<Result<Vec<_>, _>>()?;
        let client = context.client()?;
        let mover = self.common.mover(context, &client).await?;
        for (path, _, content) in &files {
            transfer::upload(&client, &context.printer, path, *content).await?;
        }
        let mut exit = None;
        for action in actions {
            let work = Work::File(action);
            let (view, _) = mover.send(&client, &work).await?;
            if self.detach {
                context.printer.one(&view, |printer| printer.line(&view.id));
                continue;
            }
            let one = follow::follow(&client, &context.printer, &view).await?;
            exit = Some(exit.map_or(one, |before| both(before, one)));
            if one == Exit::Interrupted {
                break;
            }
        }
        Ok(exit.unwrap_or(Exit::Success))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_as_chown_reads_them() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("web"), (some("web"), None));
        assert_eq!(split("web:www"), (some("web"), some("www")));
        assert_eq!(split(":www"), (None, some("www")));
        // A group that is announced and not there is refused with the draft.
        assert_eq!((split(""), split("web:")), ((None, None), (some("web"), some(""))));
    }
}
