//! What one invocation costs: each read of the store is a way to another thread, or over a network, and back.

use std::collections::BTreeMap;

use orderly_wire::http::invocation::InvocationView;
use orderly_wire::to_server::ReportEvent;
use reqwest::{Method, StatusCode};

use crate::tests::agent::{Agent, Link};
use crate::tests::{Server, until};

/// Runs a script from the request to the last event.
async fn to_the_end(server: &Server, agent: &Agent, link: &mut Link) {
    let request = server.fleet.signed(std::slice::from_ref(&agent.id), |_| {});
    let created: InvocationView = server.json(Method::POST, "/v1/invocations", &request).await;
    let offer = link.offer().await;
    let events = server.request(Method::GET, &format!("/v1/invocations/{}/events", created.id));
    let mut events = events.bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(events.status(), StatusCode::OK);
    let mut text = String::new();
    let mut read = async |end: &str| {
        while !text.contains(end) {
            text.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().expect(end)));
        }
    };
    read("event: counts").await;
    let seq = link.report(&offer, ReportEvent::Accepted { at_ms: 1 }).await;
    link.acknowledged(seq).await;
    read("\"status\":\"Running\"").await;
    let seq = link.report(&offer, agent.finished(&offer, "hello\n", |_| {})).await;
    link.acknowledged(seq).await;
    read("event: end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_one_invocation() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    // What is done once for a link, and once after the start, is done with the first.
    to_the_end(&server, &agent, &mut link).await;
    server.store.seen.take();
    let mut reads = BTreeMap::new();
    to_the_end(&server, &agent, &mut link).await;
    until("the deadlines were looked at", async || {
        for (read, times) in server.store.seen.take() {
            *reads.entry(read).or_insert(0) += times;
        }
        reads.contains_key("next_deadline").then_some(())
    })
    .await;
    // The dispatcher, and beside it the deadlines; either may still have been at the first invocation.
    for look in ["deliveries", "next_deadline"] {
        let looks = reads.remove(look);
        assert!(looks.is_some_and(|times| times <= 2), "{look}: {looks:?}");
    }
    let expected = [
        // For each of the two requests.
        ("token", 2),
        // The request.
        ("instance_keys", 1),
        // The state with which the events begin; of the reports nothing is read.
        ("invocation", 1),
        ("tasks", 1),
    ];
    assert_eq!(reads, BTreeMap::from(expected));
}
