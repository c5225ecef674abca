//! Results of a whole invocation: put together by what is alike, and all of them page by page.
//!
//! Equal outputs and exit codes are put together by the database; results and reports are read a few at a time, so that memory is
//! bounded whatever instances wrote into them. Pages of results end early where they get large.

use std::collections::{HashMap, HashSet};

use axum::extract::Path;
use axum::http::StatusCode;
use orderly_model::report::{Finding, FindingVerdict, Report, Severity};
use orderly_wire::http::Page;
use orderly_wire::http::result::{
    GroupBy, GroupFinding, GroupMember, GroupOutput, ListGroups, ListResults, ResultGroup, ResultGroups,
};
use orderly_wire::http::task::TaskDetail;
use orderly_wire::to_server::KeptOutput;

use super::auth::Permit;
use super::body::{Params, after, cut, limit, one_more};
use super::problem::ApiError;
use super::{Api, State, invocations, tasks};
use crate::store::row::{AlikeRow, InvocationKey, Likeness, ReportRow};
use crate::view;

/// Instances that are named of each group.
const MEMBERS: usize = 10;

/// Bytes of output that are shown of each group.
const SAMPLE_BYTES: usize = 4096;

/// Reports, or whole results, read at once; each has at most 1 MiB, and a little more.
const CHUNK: usize = 16;

/// Findings that are told apart. Instances that report more than so many different ones between them are not believed to have one
/// plugin's rules in mind; the rest is left out and counted.
const FINDINGS_MAX: usize = 4096;

/// Bytes of results after which a page ends: one more result may follow.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Puts the results of an invocation together by what is alike.
#[utoipa::path(get, path = "/v1/invocations/{id}/groups", tag = "results", params(
        ("id" = String, Path,),
        ("by" = Option<GroupBy>, Query, description = "by what; `output` where absent"),
        ("limit" = Option<u32>, Query, description = "the most groups"),
    ), responses((status = OK, body = ResultGroups)))]
pub(crate) async fn groups(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Params(query): Params<ListGroups>,
) -> Result<axum::Json<ResultGroups>, ApiError> {
    let limit = limit(query.limit)?;
    let invocation = invocations::find(&api, &id).await?.key;
    let (groups, more, left_out) = match query.by {
        GroupBy::Output => alike(&api, invocation, Likeness::Output, limit).await?,
        GroupBy::Exit => alike(&api, invocation, Likeness::Exit, limit).await?,
        GroupBy::Finding => findings(&api, invocation, limit).await?,
    };
    Ok(axum::Json(ResultGroups { by: query.by, groups, more, left_out }))
}

/// Groups, how many more there are, and what is in none.
type Found = (Vec<ResultGroup>, u64, u64);

async fn alike(api: &Api, invocation: InvocationKey, likeness: Likeness, limit: usize) -> Result<Found, ApiError> {
    let members = i64::try_from(MEMBERS).unwrap_or(i64::MAX);
    let rows = api.store.alike(invocation, likeness, members, one_more(limit) - 1).await?;
    let all = rows.first().map_or(0, |row| view::unsigned(row.groups));
    let mut groups: Vec<ResultGroup> = Vec::new();
    for of_one in rows.chunk_by(|one, other| one.group == other.group) {
        let Some(first) = of_one.first() else { continue };
        let output = match likeness {
            Likeness::Output => sample(api, invocation, first).await?,
            Likeness::Exit => None,
        };
        let by_exit = likeness == Likeness::Exit;
        groups.push(ResultGroup {
            count: view::unsigned(first.count),
            instances: of_one
                .iter()
                .map(|row| GroupMember { id: row.instance_uid.clone(), name: row.instance_name.clone() })
                .collect(),
            status: Some(first.status.as_str().to_owned()),
            exit_code: first.exit_code.filter(|_| by_exit),
            code: first.code.clone().filter(|_| by_exit),
            output,
            finding: None,
        });
    }
    let more = all.saturating_sub(groups.len() as u64);
    Ok((groups, more, 0))
}

