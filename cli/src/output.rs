//! The one way to the terminal: results to standard output, everything else to standard error.
//!
//! Owns formats, colour (only on a terminal, never with `NO_COLOR`), tables that fit the terminal and the text of
//! errors. A reader that went away (a closed pipe) ends the writing without an error.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, Color, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::args::Format;
use crate::env;
use crate::error::Failure;

/// Terminal columns where there is no terminal to ask: wide, since a file does not wrap.
const COLUMNS_WITHOUT_TERMINAL: u16 = 160;

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
        self.line(&text.unwrap_or_default());
    }

    /// A line of a result.
    pub(crate) fn line(&self, text: &str) {
        let mut out = io::stdout().lock();
        ignore_closed(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// Bytes of a result as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        ignore_closed(out.write_all(bytes).and_then(|()| out.flush()));
    }

    /// Bytes that belong on standard error as they are.
    pub(crate) fn raw_error(&self, bytes: &[u8]) {
        let mut out = io::stderr().lock();
        ignore_closed(out.write_all(bytes).and_then(|()| out.flush()));
    }

    /// A remark for people, on standard error; nothing with `--quiet`.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet {
            self.raw_error(format!("{text}\n").as_bytes());
        }
    }

    /// A table of rows; cells wrap so that it fits the terminal.
    pub(crate) fn table(&self, header: &[&str], rows: Vec<Row>) {
        self.line(&draw(header, rows, self.colour_out, io::stdout().is_terminal()));
    }

    /// A table beside the results, on standard error; nothing with `--quiet`.
    pub(crate) fn remark_table(&self, header: &[&str], rows: Vec<Row>) {
        self.remark(&draw(header, rows, self.colour_err, io::stderr().is_terminal()));
    }

    /// A word in colour for standard error.
    pub(crate) fn paint_error(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Good => "32",
            Tone::Attention => "33",
            Tone::Bad => "1;31",
            Tone::Dim => "2",
        };
        if self.colour_err && !code.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
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

/// A line below the header, and none else.
const LIGHT: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Lines between the rows too, for rows that do not fit on one line.
const RULED: TableStyle = LIGHT.row_separator(LineStyle::none().fill('┄').junction('┄'));

/// Columns that stand between two cells.
const GAP_COLUMNS: usize = 3;

/// Draws a table. Without a header (all texts of it empty) it is a list of pairs.
fn draw(header: &[&str], rows: Vec<Row>, colour: bool, terminal: bool) -> String {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if colour {
        table.enforce_styling();
    }
    if !terminal {
        table.set_width(COLUMNS_WITHOUT_TERMINAL);
    }
    let headed = header.iter().any(|name| !name.is_empty());
    if headed {
        table.set_header(header.iter().map(Cell::new));
    }
    let room = usize::from(table.width().unwrap_or(COLUMNS_WITHOUT_TERMINAL));
    let wraps = headed && natural_width(header, &rows) > room;
    table.load_style(if wraps { RULED } else { LIGHT });
    for row in rows {
        table.add_row(row.into_iter().map(|(text, tone)| cell(&text, tone, colour)));
    }
    // Cells are padded to their column's width; at a line's end that is only noise in a file.
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Columns that the table would take if no cell were wrapped.
fn natural_width(header: &[&str], rows: &[Row]) -> usize {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).flat_map(|(text, _)| text.lines());
        cells.chain(header.get(column).copied()).map(|line| line.chars().count()).max().unwrap_or(0)
    };
    (0..header.len()).map(|column| widest(column) + GAP_COLUMNS).sum()
}

fn cell(text: &str, tone: Tone, colour: bool) -> Cell {
    let cell = Cell::new(printable(text));
    match tone {
        _ if !colour => cell,
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Attention => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Dim => cell.fg(Color::DarkGrey),
    }
}

/// Text of others as it may go to a terminal: control characters, which could move the cursor or change its title,
/// become `\u{…}`; line ends and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    if text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        shown
    })
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

/// A closed pipe means that nobody reads on: that is the reader's right. Any other error has nowhere to be told.
fn ignore_closed(result: io::Result<()>) {
    drop(result);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn escape_sequences_of_others_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc\t"), "a\\u{1b}[31mb\nc\t");
        assert_eq!(printable("größe"), "größe");
    }

    #[test]
    fn tables_are_ruled_only_where_rows_wrap() {
        let row = |text: &str| plain([text.to_owned(), "x".to_owned()]);
        let short = draw(&["a", "b"], vec![row("1"), row("2")], false, false);
        insta::assert_snapshot!(short, @r"
         a   b
        ───────
         1   x
         2   x
        ");
        let pairs = draw(&["", ""], vec![row("key"), row("k")], false, false);
        insta::assert_snapshot!(pairs, @r"
         key   x
         k     x
        ");
        let long = draw(&["a", "b"], vec![row(&"word ".repeat(60)), row("2")], false, false);
        assert!(
            long.contains('┄')
                && long.lines().all(|line| line.chars().count() <= usize::from(COLUMNS_WITHOUT_TERMINAL))
        );
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
