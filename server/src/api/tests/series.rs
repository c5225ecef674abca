//! Series: what an instance says of its runs, and what a rogue one is not believed.

use orderly_model::schedule::{Cause, Reason};
use orderly_signing::digest::Digest;
use orderly_signing::order::{Action, Due, Misfire, Overlap, Repeat};
use orderly_signing::receipt::{Receipt, SeriesRun};
use orderly_wire::http::Page;
use orderly_wire::http::invocation::{CreateInvocation, InvocationView, StopInvocation};
use orderly_wire::http::series::{RunDetail, RunSeries, RunView, SkipView};
use orderly_wire::http::task::TaskView;
use orderly_wire::to_agent::Offer;
use orderly_wire::to_server::{EndOfSeries, Report, ReportEvent, Skipped, ToServer};
use reqwest::Method;

use crate::tests::Server;
use crate::tests::agent::{Agent, Link, read};

fn schedule(frequency: &str) -> RunSeries {
    let due = Due::Frequency(frequency.to_owned());
    RunSeries { due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip }
}

fn request(server: &Server, agent: &Agent, series: &RunSeries) -> CreateInvocation {
    let signed = series.of_revision(1);
    let request = server.fleet.signed(std::slice::from_ref(&agent.id), |order| order.repeat = Repeat::Series(signed));
    CreateInvocation { series: Some(series.clone()), ..request }
}

/// An instance that keeps a series.
struct Keeper<'a> {
    server: &'a Server,
    agent: Agent,
    link: Link,
    offer: Offer,
    id: String,
    seq: u64,
}

impl<'a> Keeper<'a> {
    async fn of(server: &'a Server, series: &RunSeries) -> Self {
        let agent = Agent::enrolled(server).await;
        let mut link = agent.link(server).await;
        let created: InvocationView =
            server.json(Method::POST, "/v1/invocations", &request(server, &agent, series)).await;
        assert_eq!(created.series.as_ref().map(|view| (view.revision, &view.series)), Some((1, series)));
        let offer = link.offer().await;
        Self { server, agent, link, offer, id: created.id, seq: 0 }
    }

    /// Tells and waits until it is stored.
    async fn tell(&mut self, generation: u32, event: ReportEvent) {
        self.seq += 1;
        let (order, invocation) = (read(&self.offer).0, Some(self.id.clone()));
        let report = Report { seq: self.seq, order, invocation, generation, event };
        self.link.send(&ToServer::Report(Box::new(report))).await;
        self.link.acknowledged(self.seq).await;
    }

    async fn begin(&mut self, run: u32) {
        self.tell(run, ReportEvent::Began { due_ms: 1000, late: None, at_ms: 1001 }).await;
    }

    /// Ends a run, and answers its receipt's digest.
    async fn end(&mut self, run: u32, previous: Option<Digest>, bend: impl FnOnce(&mut Receipt)) -> Digest {
        let event = self.agent.finished(&self.offer, "out", |receipt| {
            receipt.generation = run;
            receipt.series = Some(SeriesRun { scheduled_ms: 1000, previous });
            bend(receipt);
        });
        let ReportEvent::Finished(finished) = &event else { panic!("{event:?}") };
        let digest = orderly_signing::envelope::Envelope::parse(&finished.receipt).unwrap().digest();
        self.tell(run, event).await;
        digest
    }

    async fn task(&self) -> TaskView {
        let page: Page<TaskView> = self.server.get(&format!("/v1/invocations/{}/tasks", self.id)).await;
        page.items[0].clone()
    }

