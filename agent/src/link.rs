//! The link to the server: one WebSocket over TLS 1.3, made again whenever it is lost.
//!
//! Owns connecting, the proof of the instance key, the heart-beat, and carrying frames both ways. It decides nothing
//! about orders: they go to the desk as they came. It holds nothing that may not be lost: reports are read from the
//! journal again after each reconnection. It stops when the shutdown token is cancelled, after what is in the outbox has
//! been sent, at most two seconds later.

use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use orderly_signing::proof::link_message;
use orderly_wire::frame::{self, FrameError, TO_AGENT_MAX, TO_SERVER_MAX};
use orderly_wire::to_agent::{ToAgent, Welcome};
use orderly_wire::to_server::{Hello, ToServer};
use orderly_wire::version::{LINK_VERSION, LINK_VERSION_MIN};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use crate::clock::local_ms;
use crate::desk::Desk;
use crate::journal::JournalError;
use crate::platform;
use crate::transport::backoff::Backoff;
use crate::transport::{ConnectError, connect};

/// Bytes of the buffer that is read into. The library's default costs 30 times as much per idle link.
const READ_BUFFER_BYTES: usize = 4096;

/// How long a frame may take to be written: longer means that the server does not read.
const SEND_TIME: Duration = Duration::from_secs(30);

/// How long the upgrade, and then the server's welcome, may take.
const GREET_TIME: Duration = Duration::from_secs(20);

/// How long reports are still sent once the agent stops.
const PARTING_TIME: Duration = Duration::from_secs(2);

