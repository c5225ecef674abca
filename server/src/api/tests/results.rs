//! Results of a whole invocation.

use orderly_signing::digest::Digest;
use orderly_wire::http::Page;
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::http::result::ResultGroups;
use orderly_wire::http::retention::RetentionView;
use orderly_wire::http::task::{TaskDetail, TaskView};
use reqwest::Method;
use tokio_util::sync::CancellationToken;

use crate::retention::{Keep, pass};
use crate::tests::Server;
use crate::tests::agent::Agent;

#[tokio::test(flavor = "multi_thread")]
async fn results_are_put_together_and_read_page_by_page() {
    let server = Server::start().await;
    let agents = [Agent::enrolled(&server).await, Agent::enrolled(&server).await, Agent::enrolled(&server).await];
    let ids: Vec<_> = agents.iter().map(|agent| agent.id.clone()).collect();
    let created: InvocationView =
        server.json(Method::POST, "/v1/invocations", &server.fleet.signed(&ids, |_| {})).await;
    for (agent, output) in agents.iter().zip(["same\n", "same\n", "other\n"]) {
        let mut link = agent.link(&server).await;
        let offer = link.offer().await;
        let seq = link.report(&offer, agent.finished(&offer, output, |_| {})).await;
        link.acknowledged(seq).await;
    }
    let base = format!("/v1/invocations/{}", created.id);
    let groups: ResultGroups = server.get(&format!("{base}/groups")).await;
    let told: Vec<_> = groups
        .groups
        .iter()
        .map(|group| (group.count, group.instances.len(), group.output.as_ref().unwrap().sample.as_str()))
        .collect();
    assert_eq!(told, [(2, 2, "same\n"), (1, 1, "other\n")]);
    assert_eq!(groups.groups[1].instances[0].id, ids[2]);
    let groups: ResultGroups = server.get(&format!("{base}/groups?limit=1")).await;
    assert_eq!((groups.groups.len(), groups.more), (1, 1));
    let groups: ResultGroups = server.get(&format!("{base}/groups?by=exit")).await;
    assert_eq!((groups.groups.len(), groups.groups[0].exit_code), (1, Some(0)));
    let groups: ResultGroups = server.get(&format!("{base}/groups?by=finding")).await;
    assert!(groups.groups.is_empty());

    let page: Page<TaskDetail> = server.get(&format!("{base}/results?limit=2")).await;
    let first: Vec<_> = page.items.iter().map(|task| task.view.instance.clone()).collect();
    assert_eq!(first, ids[..2]);
    assert!(page.items.iter().all(|task| task.receipt.is_some()));
    let page: Page<TaskDetail> = server.get(&format!("{base}/results?after={}", page.next.unwrap())).await;
    assert_eq!((page.items.len(), page.next), (1, None));
    let tasks: Page<TaskView> = server.get(&format!("{base}/tasks")).await;
    assert_eq!(tasks.items[2].output_digest, Some(Digest::of(b"other\n")));

    for (path, code) in [
        (format!("{base}/groups?by=colour"), "query"),
        (format!("{base}/groups?limit=0"), "limit"),
        (format!("{base}/results?after=x"), "after"),
        ("/v1/invocations/t-none/groups".to_owned(), "unknown-invocation"),
        ("/v1/invocations/t-none/results".to_owned(), "unknown-invocation"),
    ] {
        assert_eq!(server.problem(Method::GET, &path, &()).await.code, code, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_is_told_as_removed_and_never_made_anew() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    let request = server.fleet.signed(std::slice::from_ref(&agent.id), |_| {});
    let created: InvocationView = server.json(Method::POST, "/v1/invocations", &request).await;
    let offer = link.offer().await;
    let seq = link.report(&offer, agent.finished(&offer, "hello\n", |_| {})).await;
    link.acknowledged(seq).await;
    // The newest stays.
    let newer = server.fleet.signed(std::slice::from_ref(&agent.id), |_| {});
    let _: InvocationView = server.json(Method::POST, "/v1/invocations", &newer).await;
    let keep = Keep { days: Some(1), count: None };
    let later = crate::clock::now_ms() + 9 * 24 * 60 * 60 * 1000;
    pass(&server.store, keep, later, &CancellationToken::new()).await.unwrap();
    let base = format!("/v1/invocations/{}", created.id);
    for path in ["", "/tasks", "/results", "/groups", "/evidence", "/events"] {
        let problem = server.problem(Method::GET, &format!("{base}{path}"), &()).await;
        assert_eq!((problem.status, problem.code.as_str()), (410, "removed"), "{path}");
    }
    let problem = server.problem(Method::POST, "/v1/invocations", &request).await;
    assert_eq!((problem.status, problem.code.as_str()), (410, "removed"), "the same signed order comes again");
    let view: RetentionView = server.get("/v1/retention").await;
    assert_eq!((view.keep_days, view.invocations, view.removed, view.removed_ms), (None, 1, 1, Some(later)));
}
