//! `orderly:plugin/process`: programs that the parent starts for the guest. Linked with the capability `process`.
//!
//! Owns only the translation: this process can start nothing.

use wasmtime::component::Resource;

use super::bindings::orderly::plugin::process::{Chunk, Error, Event, Exit, Host, HostChild, OutputStream};
use crate::frame::{Call, ProcessRefusal, Reply};
use crate::platform;
use crate::state::State;

/// A program that was started, by the parent's number.
#[derive(Debug)]
#[allow(unreachable_pub)] // The generated bindings re-export it as public, within a private module.
pub struct Child {
    number: u32,
}

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for State {
    async fn spawn(&mut self, executable: String, arguments: Vec<String>) -> Answer<Resource<Child>> {
        let reply = self.line.call(Call::Spawn { executable: executable.clone(), arguments }).await;
        match reply {
            Ok(Reply::Spawned { child }) => {
                self.recorder.count("process", &executable);
                Ok(Ok(self.table.push(Child { number: child })?))
            }
            reply => {
                if matches!(reply, Ok(Reply::Refused(ProcessRefusal::Denied(_)))) {
                    self.recorder.count("denied process", &executable);
                }
                Ok(Err(refusal(reply)))
            }
        }
    }
}

impl HostChild for State {
    async fn next(&mut self, child: Resource<Child>) -> Answer<Event> {
        let child = self.table.get(&child)?.number;
        let reply = self.line.call(Call::Next { child }).await;
        match reply {
            Ok(Reply::Output { stderr, data }) => {
                let source = if stderr { OutputStream::StandardError } else { OutputStream::StandardOutput };
                Ok(Ok(Event::Output(Chunk { source, data: data.0 })))
            }
            Ok(Reply::Exited(platform::Exit::Code(code))) => Ok(Ok(Event::Exited(Exit::Code(code)))),
            Ok(Reply::Exited(platform::Exit::Signal(signal))) => Ok(Ok(Event::Exited(Exit::Signal(signal)))),
            reply => Ok(Err(refusal(reply))),
        }
    }

    async fn kill(&mut self, child: Resource<Child>) -> wasmtime::Result<()> {
        let child = self.table.get(&child)?.number;
        let _ = self.line.call(Call::Kill { child }).await;
        Ok(())
    }

    fn drop(&mut self, child: Resource<Child>) -> wasmtime::Result<()> {
        let child = self.table.delete(child)?.number;
        // Nobody can hear of it any more, so it ends; number 0 asks for no reply.
        let _ = self.line.tell(&crate::frame::Up::Call { id: 0, call: Call::Kill { child } });
        Ok(())
    }
}

fn refusal(reply: std::io::Result<Reply>) -> Error {
    match reply {
        Ok(Reply::Refused(ProcessRefusal::Denied(reason))) => Error::Denied(reason),
        Ok(Reply::Refused(ProcessRefusal::NotFound(reason))) => Error::NotFound(reason),
        Ok(Reply::Refused(ProcessRefusal::TooMany)) => Error::TooMany,
        Ok(Reply::Refused(ProcessRefusal::Failed(reason))) => Error::Failed(reason),
        Ok(_) => Error::Failed("the agent answered something else".to_owned()),
        Err(error) => Error::Failed(error.to_string()),
    }
}
