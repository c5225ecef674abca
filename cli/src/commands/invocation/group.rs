//! `orderly invocation group`: which instances came to the same.
//!
//! Owns how groups are shown; the server puts them together.

use clap::{Args, ValueEnum};
use orderly_model::report::{FindingVerdict, Severity};
use orderly_wire::http::result::{GroupBy, GroupOutput, ResultGroup, ResultGroups};

use crate::client::encode;
use crate::context::Context;
use crate::error::{Exit, Outcome};
use crate::output::{Printer, Row, Tone};
use crate::status;

/// Instances that a terminal names of each group.
const NAMED: usize = 4;

/// Lines of output that a terminal shows of each group.
const LINES: usize = 6;

/// Show which instances came to the same result
#[derive(Debug, Args)]
pub(crate) struct Group {
    /// The invocation, t-…
    id: String,
    /// What they must have in common
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    by: By,
    /// The most groups
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: u32,
}

/// What instances of one group have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum By {
    /// The whole output, byte for byte
    #[default]
    Output,
    /// Exit code and error code
    Exit,
    /// What a rule of the plugin came to
    Finding,
}

impl Group {
    /// Asks and shows.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let by = match self.by {
            By::Output => "output",
            By::Exit => "exit",
            By::Finding => "finding",
        };
        let path = format!("/v1/invocations/{}/groups?by={by}&limit={}", encode(&self.id), self.limit);
        let groups: ResultGroups = context.client()?.get(&path).await?;
        context.printer.one(&groups, |printer| show(printer, &groups));
        Ok(Exit::Success)
    }
}

fn show(printer: &Printer, groups: &ResultGroups) {
    if groups.groups.is_empty() {
        printer.remark("there is nothing to put together");
        return;
    }
    let header: &[&str] = match groups.by {
        GroupBy::Output => &["tasks", "status", "instances", "output"],
        GroupBy::Exit => &["tasks", "status", "instances", "exit code", "code"],
        GroupBy::Finding => &["tasks", "verdict", "severity", "rule", "finding", "instances"],
    };
    printer.table(header, groups.groups.iter().map(|group| row(groups.by, group)).collect());
    if groups.more > 0 {
        printer.remark(&format!("{} more group(s); `--limit` shows more", groups.more));
    }
    if groups.left_out > 0 {
        let many = "there are too many different ones; `orderly invocation export` has them all";
        printer.remark(&format!("{} finding(s) are in no group: {many}", groups.left_out));
    }
}

fn row(by: GroupBy, group: &ResultGroup) -> Row {
    let plain = |text: String| (text, Tone::Plain);
    let status = group.status.clone().unwrap_or_default();
    let tone = status::tone(&status);
    let names = names(group);
    let mut row = vec![plain(group.count.to_string())];
    match (by, &group.finding) {
        (GroupBy::Finding, Some(finding)) => {
            let tone = match (finding.verdict, finding.severity) {
                (FindingVerdict::Fail, Severity::High | Severity::Critical) => Tone::Bad,
                (FindingVerdict::Fail, _) => Tone::Attention,
                (FindingVerdict::Pass, _) => Tone::Good,
                (FindingVerdict::NotApplicable, _) => Tone::Dim,
            };
            row.push((finding.verdict.as_str().to_owned(), tone));
            row.extend([finding.severity.as_str(), &finding.id, &finding.title].map(|text| plain(text.to_owned())));
            row.push(plain(names));
        }
        (GroupBy::Exit, _) => {
            row.extend([(status, tone), plain(names)]);
            row.push(plain(group.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string())));
            row.push(plain(group.code.clone().unwrap_or_default()));
        }
        _ => {
            row.extend([(status, tone), plain(names)]);
            row.push(plain(group.output.as_ref().map_or_else(|| "-".to_owned(), begin)));
        }
    }
    row
}

/// The first instances by name, and how many more there are.
fn names(group: &ResultGroup) -> String {
    let named: Vec<&str> = group.instances.iter().take(NAMED).map(|member| member.name.as_str()).collect();
    let more = group.count.saturating_sub(named.len() as u64);
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

/// The first lines of an output.
fn begin(output: &GroupOutput) -> String {
    if output.sample.is_empty() {
        return "(none)".to_owned();
    }
    let lines: Vec<&str> = output.sample.lines().collect();
    let more = output.cut || lines.len() > LINES;
    let shown = lines.into_iter().take(LINES).collect::<Vec<_>>().join("\n");
    if more { format!("{shown}\n…") } else { shown }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::{Digest, InstanceId, SecretKey};
    use orderly_wire::http::result::GroupMember;

    use super::*;

    #[test]
    fn a_group_names_some_and_counts_the_rest() {
        let member = |number: u8| GroupMember {
            id: InstanceId::of(SecretKey::from_seed([number; 32]).public()),
            name: format!("web-{number}"),
        };
        let group = ResultGroup {
            count: 9990,
            instances: (1..=10).map(member).collect(),
            status: Some("Success".to_owned()),
            exit_code: None,
            code: None,
            output: Some(GroupOutput { sha256: Digest::ZERO, sample: "a\n".repeat(9), cut: false }),
            finding: None,
        };
        let cells: Vec<String> = row(GroupBy::Output, &group).into_iter().map(|(text, _)| text).collect();
        assert_eq!(cells, ["9990", "Success", "web-1, web-2, web-3, web-4 and 9986 more", "a\na\na\na\na\na\n…"]);
    }
}
