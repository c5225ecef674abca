//! Results of a whole invocation.

use orderly_signing::digest::Digest;
use orderly_wire::http::Page;
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::http::result::ResultGroups;
use orderly_wire::http::task::{TaskDetail, TaskView};
use reqwest::Method;

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