/// Bounds of the heart-beat that a server may ask for.
const HEARTBEAT_S: std::ops::RangeInclusive<u32> = 5..=600;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("no connection")]
    Connect(#[source] ConnectError),
    #[error("the WebSocket failed")]
    Socket(#[source] Box<tungstenite::Error>),
    #[error("the server did not {0} in time")]
    Slow(&'static str),
    #[error("the server closed the link")]
    Closed,
    #[error("the server ended the link: {code}: {reason}")]
    Goodbye { code: String, reason: String },
    #[error("the server's first frame is no welcome")]
    NoWelcome,
    #[error("the server speaks version {0} of the link, this agent {LINK_VERSION_MIN} to {LINK_VERSION}")]
    Version(u32),
    #[error("a frame cannot be read or written")]
    Frame(#[source] FrameError),
    #[error("the outbox cannot be read")]
    Journal(#[source] JournalError),
}

impl From<tungstenite::Error> for LinkError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// Keeps a link up until shutdown. `live` is the bounded, lossy queue of live output.
pub(crate) async fn run(desk: Rc<Desk>, mut live: mpsc::Receiver<ToServer>, shutdown: CancellationToken) {
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let ended = linked(&desk, &mut live, &shutdown, &mut backoff).await;
        if let Err(error) = ended {
            tracing::warn!(error = %crate::exec::chain(&error), "link lost");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn linked(
    desk: &Rc<Desk>,
    live: &mut mpsc::Receiver<ToServer>,
    shutdown: &CancellationToken,
    backoff: &mut Backoff,
) -> Result<(), LinkError> {
    let opening = async {
        let mut socket = open(desk).await?;
        let welcome = greet(&mut socket).await?;
        Ok::<_, LinkError>((socket, welcome))
    };
    let (mut socket, welcome) = tokio::select! {
        opened = opening => opened?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let since = Instant::now();
    let apart_ms = welcome.server_time_ms.saturating_sub(local_ms());
    tracing::info!(link.version = welcome.version, clock.apart_ms = apart_ms, "linked");
    let wished = u64::from(welcome.heartbeat_s.clamp(*HEARTBEAT_S.start(), *HEARTBEAT_S.end()));
    let heartbeat = desk.heartbeat().unwrap_or(Duration::from_secs(wished));
    // What was printed while nobody listened is stale.
    while live.try_recv().is_ok() {}
    let ended = carry(desk, &mut socket, live, heartbeat, shutdown).await;
    let _ = timeout(PARTING_TIME, socket.close(None)).await;
    backoff.lived(since.elapsed());
    ended
}

async fn open(desk: &Desk) -> Result<Socket, LinkError> {
    let identity = desk.identity();
    let connection = connect(&identity.server, &identity.pins.ca).await.map_err(LinkError::Connect)?;
    let proof = identity.key.sign(&link_message("link", identity.id(), &connection.exporter)).to_vec();
    let url = format!("wss://{}/agent/v1/link", identity.server.authority());
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(TO_SERVER_MAX + READ_BUFFER_BYTES)
        .max_message_size(Some(TO_AGENT_MAX))
        .max_frame_size(Some(TO_AGENT_MAX));
    let upgrade =
        tokio_tungstenite::client_async_with_config(url.into_client_request()?, connection.stream, Some(config));
    let (mut socket, _) =
        timeout(GREET_TIME, upgrade).await.map_err(|_| LinkError::Slow("upgrade the connection"))??;
    let hello = Hello {
        oldest: LINK_VERSION_MIN,
        newest: LINK_VERSION,
        instance: identity.id().clone(),
        proof,
        facts: desk.facts().clone(),
        boot_id: platform::boot_id(),
        keyring_revision: desk.keyring_revision(),
    };
    send(&mut socket, &ToServer::Hello(Box::new(hello))).await?;
    Ok(socket)
}

async fn greet(socket: &mut Socket) -> Result<Welcome, LinkError> {
    let first = timeout(GREET_TIME, receive(socket)).await.map_err(|_| LinkError::Slow("greet"))??;
    match first {
        ToAgent::Welcome(welcome) if (LINK_VERSION_MIN..=LINK_VERSION).contains(&welcome.version) => Ok(welcome),
        ToAgent::Welcome(welcome) => Err(LinkError::Version(welcome.version)),
        ToAgent::Goodbye(goodbye) => Err(LinkError::Goodbye { code: goodbye.code, reason: goodbye.reason }),
        _ => Err(LinkError::NoWelcome),
    }
}

async fn carry(
    desk: &Rc<Desk>,
    socket: &mut Socket,
    live: &mut mpsc::Receiver<ToServer>,
    heartbeat: Duration,
    shutdown: &CancellationToken,
) -> Result<(), LinkError> {
    let mut told = 0;
    let mut beat = Instant::now() + heartbeat;
    loop {
        if let Some(seq) = desk.take_rewind() {
            told = told.min(seq.saturating_sub(1));
        }
        // A report follows the live output that was there before it.
        while let Ok(output) = live.try_recv() {
            send(socket, &output).await?;
        }
        if let Some(report) = desk.next_report(told).map_err(LinkError::Journal)? {
            told = report.seq;
            send(socket, &ToServer::Report(Box::new(report))).await?;
            continue;
        }
        tokio::select! {
            frame = receive(socket) => match frame? {
                ToAgent::Offer(offer) => desk.offer(*offer),
                ToAgent::Ack(ack) => desk.acknowledge(ack.seq),
                ToAgent::Keyring(update) => desk.keyring_update(&update.keyring),
                ToAgent::Goodbye(goodbye) => {
                    return Err(LinkError::Goodbye { code: goodbye.code, reason: goodbye.reason });
                }
                ToAgent::Welcome(_) => tracing::warn!("a second welcome on one link is ignored"),
            },
            output = live.recv() => {
                if let Some(output) = output {
                    send(socket, &output).await?;
                }
            }
            () = desk.news() => {}
            () = tokio::time::sleep_until(beat) => {
                beat = Instant::now() + heartbeat;
                send(socket, &ToServer::Heartbeat).await?;
            }
            // All that the desk had to say has been sent by now: it ended before this token was cancelled.
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

async fn receive(socket: &mut Socket) -> Result<ToAgent, LinkError> {
    loop {
        match socket.next().await {
            None | Some(Ok(Message::Close(_))) => return Err(LinkError::Closed),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Message::Text(text))) => match frame::decode(text.as_str(), TO_AGENT_MAX) {
                Ok(frame) => return Ok(frame),
                // A link that broke at each odd frame would break again at the same one, for ever.
                Err(error) => tracing::warn!(error = %crate::exec::chain(&error), "a frame of the server is ignored"),
            },
            // Pings are answered by the library while we read.
            Some(Ok(_)) => {}
        }
    }
}

async fn send(socket: &mut Socket, frame: &ToServer) -> Result<(), LinkError> {
    let text = frame::encode(frame).map_err(LinkError::Frame)?;
    timeout(SEND_TIME, socket.send(Message::text(text))).await.map_err(|_| LinkError::Slow("read what we send"))??;
    Ok(())
}
