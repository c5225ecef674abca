//! `orderly invocation diff`: what is otherwise than it was, or otherwise than elsewhere.
//!
//! Owns the comparison of results by status, codes, digest of the output, and what rules came to; of two instances also their outputs
//! line by line. Of each result only what is compared is held, so that ten thousand of them are no burden.

mod lines;

use std::collections::BTreeMap;

use clap::Args;
use orderly_model::report::FindingVerdict;
use orderly_signing::{Digest, InstanceId};
use orderly_wire::http::task::{TaskDetail, TaskView};
use orderly_wire::to_server::KeptOutput;
use serde::Serialize;

use super::get;
use crate::client::{Client, encode};
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::fleet;
use crate::output::{Printer, Tone};

/// Compare two invocations, or two instances of one
///
/// What is compared is the signed digest of the whole output, the part that was not kept too.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The invocation that is compared with, t-…
    first: String,
    /// The invocation that is compared, t-…
    #[arg(required_unless_present = "instances")]
    second: Option<String>,
    /// Two instances of the first invocation, by id or name
    #[arg(long, num_args = 2, value_names = ["ID|NAME", "ID|NAME"], conflicts_with = "second")]
    instances: Vec<String>,
}

/// What is compared of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Summary {
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_digest: Option<Digest>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    findings: BTreeMap<String, FindingVerdict>,
}

impl Summary {
    fn of(view: TaskView, detail: Option<&TaskDetail>) -> Self {
        let report = detail.and_then(|detail| detail.report.as_ref());
        let findings = report.into_iter().flat_map(|report| &report.findings);
        Self {
            status: view.status,
            exit_code: view.exit_code,
            code: view.code,
            output_digest: view.output_digest,
            findings: findings.map(|finding| (finding.id.clone(), finding.verdict)).collect(),
        }
    }

    /// What differs, a line each.
    fn differences(&self, after: &Self) -> Vec<String> {
        let mut told = Vec::new();
        if self.status != after.status {
            told.push(format!("{} → {}", self.status, after.status));
        }
        let exit = |code: Option<i32>| code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        if self.exit_code != after.exit_code {
            told.push(format!("exit code {} → {}", exit(self.exit_code), exit(after.exit_code)));
        }
        if self.code != after.code {
            let code = |code: &Option<String>| code.clone().unwrap_or_else(|| "none".to_owned());
            told.push(format!("code {} → {}", code(&self.code), code(&after.code)));
        }
        if self.output_digest != after.output_digest {
            told.push("output".to_owned());
        }
        let verdict = |found: Option<&FindingVerdict>| found.map_or("absent", |verdict| verdict.as_str());
        for (id, was) in &self.findings {
            let is = after.findings.get(id);
            if is != Some(was) {
                told.push(format!("{id}: {} → {}", was.as_str(), verdict(is)));
            }
        }
        let new = after.findings.iter().filter(|(id, _)| !self.findings.contains_key(*id));
        told.extend(new.map(|(id, is)| format!("{id}: absent → {}", is.as_str())));
        told
    }
}

/// An instance whose results differ.
#[derive(Debug, Serialize)]
struct Changed {
    instance: InstanceId,
    name: String,
    before: Summary,
    after: Summary,
    differences: Vec<String>,
}

/// An instance that only one of the invocations is for.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Alone {
    instance: InstanceId,
    name: String,
}

/// Two invocations compared.
#[derive(Debug, Serialize)]
struct Compared {
    same: usize,
    changed: Vec<Changed>,
    only_first: Vec<Alone>,
    only_second: Vec<Alone>,
}

/// Two instances of one invocation compared.
#[derive(Debug, Serialize)]
struct Pair {
    before: Summary,
    after: Summary,
    differences: Vec<String>,
    lines: Vec<String>,
}

type Results = BTreeMap<InstanceId, (String, Summary)>;

impl Diff {
    /// Reads both sides and shows what differs.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match (&self.second, self.instances.as_slice()) {
            (_, [one, other]) => {
                let pair = pair(&client, &self.first, one, other).await?;
                context.printer.one(&pair, |printer| show_pair(printer, &pair));
            }
            (Some(second), _) => {
                let kinds = [get(&client, &self.first).await?.kind, get(&client, second).await?.kind];
                let reports = kinds.iter().any(|kind| kind == "plugin");
                let (before, after) =
                    (results(&client, &self.first, reports).await?, results(&client, second, reports).await?);
                let compared = compare(before, after);
                context.printer.one(&compared, |printer| show(printer, &compared));
            }
            (None, _) => return Err(Failure::usage("name two invocations, or two instances with `--instances`")),
        }
        Ok(Exit::Success)
    }
}

/// All results of an invocation; with what rules came to where there may be any.
async fn results(client: &Client, invocation: &str, reports: bool) -> Result<Results, Failure> {
    let base = format!("/v1/invocations/{}", encode(invocation));
    let mut found = Results::new();
    if reports {
        let mut pages = client.pages::<TaskDetail>(&format!("{base}/results"));
        while let Some(tasks) = pages.next().await? {
            for task in tasks {
                let summary = Summary::of(task.view.clone(), Some(&task));
                found.insert(task.view.instance, (task.view.instance_name, summary));
            }
        }
    } else {
        let mut pages = client.pages::<TaskView>(&format!("{base}/tasks"));
        while let Some(tasks) = pages.next().await? {
            for task in tasks {
                found.insert(task.instance.clone(), (task.instance_name.clone(), Summary::of(task, None)));
            }
        }
    }
    Ok(found)
}

