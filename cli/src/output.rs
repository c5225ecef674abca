//! The one way to the terminal: results to standard output, everything else to standard error.
//!
//! Owns formats, colour (only on a terminal, never with `NO_COLOR`), the text of errors, and that nothing of a server's
//! or an instance's words steers the terminal: only the output of scripts goes out as it is. Tables are drawn in
//! `table`. Whatever else the command does, nothing is written after the first write to standard output that fails: a reader
//! that went away (a closed pipe) has that right, anything else is a failure of the command.

mod table;

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use crate::args::Format;
use crate::env;
use crate::error::Failure;

/// How a word in a table is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As everything else.
    Plain,
    /// Good.
    Good,
    /// Needs a look.
    Attention,
    /// Bad.
    Bad,
    /// Beside the point.
    Dim,
}

/// A row of a table: cells with their tone.
pub(crate) type Row = Vec<(String, Tone)>;

/// Writes results and remarks.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    format: Format,
    quiet: bool,
    colour_out: bool,
    colour_err: bool,
    /// Why standard output ended early.
    cut_off: Arc<OnceLock<io::Error>>,
}

impl Printer {
    /// A printer for this process's terminal.
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        let allowed = std::env::var_os(env::NO_COLOR).is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = allowed && !dumb;
        Self {
            format,
            quiet,
            colour_out: colour && io::stdout().is_terminal(),
            colour_err: colour && io::stderr().is_terminal(),
            cut_off: Arc::default(),
        }
    }

    /// How results are written.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether results are for people.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Whether a progress bar may be drawn.
    pub(crate) fn draws_progress(&self) -> bool {
        !self.quiet && self.is_table() && io::stderr().is_terminal()
    }

    /// A result of one value: as JSON, or for people as `table` writes it.
    pub(crate) fn one<T: Serialize>(&self, value: &T, table: impl FnOnce(&Self)) {
        match self.format {
            Format::Table => table(self),
            Format::Json => self.json(value, true),
            Format::Jsonl => self.json(value, false),
        }
    }

    /// A result of many values: as one JSON list, a line each, or for people as `table` writes it.
    pub(crate) fn many<T: Serialize>(&self, values: &[T], table: impl FnOnce(&Self)) {
        match self.format {
            Format::Table => table(self),
            Format::Json => self.json(&values, true),
            Format::Jsonl => values.iter().for_each(|value| self.json(value, false)),
        }
    }

    /// One JSON document on its own line or lines.
    pub(crate) fn json<T: Serialize + ?Sized>(&self, value: &T, pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        // Views are plain data with text keys, which JSON can always hold.
        self.raw(format!("{}\n", printable_json(&text.unwrap_or_default())).as_bytes());
    }

    /// A line of a result.
    pub(crate) fn line(&self, text: &str) {
        self.raw(format!("{}\n", printable(text)).as_bytes());
    }

    /// Bytes of a result as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        self.raw_to(io::stdout().lock(), bytes);
    }

    fn raw_to(&self, mut out: impl Write, bytes: &[u8]) {
        if self.is_cut_off() {
            return;
        }
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            // Nothing is written after the first, so there is no second one to be kept.
            self.cut_off.get_or_init(|| error);
        }
    }

    /// Whether nothing more of a result gets out.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.get().is_some()
    }

    /// Whether results were written, as far as somebody wanted to read them.
    ///
    /// # Errors
    /// A disk was full, for one: what got out is not all of the result.
    pub(crate) fn written(&self) -> Result<(), Failure> {
        match self.cut_off.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            Some(error) => Err(Failure::setup("the result could not be written in whole").because(error.to_string())),
            None => Ok(()),
        }
    }

    /// Bytes that belong on standard error as they are.
    pub(crate) fn raw_error(&self, bytes: &[u8]) {
        let mut out = io::stderr().lock();
        // There is nowhere left to tell of an error.
        drop(out.write_all(bytes).and_then(|()| out.flush()));
    }

    /// A remark for people, on standard error; nothing with `--quiet`.
    pub(crate) fn remark(&self, text: &str) {
        self.remark_toned(Tone::Plain, text, "");
    }

    /// A remark that begins with a word in colour.
    pub(crate) fn remark_toned(&self, tone: Tone, word: &str, rest: &str) {
        if !self.quiet {
            self.raw_error(format!("{}{}\n", self.paint_error(word, tone), printable(rest)).as_bytes());
        }
    }

    /// A table of rows; cells wrap so that it fits the terminal.
    pub(crate) fn table(&self, header: &[&str], rows: Vec<Row>) {
        let room = table::room(io::stdout().is_terminal());
        self.raw(format!("{}\n", table::draw(header, rows, self.colour_out, room)).as_bytes());
    }

    /// A table beside the results, on standard error; nothing with `--quiet`.
    pub(crate) fn remark_table(&self, header: &[&str], rows: Vec<Row>) {
        if !self.quiet {
            let room = table::room(io::stderr().is_terminal());
            self.raw_error(format!("{}\n", table::draw(header, rows, self.colour_err, room)).as_bytes());
        }
    }

    /// Words in colour for standard error.
    fn paint_error(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Good => "32",
            Tone::Attention => "33",
            Tone::Bad => "1;31",
            Tone::Dim => "2",
        };
        let text = printable(text);
        if self.colour_err && !code.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    }

    /// An error with its causes and hints, on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut text = format!("{}: {}\n", self.paint_error("error", Tone::Bad), printable(&failure.to_string()));
        for cause in failure.causes() {
            text.push_str(&format!("  {} {}\n", self.paint_error("because:", Tone::Dim), printable(&cause)));
        }
        for hint in failure.hints() {
            text.push_str(&format!("{} {}\n", self.paint_error("hint:", Tone::Good), printable(hint)));
        }
        self.raw_error(text.as_bytes());
    }
}

