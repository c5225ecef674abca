//! The parent's side of the line: what the boxed child cannot do, done for it after the grant was checked again.
//!
//! Owns the numbers of programs and responses. It believes nothing of what the child says. Its tasks and programs end
//! with it, at the latest with the task's tree.

use std::sync::Arc;

use orderly_model::grant::Grants;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::frame::{self, Call, Down, End, Reply, Up};
use crate::output::OutputSink;
use crate::platform::{SandboxReport, Tree};

mod address;
mod http;
mod process;

use http::Responses;
use process::Programs;

/// Most calls that wait at once; more and the child is not worth serving.
const CALLS_MAX: usize = 256;

/// The broker of one run.
pub(crate) struct Broker<'a> {
    grants: Arc<Grants>,
    programs: Programs<'a>,
    responses: Arc<Responses>,
    tasks: JoinSet<()>,
    sandbox: SandboxReport,
    end: Option<End>,
}

impl<'a> Broker<'a> {
    pub(crate) fn new(grants: &Grants, tree: &'a Tree) -> Self {
        Self {
            grants: Arc::new(grants.clone()),
            programs: Programs::new(tree),
            responses: Arc::default(),
            tasks: JoinSet::new(),
            sandbox: SandboxReport::default(),
            end: None,
        }
    }

    /// Serves until the child closes its end, or says something that it must not.
    pub(crate) async fn serve(&mut self, line: UnixStream, sink: &mut impl OutputSink) {
        let (mut from, to) = line.into_split();
        let to = Arc::new(Mutex::new(to));
        loop {
            let message = match frame::read::<Up>(&mut from).await {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "a plugin's process said something that it must not");
                    return;
                }
            };
            match message {
                Up::Ready(report) => self.sandbox = report,
                Up::Progress { done, total, message } => sink.progress(done, total, &message),
                Up::Used(capability) => sink.used(&capability),
                Up::End(end) => self.end = Some(*end),
                Up::Call { id, call } => {
                    while self.tasks.try_join_next().is_some() {}
                    if self.tasks.len() >= CALLS_MAX {
                        tracing::warn!("a plugin's process has too many calls open");
                        return;
                    }
                    self.answer(id, call, &to).await;
                }
            }
        }
    }

    /// What came of it: the box, and the child's last word.
    pub(crate) fn into_end(self) -> (SandboxReport, Option<End>) {
        (self.sandbox, self.end)
    }

    async fn answer(&mut self, id: u32, call: Call, to: &Arc<Mutex<OwnedWriteHalf>>) {
        let to = Arc::clone(to);
        match call {
            Call::Spawn { executable, arguments } => {
                let reply = match self.programs.start(&self.grants, &executable, &arguments).await {
                    Ok(child) => Reply::Spawned { child },
                    Err(refusal) => Reply::Refused(refusal),
                };
                self.tasks.spawn(async move { reply_to(&to, id, reply).await });
            }
            Call::Next { child } => {
                let program = self.programs.get(child);
                self.tasks.spawn(async move { reply_to(&to, id, process::next(program).await).await });
            }
            Call::Kill { child } => {
                if let Some(program) = self.programs.get(child) {
                    program.kill();
                }
                // Number 0: nobody can hear of it any more.
                if id == 0 {
                    self.programs.forget(child);
                }
                self.tasks.spawn(async move { reply_to(&to, id, Reply::Done).await });
            }
            Call::Http(request) => {
                let (grants, responses) = (Arc::clone(&self.grants), Arc::clone(&self.responses));
                self.tasks
                    .spawn(async move { reply_to(&to, id, http::send(&grants, &responses, request).await).await });
            }
            Call::Body { response } => {
                let responses = Arc::clone(&self.responses);
                self.tasks.spawn(async move { reply_to(&to, id, http::body(&responses, response).await).await });
            }
            Call::Close { response } => self.responses.close(response),
        }
    }
}

async fn reply_to(to: &Mutex<OwnedWriteHalf>, id: u32, reply: Reply) {
    if id == 0 {
        return;
    }
    let Ok(bytes) = frame::encode(&Down { id, reply }) else { return };
    // A child that is gone needs no reply.
    let _ = to.lock().await.write_all(&bytes).await;
}

#[cfg(test)]
mod tests;
