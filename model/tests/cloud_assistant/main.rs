//! Cloud Assistant's tables, row by row, as far as a rule of the model answers them. A test is named after its table and its row;
//! where we differ, the name or a comment says so. Tables of schedules (5.5) are tested beside the schedules, output (5.8) beside
//! the host, paging and tokens (5.9, 5.10) beside the server.
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod content;
mod limits;
mod results;
mod run;

use std::collections::BTreeMap;

use orderly_model::command::{Command, CommandBody, CommandDraft, CommandFault, ContentLimits, ContentUse, ScriptSpec};
use orderly_model::template::Substitution;

pub fn script(content: &str) -> CommandDraft {
    CommandDraft {
        name: "a".into(),
        kind: "shell".into(),
        content: Some(content.into()),
        substitution: Some(Substitution::Text),
        ..CommandDraft::default()
    }
}

pub fn stored(draft: &CommandDraft) -> Result<Command, Vec<CommandFault>> {
    draft.check(&ContentLimits::default(), ContentUse::Stored)
}

pub fn spec(draft: &CommandDraft) -> ScriptSpec {
    match &stored(draft).unwrap().body {
        CommandBody::Script(script) => (**script).clone(),
        CommandBody::Plugin { .. } => unreachable!("it is a script"),
    }
}

pub fn refused(draft: &CommandDraft, field: &str) -> String {
    let faults = stored(draft).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].field, field);
    faults[0].to_string()
}

pub fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