/// How the output of a group begins.
async fn sample(api: &Api, invocation: InvocationKey, row: &AlikeRow) -> Result<Option<GroupOutput>, ApiError> {
    let Some(sha256) = row.output_digest else {
        return Ok(None);
    };
    let kept = match api.store.output(invocation, row.instance).await? {
        Some(output) => serde_json::from_slice::<KeptOutput>(&output).map_err(tasks::unreadable)?,
        None => KeptOutput::default(),
    };
    let text = tasks::render(&kept, None);
    let cut = text.len() > SAMPLE_BYTES;
    let begin = text.get(..SAMPLE_BYTES).unwrap_or(&text);
    Ok(Some(GroupOutput { sha256, sample: String::from_utf8_lossy(begin).into_owned(), cut }))
}

async fn findings(api: &Api, invocation: InvocationKey, limit: usize) -> Result<Found, ApiError> {
    let busy = |_| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping");
    let _room = api.reports.acquire().await.map_err(busy)?;
    let chunk = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let mut tally = Tally::default();
    let mut after = 0;
    loop {
        let page = api.store.reports(invocation, after, chunk).await?;
        let Some(last) = page.last() else { break };
        after = last.instance;
        // Reports are large: nothing else waits for their parsing.
        let counted = tokio::task::spawn_blocking(move || {
            for row in &page {
                tally.add(row, &serde_json::from_slice(&row.report)?);
            }
            Ok::<_, serde_json::Error>(tally)
        });
        tally = counted.await.map_err(|error| ApiError::internal(&error))?.map_err(tasks::unreadable)?;
    }
    Ok(tally.groups(limit))
}

/// Findings as they are counted.
#[derive(Debug, Default)]
struct Tally {
    groups: HashMap<(String, FindingVerdict, Severity), ResultGroup>,
    /// Findings for which there was no room.
    left_out: u64,
}

impl Tally {
    fn add(&mut self, row: &ReportRow, report: &Report) {
        // A report may say the same more than once; its instance is counted once.
        let mut seen = HashSet::new();
        for finding in &report.findings {
            if !seen.insert((finding.id.as_str(), finding.verdict, finding.severity)) {
                continue;
            }
            let key = (finding.id.clone(), finding.verdict, finding.severity);
            if self.groups.len() >= FINDINGS_MAX && !self.groups.contains_key(&key) {
                self.left_out += 1;
                continue;
            }
            let group = self.groups.entry(key).or_insert_with(|| of_finding(finding));
            group.count += 1;
            if group.instances.len() < MEMBERS {
                group.instances.push(GroupMember { id: row.instance_uid.clone(), name: row.instance_name.clone() });
            }
        }
    }

    /// What failed first, of that the worst, and of the rest what most have.
    fn groups(self, limit: usize) -> Found {
        let mut sorted: Vec<_> = self.groups.into_iter().collect();
        sorted.sort_by(|((id, verdict, severity), group), ((other_id, other_verdict, other_severity), other)| {
            rank(*verdict)
                .cmp(&rank(*other_verdict))
                .then_with(|| other_severity.cmp(severity))
                .then_with(|| other.count.cmp(&group.count))
                .then_with(|| id.cmp(other_id))
        });
        let more = sorted.len().saturating_sub(limit) as u64;
        (sorted.into_iter().take(limit).map(|(_, group)| group).collect(), more, self.left_out)
    }
}

const fn rank(verdict: FindingVerdict) -> u8 {
    match verdict {
        FindingVerdict::Fail => 0,
        FindingVerdict::NotApplicable => 1,
        FindingVerdict::Pass => 2,
    }
}

fn of_finding(finding: &Finding) -> ResultGroup {
    ResultGroup {
        count: 0,
        instances: Vec::new(),
        status: None,
        exit_code: None,
        code: None,
        output: None,
        finding: Some(GroupFinding {
            id: finding.id.clone(),
            title: finding.title.clone(),
            severity: finding.severity,
            verdict: finding.verdict,
        }),
    }
}

/// All results of an invocation with everything that is kept of them, in the order in which their instances enrolled.
#[utoipa::path(get, path = "/v1/invocations/{id}/results", tag = "results", params(
        ("id" = String, Path,),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "the most rows of the page; pages of large results have fewer"),
    ), responses((status = OK, body = Page<TaskDetail>)))]
