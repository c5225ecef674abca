//! What is let out and what is not, against a server on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read as _, Write as _};

use orderly_model::capability::{Capabilities, HttpRule, Method};

use super::*;

fn request(url: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Bytes::default(),
        timeout_ms: Some(5_000),
    }
}

fn grants(host: &str, port: u16, private: bool) -> Grants {
    let rule =
        HttpRule { host: host.parse().unwrap(), port, scheme: Scheme::Http, methods: vec![Method::Get], private };
    let capabilities = Capabilities { http: vec![rule], ..Capabilities::none() };
    Grants::from_parent(&capabilities.to_canonical_json()).unwrap()
}

/// A server that answers one request with `response` and hands back what it read.
fn serve(response: &'static str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            read.push(byte[0]);
        }
        stream.write_all(response.as_bytes()).unwrap();
        String::from_utf8(read).unwrap()
    });
    (port, server)
}

#[tokio::test]
async fn a_granted_request_is_sent_and_its_body_comes_in_chunks() {
    let (port, server) = serve("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello");
    let responses = Responses::default();
    let url = format!("http://127.0.0.1:{port}/x?y=1");
    let reply = send(&grants("127.0.0.1", port, true), &responses, request(&url)).await;
    let Reply::Response { response, status: 200, headers } = reply else { panic!("{reply:?}") };
    assert!(headers.iter().any(|(name, value)| name == "x-a" && value.0 == b"b"));
    let Reply::Body(Some(chunk)) = body(&responses, response).await else { panic!("no body") };
    assert_eq!(chunk.0, b"hello");
    assert!(matches!(body(&responses, response).await, Reply::Body(None)));
    assert!(matches!(body(&responses, response).await, Reply::HttpRefused(_)));
    let sent = server.join().unwrap();
    assert!(
        sent.starts_with("GET /x?y=1 HTTP/1.1\r\n") && sent.contains(&format!("host: 127.0.0.1:{port}\r\n")),
        "{sent}"
    );
}

#[tokio::test]
async fn a_flood_of_requests_to_a_server_that_never_answers_does_not_pile_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (grants, responses) = (grants("127.0.0.1", port, true), Responses::default());
    let one = || {
        let mut request = request(&format!("http://127.0.0.1:{port}/"));
        request.body = Bytes(vec![0; REQUEST_BODY_MAX_BYTES]);
        request.timeout_ms = Some(300);
        send(&grants, &responses, request)
    };
    let many = all_at_once((0..40).map(|_| one())).await;
    let refused = many.iter().filter(|reply| matches!(reply, Reply::HttpRefused(HttpRefusal::Protocol(_)))).count();
    let waited = many.iter().filter(|reply| matches!(reply, Reply::HttpRefused(HttpRefusal::TimedOut))).count();
    assert_eq!((waited, refused), (REQUESTS_AT_ONCE_MAX, 40 - REQUESTS_AT_ONCE_MAX));
    // Their places are free again.
    assert!(matches!(one().await, Reply::HttpRefused(HttpRefusal::TimedOut)));
    let mut large = request("http://127.0.0.1/");
    large.body = Bytes(vec![0; REQUEST_BODY_MAX_BYTES + 1]);
    assert!(matches!(build(&parse("http://127.0.0.1/").unwrap(), large), Err(HttpRefusal::Invalid(_))));
}

/// Drives all of them at once to their ends.
async fn all_at_once(all: impl Iterator<Item = impl Future<Output = Reply>>) -> Vec<Reply> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, reply) in all.iter_mut().filter(|(_, reply)| reply.is_none()) {
            if let std::task::Poll::Ready(ended) = one.as_mut().poll(context) {
                *reply = Some(ended);
            }
        }
        if all.iter().all(|(_, reply)| reply.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, reply)| reply).collect()
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    let (port, server) = serve("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n");
    let reply =
        send(&grants("127.0.0.1", port, true), &Responses::default(), request(&format!("http://127.0.0.1:{port}/")))
            .await;
    assert!(matches!(reply, Reply::Response { status: 302, .. }), "{reply:?}");
    server.join().unwrap();
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_refused_without_private() {
    let responses = Responses::default();
    for (host, private) in [("localhost", false), ("127.0.0.1", false)] {
        let reply = send(&grants(host, 9, private), &responses, request(&format!("http://{host}:9/"))).await;
        let refused = matches!(reply, Reply::HttpRefused(HttpRefusal::Address));
        assert!(refused, "{host}: {reply:?}");
    }
}

#[tokio::test]
async fn what_no_rule_names_is_denied() {
    let (grants, responses) = (grants("example.com", 80, false), Responses::default());
    for url in [
        "http://example.org/",
        "https://example.com/",
        "http://example.com:81/",
        "http://a.example.com/",
        "http://127.0.0.1/",
    ] {
        let reply = send(&grants, &responses, request(url)).await;
        assert!(matches!(reply, Reply::HttpRefused(HttpRefusal::Denied)), "{url}: {reply:?}");
    }
    let mut post = request("http://example.com/");
    post.method = "POST".to_owned();
    assert!(matches!(send(&grants, &responses, post).await, Reply::HttpRefused(HttpRefusal::Denied)));
    for url in [
        "ftp://example.com/",
        "http://user@example.com/",
        "/x",
        "http://",
        &format!("http://example.com/{}", "x".repeat(9_000)),
    ] {
        let reply = send(&grants, &responses, request(url)).await;
        assert!(matches!(reply, Reply::HttpRefused(HttpRefusal::Invalid(_))), "{url}: {reply:?}");
    }
}

#[test]
fn headers_that_steer_the_connection_are_refused() {
    let target = parse("http://example.com/").unwrap();
    let with = |headers: &[(&str, &str)]| {
        let mut request = request("http://example.com/");
        request.headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), Bytes(value.as_bytes().to_vec()))).collect();
        build(&target, request).is_ok()
    };
    assert!(with(&[("accept", "*/*"), ("Host", "example.com"), ("content-length", "0")]));
    for bad in [
        &[("connection", "close")][..],
        &[("Transfer-Encoding", "chunked")],
        &[("host", "evil.example")],
        &[("content-length", "+0")],
        &[("content-length", "5")],
        &[("x-a", "1"), ("X-A", "2")],
        &[("x-a", "1\r\nx-b: 2")],
        &[("x a", "1")],
    ] {
        assert!(!with(bad), "{bad:?}");
    }
}