fn compare(before: Results, mut after: Results) -> Compared {
    let mut compared = Compared { same: 0, changed: Vec::new(), only_first: Vec::new(), only_second: Vec::new() };
    for (instance, (name, was)) in before {
        let Some((_, is)) = after.remove(&instance) else {
            compared.only_first.push(Alone { instance, name });
            continue;
        };
        let differences = was.differences(&is);
        if differences.is_empty() {
            compared.same += 1;
        } else {
            compared.changed.push(Changed { instance, name, before: was, after: is, differences });
        }
    }
    compared.only_second = after.into_iter().map(|(instance, (name, _))| Alone { instance, name }).collect();
    compared
}

fn show(printer: &Printer, compared: &Compared) {
    if !compared.changed.is_empty() {
        let rows = compared.changed.iter().map(|changed| {
            vec![(changed.name.clone(), Tone::Plain), (changed.differences.join("\n"), Tone::Attention)]
        });
        printer.table(&["instance", "differs in"], rows.collect());
    }
    for (alone, which) in [(&compared.only_first, "first"), (&compared.only_second, "second")] {
        if !alone.is_empty() {
            let names = alone.iter().map(|alone| alone.name.as_str()).collect::<Vec<_>>().join(", ");
            printer.line(&format!("only in the {which}: {names}"));
        }
    }
    printer.line(&format!("{} the same, {} not", compared.same, compared.changed.len()));
}

async fn pair(client: &Client, invocation: &str, one: &str, other: &str) -> Result<Pair, Failure> {
    let (before, after) = (task(client, invocation, one).await?, task(client, invocation, other).await?);
    let lines = lines::changed(&text(&before), &text(&after));
    let (before, after) =
        (Summary::of(before.view.clone(), Some(&before)), Summary::of(after.view.clone(), Some(&after)));
    let differences = before.differences(&after);
    Ok(Pair { before, after, differences, lines })
}

async fn task(client: &Client, invocation: &str, instance: &str) -> Result<TaskDetail, Failure> {
    let id = fleet::one(client, instance).await?.id;
    client.get(&format!("/v1/invocations/{}/tasks/{id}", encode(invocation))).await
}

/// What was kept of an output, both streams in their order.
fn text(task: &TaskDetail) -> String {
    let none = KeptOutput::default();
    let output = task.output.as_ref().unwrap_or(&none);
    let mut bytes: Vec<u8> = output.head.iter().flat_map(|segment| segment.data.iter().copied()).collect();
    if output.dropped_bytes > 0 {
        bytes.extend_from_slice(format!("\n[… {} bytes were not kept …]\n", output.dropped_bytes).as_bytes());
    }
    bytes.extend(output.tail.iter().flat_map(|segment| segment.data.iter().copied()));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn show_pair(printer: &Printer, pair: &Pair) {
    if pair.differences.is_empty() {
        printer.line("the same");
    }
    for difference in &pair.differences {
        printer.line(difference);
    }
    for line in &pair.lines {
        printer.line(line);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::SecretKey;

    use super::*;

    /// Of which instance, its status, its output, its findings.
    type Row<'a> = (u8, &'a str, &'a [u8], &'a [(&'a str, FindingVerdict)]);

    fn results(rows: &[Row<'_>]) -> Results {
        let row = |(seed, status, output, findings): &Row<'_>| {
            let summary = Summary {
                status: (*status).to_owned(),
                output_digest: Some(Digest::of(output)),
                findings: findings.iter().map(|(id, verdict)| ((*id).to_owned(), *verdict)).collect(),
                ..Summary::default()
            };
            let instance = InstanceId::of(SecretKey::from_seed([*seed; 32]).public());
            (instance, (format!("web-{seed}"), summary))
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn what_differs_is_told_by_instance() {
        use FindingVerdict::{Fail, Pass};
        let before = results(&[
            (1, "Success", b"a", &[]),
            (2, "Success", b"a", &[("X", Fail), ("Y", Pass)]),
            (3, "Failed", b"a", &[]),
        ]);
        let after = results(&[
            (1, "Success", b"a", &[]),
            (2, "Success", b"b", &[("X", Pass), ("Z", Fail)]),
            (4, "Success", b"", &[]),
        ]);
        let compared = compare(before, after);
        assert_eq!(compared.same, 1);
        assert_eq!(compared.changed.len(), 1);
        assert_eq!(
            compared.changed[0].differences,
            ["output", "X: fail → pass", "Y: pass → absent", "Z: absent → fail"]
        );
        let names = |alone: &[Alone]| alone.iter().map(|alone| alone.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&compared.only_first), names(&compared.only_second)),
            (vec!["web-3".into()], vec!["web-4".into()])
        );
    }

    #[test]
    fn statuses_and_codes_are_told_from_before_to_after() {
        let before = Summary { status: "Success".into(), exit_code: Some(0), ..Summary::default() };
        let after = Summary { status: "Failed".into(), exit_code: None, code: Some("X".into()), ..Summary::default() };
        assert_eq!(before.differences(&after), ["Success → Failed", "exit code 0 → none", "code none → X"]);
        assert!(before.differences(&before).is_empty());
    }
}
