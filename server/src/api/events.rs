//! Live events of an invocation, as server-sent events.
//!
//! The listener is there before the state is read, so nothing falls between. A client that reads too slowly is told that it lagged;
//! one that leaves ends its stream. Streams stop with the phase of connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use orderly_wire::http::event::InvocationEvent;
use tokio::sync::mpsc;

use super::auth::Permit;
use super::problem::ApiError;
use super::{Api, State, invocations};
use crate::live::{self, Listener};
use crate::store::row::InvocationRow;
use crate::view;

/// Events between the store and a client's connection.
const WINDOW: usize = 64;

/// How often the store is looked at while nothing is heard: instances of another server's links are heard by that server only.
const LOOK: Duration = Duration::from_secs(5);

/// Tasks read at once.
const PAGE: i64 = 500;

/// Streams the state of an invocation and its changes until it has ended.
#[utoipa::path(get, path = "/v1/invocations/{id}/events", tag = "invocations", params(("id" = String, Path,)),
    responses((status = OK, body = InvocationEvent, content_type = "text/event-stream")))]
pub(crate) async fn stream(_permit: Permit, api: State, Path(id): Path<String>) -> Result<impl IntoResponse, ApiError> {
    let listener = api.link.hub.listen(&id);
    let row = invocations::find(&api, &id).await?;
    let (sender, receiver) = mpsc::channel(WINDOW);
    let stop = api.accepting.token();
    let feeding = feed(Arc::clone(&api), row, listener, sender);
    api.accepting.spawn("events", async move {
        tokio::select! {
            _ = feeding => {}
            () = stop.cancelled() => {}
        }
    });
    let events = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let event: Arc<InvocationEvent> = receiver.recv().await?;
        Some((Ok::<_, Infallible>(sse(&event)), receiver))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn sse(event: &InvocationEvent) -> Event {
    let name = match event {
        InvocationEvent::Task(_) => "task",
        InvocationEvent::Output { .. } => "output",
        InvocationEvent::Progress { .. } => "progress",
        InvocationEvent::Counts { .. } => "counts",
        InvocationEvent::Lagged => "lagged",
        InvocationEvent::End { .. } => "end",
    };
    Event::default().event(name).data(serde_json::to_string(event).unwrap_or_default())
}

/// Sends the state, then the changes; ends with the invocation, or `None` where the client or the store has gone.
async fn feed(
    api: Arc<Api>,
    row: InvocationRow,
    mut listener: Listener,
    client: mpsc::Sender<Arc<InvocationEvent>>,
) -> Option<()> {
    let mut after = 0;
    loop {
        let page = api.store.tasks(row.key, None, after, PAGE).await.ok()?;
        let short = i64::try_from(page.len()).unwrap_or(0) < PAGE;
        for task in page {
            after = task.instance;
            client.send(Arc::new(InvocationEvent::Task(Box::new(view::task(&row.uid, &task))))).await.ok()?;
        }
        if short {
            break;
        }
    }
    // As old as the row is: what came since is with the listener.
    let mut counted = Arc::new(live::counts(&row));
    client.send(Arc::clone(&counted)).await.ok()?;
    if row.finished_ms.is_some() {
        return client.send(Arc::new(live::end(&row))).await.ok();
    }
    loop {
        let event = tokio::select! {
            event = listener.next() => event,
            () = tokio::time::sleep(LOOK) => {
                if live::counts(&api.store.invocation(&row.uid).await.ok()??) == *counted {
                    continue;
                }
                Arc::new(InvocationEvent::Lagged)
            }
            () = client.closed() => return None,
        };
        if matches!(*event, InvocationEvent::Counts { .. }) {
            counted = Arc::clone(&event);
        }
        let lagged = matches!(*event, InvocationEvent::Lagged);
        let ended = matches!(*event, InvocationEvent::End { .. });
        client.send(event).await.ok()?;
        if ended {
            return Some(());
        }
        if lagged {
            let now = api.store.invocation(&row.uid).await.ok()??;
            counted = Arc::new(live::counts(&now));
            client.send(Arc::clone(&counted)).await.ok()?;
            // The end may be among what was missed.
            if now.finished_ms.is_some() {
                return client.send(Arc::new(live::end(&now))).await.ok();
            }
        }
    }
}
