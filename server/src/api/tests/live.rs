//! Live events: what is told of an invocation while somebody looks.

use orderly_wire::http::event::InvocationEvent;
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::to_server::{Output, Progress, ReportEvent, Segment, Stream, ToServer};
use reqwest::{Method, StatusCode};

use crate::store::fact::{Fact, What};
use crate::tests::Server;
use crate::tests::agent::{Agent, read};

/// Runs a script on one instance.
async fn create(server: &Server, agent: &Agent) -> InvocationView {
    let request = server.fleet.signed(std::slice::from_ref(&agent.id), |_| {});
    server.json(Method::POST, "/v1/invocations", &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn live_events_begin_with_the_state_and_end_with_the_end() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    let created = create(&server, &agent).await;
    let offer = link.offer().await;
    let seq = link.report(&offer, ReportEvent::Accepted { at_ms: 1 }).await;
    link.acknowledged(seq).await;
    let path = format!("/v1/invocations/{}/events", created.id);
    let answer = server.request(Method::GET, &path).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = Events { answer, text: String::new() };
    assert!(matches!(events.next().await, Some(InvocationEvent::Task(task)) if task.status == "Running"));
    assert!(matches!(events.next().await, Some(InvocationEvent::Counts { status, .. }) if status == "Running"));
    let order = read(&offer).0;
    let segments = vec![Segment { stream: Stream::Stdout, data: b"hello\n".to_vec() }];
    let output = Output { order, invocation: created.id.clone(), offset: 0, segments: segments.clone() };
    link.send(&ToServer::Output(output)).await;
    assert_eq!(events.next().await, Some(InvocationEvent::Output { instance: agent.id.clone(), offset: 0, segments }));
    let progress = Progress { order, invocation: created.id.clone(), done: 1, total: 2, message: "half".to_owned() };
    link.send(&ToServer::Progress(progress)).await;
    assert!(matches!(events.next().await, Some(InvocationEvent::Progress { done: 1, total: 2, .. })));
    link.report(&offer, agent.finished(&offer, "hello\n", |_| {})).await;
    assert!(matches!(events.next().await, Some(InvocationEvent::Task(task)) if task.status == "Success"));
    assert!(matches!(events.next().await, Some(InvocationEvent::Counts { status, .. }) if status == "Success"));
    assert!(matches!(events.next().await, Some(InvocationEvent::End { status, .. }) if status == "Success"));
    assert_eq!(events.next().await, None);
    // Whoever comes later is told the end at once.
    let answer = server.request(Method::GET, &path).bearer_auth(&server.token).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert_eq!(text.matches("event: ").count(), 3, "{text}");
    let unknown = server.request(Method::GET, "/v1/invocations/t-none/events").bearer_auth(&server.token);
    assert_eq!(unknown.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_output_in_the_name_of_an_invocation_of_others() {
    let server = Server::start().await;
    let (agent, liar) = (Agent::enrolled(&server).await, Agent::enrolled(&server).await);
    let (mut link, mut lying) = (agent.link(&server).await, liar.link(&server).await);
    let created = create(&server, &agent).await;
    let offer = link.offer().await;
    let seq = link.report(&offer, ReportEvent::Accepted { at_ms: 1 }).await;
    link.acknowledged(seq).await;
    let path = format!("/v1/invocations/{}/events", created.id);
    let answer = server.request(Method::GET, &path).bearer_auth(&server.token).send().await.unwrap();
    let mut events = Events { answer, text: String::new() };
    assert!(matches!(events.next().await, Some(InvocationEvent::Task(_))));
    assert!(matches!(events.next().await, Some(InvocationEvent::Counts { .. })));
    let order = read(&offer).0;
    let said = |text: &str| {
        let segments = vec![Segment { stream: Stream::Stdout, data: text.as_bytes().to_vec() }];
        ToServer::Output(Output { order, invocation: created.id.clone(), offset: 0, segments })
    };
    lying.send(&said("all is well\n")).await;
    assert_eq!(lying.goodbye().await, "frame");
    // The first thing that is heard is the target's, over a new link too, which knows nothing of the offer.
    drop(link);
    let mut link = agent.link(&server).await;
    link.send(&said("hello\n")).await;
    let heard = events.next().await;
    assert!(matches!(&heard, Some(InvocationEvent::Output { instance, .. }) if *instance == agent.id), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_server_recorded_is_told_a_little_later() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let created = create(&server, &agent).await;
    let path = format!("/v1/invocations/{}/events", created.id);
    let answer = server.request(Method::GET, &path).bearer_auth(&server.token).send().await.unwrap();
    let mut events = Events { answer, text: String::new() };
    assert!(matches!(events.next().await, Some(InvocationEvent::Task(_))));
    assert!(matches!(events.next().await, Some(InvocationEvent::Counts { .. })));
    // As another server does: into the store, and past the listeners of this one.
    let [(instance, _)] = server.store.instance_keys(&[agent.id]).await.unwrap().try_into().unwrap();
    let what = What::Unproven { generation: 1, at_ms: 9 };
    server.store.record(vec![Fact { instance, order: created.order.parse().unwrap(), what }]).await.unwrap();
    assert_eq!(events.next().await, Some(InvocationEvent::Lagged));
    assert!(matches!(events.next().await, Some(InvocationEvent::Counts { status, .. }) if status == "Failed"));
    assert!(matches!(events.next().await, Some(InvocationEvent::End { .. })));
}

struct Events {
    answer: reqwest::Response,
    text: String,
}

impl Events {
    /// The next event; `None` where the stream has ended. Signs of life in between are no events.
    async fn next(&mut self) -> Option<InvocationEvent> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return Some(serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            let chunk = tokio::time::timeout(crate::tests::WAIT, self.answer.chunk()).await.unwrap().unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