pub(crate) async fn list(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Params(query): Params<ListResults>,
) -> Result<axum::Json<Page<TaskDetail>>, ApiError> {
    let limit = limit(query.limit)?;
    let after = after(query.after.as_deref(), 0)?;
    let invocation = invocations::find(&api, &id).await?;
    let mut rows = api.store.tasks(invocation.key, None, after, one_more(limit)).await?;
    let mut next = cut(&mut rows, limit, |row| row.instance);
    let (mut items, mut bytes) = (Vec::with_capacity(rows.len()), 0_usize);
    'page: for chunk in rows.chunks(CHUNK) {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { break };
        let found = api.store.results(invocation.key, first.instance..=last.instance).await?;
        let mut found: HashMap<_, _> = found.into_iter().collect();
        for row in chunk {
            if bytes > PAGE_BYTES {
                break 'page;
            }
            let result = found.remove(&row.instance);
            if let Some(result) = &result {
                let report = result.report.as_ref().map_or(0, Vec::len);
                bytes = bytes.saturating_add(result.output.len() + result.receipt.len() + report);
            }
            items.push(tasks::detail(&invocation, row, result)?);
        }
    }
    if items.len() < rows.len() {
        next = items.len().checked_sub(1).and_then(|last| rows.get(last)).map(|row| row.instance.to_string());
    }
    Ok(axum::Json(Page { items, next }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::instance::InstanceId;
    use orderly_signing::key::SecretKey;

    use super::*;

    fn row(seed: u8) -> ReportRow {
        let instance_uid = InstanceId::of(SecretKey::from_seed([seed; 32]).public());
        ReportRow { instance: seed.into(), instance_uid, instance_name: format!("web-{seed}"), report: Vec::new() }
    }

    fn finding(id: &str, severity: Severity, verdict: FindingVerdict) -> Finding {
        Finding {
            id: id.to_owned(),
            title: id.to_owned(),
            severity,
            verdict,
            evidence: String::new(),
            remedy: String::new(),
        }
    }

    #[test]
    fn what_failed_comes_first_and_of_that_the_worst() {
        let mut tally = Tally::default();
        for seed in 0..12 {
            let fails = if seed == 0 { FindingVerdict::Fail } else { FindingVerdict::Pass };
            let findings = vec![
                finding("minor", Severity::Low, FindingVerdict::Fail),
                finding("rare", Severity::Critical, fails),
                finding("fine", Severity::High, FindingVerdict::Pass),
            ];
            tally.add(&row(seed), &Report { findings, ..Report::default() });
        }
        let (groups, more, left_out) = tally.groups(3);
        let told: Vec<_> = groups
            .iter()
            .map(|group| (group.finding.as_ref().unwrap().id.as_str(), group.count, group.instances.len()))
            .collect();
        assert_eq!(told, [("rare", 1, 1), ("minor", 12, MEMBERS), ("rare", 11, MEMBERS)]);
        assert_eq!((more, left_out), (1, 0));
    }

    #[test]
    fn a_report_with_endless_rules_takes_no_endless_memory() {
        let mut tally = Tally::default();
        let findings = (0..FINDINGS_MAX + 7)
            .map(|number| finding(&number.to_string(), Severity::Info, FindingVerdict::Fail))
            .collect();
        tally.add(&row(1), &Report { findings, ..Report::default() });
        assert_eq!(tally.groups.len(), FINDINGS_MAX);
        let (groups, more, left_out) = tally.groups(FINDINGS_MAX - 1);
        assert_eq!(
            (groups.len(), more, left_out),
            (FINDINGS_MAX - 1, 1, 7),
            "what is left out is counted, and is no group"
        );
    }

    #[test]
    fn a_report_that_says_the_same_a_thousand_times_counts_once() {
        let mut tally = Tally::default();
        let findings = vec![finding("rule", Severity::High, FindingVerdict::Fail); 1000];
        tally.add(&row(1), &Report { findings, ..Report::default() });
        let (groups, ..) = tally.groups(1);
        assert_eq!((groups[0].count, groups[0].instances.len()), (1, 1));
    }
}
