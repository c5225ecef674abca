//! Child and parent at the two ends of one line: a request goes out and its body comes back, a program runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read as _, Write as _};
use std::path::Path;

use http_body_util::{BodyExt as _, Full};
use orderly_model::capability::{Capabilities, HttpRule, Method, Scheme};
use wasmtime_wasi_http::{Error, WasiHttpHooks as _};

use super::*;
use crate::capability::http::Brokered;
use crate::capability::uses::Recorder;
use crate::line::Line;
use crate::output::NoSink;
use crate::platform::Trees;

/// Runs `child` at one end of a line whose other end is a broker with these grants.
async fn with_broker<R>(capabilities: Capabilities, child: impl AsyncFnOnce(Arc<Line>) -> R) -> R {
    let grants = Grants::from_parent(&capabilities.to_canonical_json()).unwrap();
    let tree = Trees::supervised(Path::new("/bin/false")).create("line").unwrap();
    let mut broker = Broker::new(&grants, &tree);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let ours = UnixStream::from_std(ours).unwrap();
    let line = Line::open(theirs.into()).unwrap();
    let mut sink = NoSink;
    tokio::select! {
        () = broker.serve(ours, &mut sink) => panic!("the line was closed"),
        answer = child(line) => answer,
    }
}

fn rule(port: u16) -> Capabilities {
    let rule = HttpRule {
        host: "127.0.0.1".parse().unwrap(),
        port,
        scheme: Scheme::Http,
        methods: vec![Method::Post],
        private: true,
    };
    Capabilities { http: vec![rule], ..Capabilities::none() }
}

fn post(port: u16, body: &'static [u8]) -> ::http::Request<wasmtime_wasi_http::WasiBody> {
    let body = Full::new(bytes::Bytes::from_static(body)).map_err(|never| match never {}).boxed_unsync();
    let url = format!("http://127.0.0.1:{port}/in?x=1");
    ::http::Request::builder().method("POST").uri(url).header("x-a", "1").body(body).unwrap()
}

#[tokio::test]
async fn a_request_goes_out_through_the_parent_and_its_body_comes_back() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(b"\r\n\r\nbody") && stream.read(&mut byte).unwrap() == 1 {
            read.push(byte[0]);
        }
        // More than one chunk of the line.
        let body = vec![b'z'; 200_000];
        stream.write_all(format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        String::from_utf8(read).unwrap()
    });
    let (status, body, uses) = with_broker(rule(port), async |line| {
        let recorder = Arc::new(Recorder::new(Arc::clone(&line), false));
        let mut hooks = Brokered { line, recorder: Arc::clone(&recorder) };
        let sent = Box::into_pin(hooks.send_request(post(port, b"body"), None, Box::new(async { Ok(()) })));
        let (response, _) = sent.await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes(), recorder.lines())
    })
    .await;
    assert_eq!((status.as_u16(), body.len()), (201, 200_000));
    assert_eq!(uses.first().unwrap().capability, format!("http POST 127.0.0.1:{port}"));
    let sent = server.join().unwrap();
    assert!(sent.starts_with("POST /in?x=1 HTTP/1.1\r\n") && sent.contains("x-a: 1\r\n"), "{sent}");
}

#[tokio::test]
async fn a_request_that_is_not_granted_is_denied_and_told_as_such() {
    let (error, uses) = with_broker(rule(9), async |line| {
        let recorder = Arc::new(Recorder::new(Arc::clone(&line), false));
        let mut hooks = Brokered { line, recorder: Arc::clone(&recorder) };
        let sent = Box::into_pin(hooks.send_request(post(10, b""), None, Box::new(async { Ok(()) })));
        (sent.await.map(drop).unwrap_err(), recorder.lines())
    })
    .await;
    assert!(matches!(error, Error::HttpRequestDenied), "{error:?}");
    assert_eq!(uses.first().unwrap().capability, "denied http POST 127.0.0.1:10");
}

#[tokio::test]
async fn calls_for_things_that_are_not_there_are_answered() {
    with_broker(Capabilities::none(), async |line| {
        let spawn = Call::Spawn { executable: "/usr/bin/id".to_owned(), arguments: Vec::new() };
        assert!(matches!(line.call(spawn).await.unwrap(), Reply::Refused(_)));
        assert!(matches!(line.call(Call::Next { child: 7 }).await.unwrap(), Reply::Refused(_)));
        assert!(matches!(line.call(Call::Kill { child: 7 }).await.unwrap(), Reply::Done));
        assert!(matches!(line.call(Call::Body { response: 7 }).await.unwrap(), Reply::HttpRefused(_)));
    })
    .await;
}

#[tokio::test]
async fn a_parent_that_is_gone_fails_every_call() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let line = Line::open(theirs.into()).unwrap();
    drop(ours);
    assert!(line.call(Call::Next { child: 1 }).await.is_err());
    assert!(line.call(Call::Next { child: 1 }).await.is_err());
}
