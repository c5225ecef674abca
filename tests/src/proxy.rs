//! A network between agents and server that fails on demand: a TCP proxy that cuts a connection in the middle.
//!
//! Owns its listener and its connections. A cut is armed for a direction and a number of bytes: the first connection that carries
//! so many that way is closed on both ends, and that cut is used up. It looks into no byte. Dropping it stops it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// From it.
    Down,
}

/// Armed cuts: the way, and after how many bytes of one connection.
type Cuts = Arc<Mutex<Vec<(Way, u64)>>>;

/// The proxy.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    cuts: Cuts,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to this server.
    ///
    /// # Panics
    /// Where it cannot listen.
    #[must_use]
    pub fn start(runtime: &Handle, server: SocketAddr) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let cuts = Cuts::default();
        let armed = Arc::clone(&cuts);
        let accepting = runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server, Arc::clone(&armed)));
            }
        });
        Self { address, cuts, accepting }
    }

    /// Arms a cut.
    pub fn cut(&self, way: Way, after: u64) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).push((way, after));
    }

    /// Cuts that are still armed.
    #[must_use]
    pub fn armed(&self) -> usize {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(client: TcpStream, server: SocketAddr, cuts: Cuts) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whichever way ends first by a cut ends both: the halves are dropped.
    tokio::select! {
        () = carry(from_client, to_server, Way::Up, &cuts) => {}
        () = carry(from_server, to_client, Way::Down, &cuts) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, cuts: &Cuts) {
    let mut piece = vec![0; 64 * 1024];
    let mut carried = 0_u64;
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        carried += count as u64;
        {
            let mut armed = cuts.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = armed.iter().position(|(cut, after)| *cut == way && carried > *after) {
                armed.remove(at);
                return;
            }
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}