    async fn runs(&self) -> Vec<RunView> {
        let page: Page<RunView> = self.server.get(&format!("/v1/invocations/{}/runs", self.id)).await;
        page.items
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_runs_skips_and_is_stopped() {
    let server = Server::start().await;
    let mut keeper = Keeper::of(&server, &schedule("rate(5m)")).await;
    keeper.tell(0, ReportEvent::Accepted { at_ms: 1 }).await;
    assert_eq!(keeper.task().await.status, "Scheduled");
    keeper.begin(1).await;
    assert_eq!((keeper.task().await.status.as_str(), keeper.task().await.generation), ("Running", 1));
    let first = keeper.end(1, None, |_| {}).await;
    let second =
        keeper.end(2, Some(first), |receipt| (receipt.status, receipt.exit_code) = ("Failed".into(), Some(3))).await;
    keeper.begin(3).await;
    keeper.end(1, None, |_| {}).await;
    let told: Vec<_> =
        keeper.runs().await.into_iter().map(|run| (run.task.generation, run.task.status, run.task.exit_code)).collect();
    let run = |number, status: &str, code| (number, status.to_owned(), code);
    assert_eq!(told, [run(3, "Running", None), run(2, "Failed", Some(3)), run(1, "Success", Some(0))]);
    let path = format!("/v1/invocations/{}/tasks/{}/runs", keeper.id, keeper.agent.id);
    let page: Page<RunView> = server.get(&format!("{path}?limit=2")).await;
    let rest: Page<RunView> = server.get(&format!("{path}?limit=2&after={}", page.next.unwrap())).await;
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (2, 1, None));
    let detail: RunDetail = server.get(&format!("{path}/2")).await;
    let receipt = serde_json::to_vec(&detail.task.receipt.unwrap()).unwrap();
    assert_eq!(orderly_signing::envelope::Envelope::parse(&receipt).unwrap().digest(), second);
    assert_eq!(server.get::<RunDetail>(&format!("{path}/3")).await.task.receipt, None);

    // Told again, and told with more folded into it: counted once.
    for count in [2, 2, 3] {
        let reason = Reason::Missed(Cause::AgentDown);
        let skipped = Skipped { first_ms: 5, last_ms: 5 + count as i64, count, exact: true, reason, at_ms: 9 };
        keeper.tell(0, ReportEvent::Skipped(skipped)).await;
    }
    let skips: Page<SkipView> = server.get(&format!("/v1/invocations/{}/skips", keeper.id)).await;
    let told: Vec<_> = skips.items.iter().map(|skip| (skip.reason.as_str(), skip.count, skip.last_ms)).collect();
    assert_eq!(told, [("missed/agent-down", 3, 8)]);

    let path = format!("/v1/invocations/{}/stop", keeper.id);
    let stopped: InvocationView = server.json(Method::POST, &path, &StopInvocation::default()).await;
    assert_eq!(stopped.status, "Stopping");
    assert!(matches!(read(&keeper.link.offer().await).1.action, Action::Stop { .. }));
    // Asked again, there is a new stop order for an instance that has not answered.
    let _: InvocationView = server.json(Method::POST, &path, &StopInvocation::default()).await;
    assert!(matches!(read(&keeper.link.offer().await).1.action, Action::Stop { .. }));
    keeper.end(3, Some(second), |receipt| receipt.status = "Terminated".to_owned()).await;
    assert_eq!(keeper.task().await.status, "Stopping", "the end of a run is not that of the series");
    keeper.tell(0, ReportEvent::SeriesEnded { end: EndOfSeries::Stopped, at_ms: 99 }).await;
    assert_eq!(keeper.task().await.status, "Terminated");
    keeper.begin(4).await;
    assert_eq!(keeper.runs().await.len(), 3, "nothing comes behind the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_rogue_instance_that_cannot_be() {
    let server = Server::start().await;
    let mut keeper = Keeper::of(&server, &schedule("rate(5m)")).await;
    keeper.tell(0, ReportEvent::Accepted { at_ms: 1 }).await;
    // More runs than time allows.
    keeper.begin(1000).await;
    keeper.end(1000, Some(Digest::ZERO), |_| {}).await;
    assert_eq!(keeper.runs().await, []);
    // A receipt of another series, and one without a run: an order that was taken is not ended by it.
    keeper.end(1, None, |receipt| receipt.invocation = format!("t-{}", "0".repeat(26))).await;
    let end = keeper.agent.finished(&keeper.offer, "", |_| {});
    keeper.tell(1, end).await;
    assert_eq!((keeper.runs().await, keeper.task().await.status.as_str()), (Vec::new(), "Scheduled"));
    // One that does not follow the run before: the run is over, and what the receipt says of it is not believed.
    keeper.end(1, None, |_| {}).await;
    keeper.begin(2).await;
    keeper.end(2, Some(Digest::of(b"another")), |_| {}).await;
    let run = keeper.runs().await.swap_remove(0);
    assert_eq!(
        (run.task.generation, run.task.status.as_str(), run.task.code.as_deref()),
        (2, "Error", Some("ReceiptRefused"))
    );
    assert_eq!(keeper.task().await.status, "Scheduled");
    keeper.tell(0, ReportEvent::SeriesEnded { end: EndOfSeries::Completed, at_ms: 99 }).await;
    assert_eq!(keeper.task().await.status, "Error", "as its last run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_that_is_refused_or_differs_from_its_order() {
    let server = Server::start().await;
    let mut keeper = Keeper::of(&server, &schedule("0 0 3 ? * * UTC")).await;
    let refusal = keeper.agent.finished(&keeper.offer, "", |receipt| {
        (receipt.status, receipt.started_ms, receipt.exit_code) = ("Invalid".to_owned(), None, None);
    });
    keeper.tell(1, refusal).await;
    assert_eq!(keeper.task().await.status, "Invalid");
    let agent = &keeper.agent;
    let other =
        CreateInvocation { series: Some(schedule("rate(6m)")), ..request(&server, agent, &schedule("rate(5m)")) };
    let problem = server.problem(Method::POST, "/v1/invocations", &other).await;
    assert_eq!(problem.faults[0].field, "order.repeat");
    let often = request(&server, agent, &schedule("* * * * * ?"));
    let problem = server.problem(Method::POST, "/v1/invocations", &often).await;
    assert_eq!(problem.faults[0].field, "series.due.frequency");
}