/// Text of others as it may go to a terminal: characters that could move the cursor, change its title or turn the
/// direction of writing become `\u{…}`; line ends and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| steers(c) && !matches!(c, '\n' | '\t');
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// The same for a JSON document, in which only texts can hold such characters: they become JSON's `\uXXXX`. Its line ends
/// stay, those of texts are escaped already.
fn printable_json(text: &str) -> String {
    let steers = |c: char| steers(c) && c != '\n';
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if steers(c) {
            // All of them are in the first plane, so one unit is enough.
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
        shown
    })
}

/// Whether a terminal takes this character for a command: C0, DEL, C1, and the marks of UAX #9 for the direction.
const fn steers(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time as people read it, in UTC and to the second.
pub(crate) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A time that may be absent.
pub(crate) fn time_or_dash(ms: Option<i64>) -> String {
    ms.map_or_else(|| "-".to_owned(), time)
}

/// The clock of this machine in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A size as people read it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A row of cells without colour.
pub(crate) fn plain<const N: usize>(cells: [String; N]) -> Row {
    cells.into_iter().map(|cell| (cell, Tone::Plain)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn result_that_is_cut_short_is_a_failure_unless_its_reader_went_away() {
        let printer = Printer::new(Format::Jsonl, false);
        printer.raw_to(std::fs::File::options().write(true).open("/dev/full").unwrap(), b"{}\n");
        assert!(printer.is_cut_off() && printer.written().is_err());
        let mut after = Vec::new();
        printer.raw_to(&mut after, b"more");
        assert!(after.is_empty(), "a result with a hole in it");

        let printer = Printer::new(Format::Jsonl, false);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        printer.raw_to(writer, b"{}\n");
        assert!(printer.is_cut_off() && printer.written().is_ok());
    }

    #[test]
    fn escape_sequences_of_others_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc\t"), "a\\u{1b}[31mb\nc\t");
        assert_eq!(printable("größe"), "größe");
    }

    #[test]
    fn words_do_not_turn_the_direction_of_writing() {
        assert_eq!(printable("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(printable("\u{9b}2J"), "\\u{9b}2J");
    }

    #[test]
    fn json_says_the_same_without_steering_the_terminal() {
        let value = serde_json::json!({ "a": "\u{9b}2J\u{1b}[2J\n\u{202e}ö" });
        let shown = printable_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(shown.chars().all(|c| c == '\n' || !steers(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time_or_dash(None), "-");
    }
}
