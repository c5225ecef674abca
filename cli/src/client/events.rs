//! A reader of server-sent events (WHATWG HTML, section 9.2), as far as the API uses them: `event`, `data`, comments.
//!
//! Owns the splitting of bytes into events, whatever the chunks they come in. Never reconnects.

use std::collections::VecDeque;

use orderly_wire::http::event::InvocationEvent;
use reqwest::Response;

use crate::error::Failure;

/// The longest event: a whole task's view or a chunk of output is far below it.
const EVENT_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The events of one invocation.
pub(crate) struct Events {
    body: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    parser: Parser,
}

impl Events {
    /// Reads the events of an answer.
    pub(super) fn new(response: Response) -> Self {
        Self { body: Box::pin(response.bytes_stream()), parser: Parser::default() }
    }

    /// The next event; nothing where the server has closed the stream.
    ///
    /// # Errors
    /// The stream broke off, or what came is no event of this API.
    pub(crate) async fn next(&mut self) -> Result<Option<InvocationEvent>, Failure> {
        loop {
            if let Some(data) = self.parser.ready.pop_front() {
                return serde_json::from_str(&data)
                    .map(Some)
                    .map_err(|error| Failure::server("an event of the server cannot be read").because(error));
            }
            match std::future::poll_fn(|context| self.body.as_mut().poll_next(context)).await {
                None => return Ok(None),
                Some(chunk) => {
                    let chunk = chunk.map_err(|error| {
                        Failure::server("the stream of events broke off").because(error.without_url())
                    })?;
                    self.parser.push(&chunk).map_err(|TooLong| {
                        Failure::server(format!("an event of the server is longer than {EVENT_MAX_BYTES} bytes"))
                    })?;
                }
            }
        }
    }
}

/// An event grew over [`EVENT_MAX_BYTES`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an event is too long")]
struct TooLong;

#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    data: String,
    has_data: bool,
    after_carriage_return: bool,
    ready: VecDeque<String>,
}

impl Parser {
    fn push(&mut self, chunk: &[u8]) -> Result<(), TooLong> {
        for &byte in chunk {
            let follows_carriage_return = std::mem::take(&mut self.after_carriage_return);
            match byte {
                b'\n' if follows_carriage_return => {}
                b'\n' | b'\r' => {
                    self.after_carriage_return = byte == b'\r';
                    self.end_line();
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > EVENT_MAX_BYTES {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                self.ready.push_back(std::mem::take(&mut self.data));
            }
            return;
        }
        // A line that begins with a colon is a comment (a heart-beat); fields other than `data` say nothing that the
        // JSON does not say itself.
        if let Some(value) = line.strip_prefix("data").and_then(|rest| rest.strip_prefix(':')) {
            if self.has_data {
                self.data.push('\n');
            }
            self.has_data = true;
            self.data.push_str(value.strip_prefix(' ').unwrap_or(value));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str =
        ": hello\n\nevent: a\ndata: {\"x\":1}\n\ndata:one\r\ndata: two\r\n\r\nid: 7\n\ndata: é\r\rdata: open";

    fn parse(chunks: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        for chunk in chunks {
            parser.push(chunk).unwrap();
        }
        parser.ready.into_iter().collect()
    }

    #[test]
    fn events_are_split_at_empty_lines() {
        assert_eq!(parse(&[STREAM.as_bytes()]), ["{\"x\":1}", "one\ntwo", "é"]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&vec![b'x'; EVENT_MAX_BYTES + 1]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(cuts in proptest::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.push(0);
            cuts.push(STREAM.len());
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &STREAM.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(parse(&chunks), parse(&[STREAM.as_bytes()]));
        }
    }
}
