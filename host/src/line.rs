//! The child's line to its parent: descriptor 4.
//!
//! Owns sending (at once, from any host function, also while the guest keeps the thread) and matching replies to calls.
//! It ends with the process; when the parent is gone, every call fails.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::SendFlags;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::frame::{self, Call, Down, Reply, Up};

/// The line. One per child.
#[derive(Debug)]
pub(crate) struct Line {
    socket: OwnedFd,
    /// Calls that wait. Held for inserts and removals only, never over an await.
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    waiting: HashMap<u32, oneshot::Sender<Reply>>,
    next: u32,
    closed: bool,
}

impl Line {
    /// Takes the socket over and starts reading replies. Must be called within a tokio runtime.
    pub(crate) fn open(socket: OwnedFd) -> io::Result<Arc<Self>> {
        let stream = std::os::unix::net::UnixStream::from(socket.try_clone()?);
        stream.set_nonblocking(true)?;
        let mut stream = UnixStream::from_std(stream)?;
        let line = Arc::new(Self { socket, calls: Mutex::default() });
        let reader = Arc::clone(&line);
        // Ends with the runtime, which ends with the one run of this process.
        tokio::spawn(async move {
            while let Ok(Some(Down { id, reply })) = frame::read(&mut stream).await {
                let waiting = reader.calls().waiting.remove(&id);
                if let Some(waiting) = waiting {
                    let _ = waiting.send(reply);
                }
            }
            let mut calls = reader.calls();
            calls.closed = true;
            calls.waiting.clear();
        });
        Ok(line)
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something that needs no reply. Waits, without the runtime, until the parent has taken it.
    pub(crate) fn tell(&self, message: &Up) -> io::Result<()> {
        let frame = frame::encode(message)?;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let mut polled = [PollFd::new(&self.socket, PollFlags::OUT)];
                    rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Asks the parent and waits for its reply.
    pub(crate) async fn call(&self, call: Call) -> io::Result<Reply> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the agent is gone");
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut calls = self.calls();
            if calls.closed {
                return Err(gone());
            }
            calls.next = calls.next.wrapping_add(1);
            let id = calls.next;
            calls.waiting.insert(id, sender);
            id
        };
        self.tell(&Up::Call { id, call })?;
        receiver.await.map_err(|_| gone())
    }
}
