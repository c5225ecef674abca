//! What a task's time is made of, each alone: a spawn, a flush to the disk, a WebSocket echo.
//!
//! Owns nothing that lasts: each part ends with its measurement.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use super::since;

/// Starts `sh -c true` and waits for its end.
pub(super) fn spawn() -> Result<Duration> {
    let started = Instant::now();
    let mut command = Command::new("sh");
    let status = command.args(["-c", "true"]).stdin(Stdio::null()).status().context("cannot start sh")?;
    ensure!(status.success(), "`sh -c true` ended with {status}");
    Ok(since(started))
}

/// Appends a page to a file and has it flushed to the disk.
pub(super) fn flush(path: &Path) -> Result<Duration> {
    let mut file = std::fs::File::options().create(true).append(true).open(path).context("cannot write")?;
    let started = Instant::now();
    file.write_all(&[0; 4096]).context("cannot write")?;
    file.sync_data().context("cannot flush")?;
    Ok(since(started))
}

/// Echoes over a WebSocket on loopback, without TLS.
pub(super) async fn echo(count: usize) -> Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
    let address = listener.local_addr().context("no address")?;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut socket = tokio_tungstenite::accept_async(stream).await?;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await?;
            }
        }
        anyhow::Ok(())
    });
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    let (mut socket, _) =
        tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await.context("no WebSocket")?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        socket.send(Message::text("x".repeat(200))).await.context("cannot send")?;
        socket.next().await.context("the echo is missing")?.context("the echo is broken")?;
        times.push(since(started));
    }
    socket.close(None).await.context("cannot close")?;
    drop(socket);
    server.await.context("the echo's server failed")??;
    Ok(times)
}
