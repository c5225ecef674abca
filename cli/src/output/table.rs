//! Tables that fit the terminal.
//!
//! Owns their look, their width and what is kept whole: an id that is broken over two lines cannot be copied. Never
//! writes.

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};

use super::{Row, Tone, printable};
use crate::env;

/// Columns where there is no terminal to ask: wide, since a file does not wrap.
const WITHOUT_TERMINAL: u16 = 160;

/// Columns of a terminal that does not know its width, as those of serial lines and pipelines, which say 0.
const UNKNOWN: u16 = 80;

/// Fewer columns than this are no width that a table could be drawn in.
const USABLE_MIN: u16 = 20;

/// A line below the header, and none else.
const LIGHT: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Lines between the rows too, for rows that do not fit on one line.
const RULED: TableStyle = LIGHT.row_separator(LineStyle::none().fill('┄').junction('┄'));

/// Columns that stand between two cells.
const GAP: usize = 3;

/// Columns that a table may take: what `COLUMNS` says, else the terminal's.
pub(super) fn room(terminal: bool) -> u16 {
    let said = std::env::var(env::COLUMNS).ok().and_then(|text| text.parse().ok());
    let measured = if terminal { Table::new().width() } else { Some(WITHOUT_TERMINAL) };
    width(said, measured)
}

fn width(said: Option<u16>, measured: Option<u16>) -> u16 {
    [said, measured].into_iter().flatten().find(|width| *width >= USABLE_MIN).unwrap_or(UNKNOWN)
}

/// Draws a table of at most `room` columns. Without a header (all texts of it empty) it is a list of pairs.
pub(super) fn draw(header: &[&str], rows: Vec<Row>, colour: bool, room: u16) -> String {
    let header: Vec<String> = header.iter().map(|name| printable(name)).collect();
    let rows: Vec<Row> =
        rows.into_iter().map(|row| row.into_iter().map(|(text, tone)| (printable(&text), tone)).collect()).collect();
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(room);
    if colour {
        table.enforce_styling();
    }
    let headed = header.iter().any(|name| !name.is_empty());
    if headed {
        table.set_header(header.iter().map(Cell::new));
    }
    let natural: usize = (0..header.len()).map(|column| widest(&header, &rows, column, str::lines) + GAP).sum();
    let wraps = natural > usize::from(room);
    table.load_style(if wraps && headed { RULED } else { LIGHT });
    let whole = if wraps { whole_words(&header, &rows, usize::from(room)) } else { Vec::new() };
    for row in rows {
        table.add_row(row.into_iter().map(|(text, tone)| cell(&text, tone, colour)));
    }
    for (column, width) in whole {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
    }
    // Cells are padded to their column's width; at a line's end that is only noise in a file.
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The least widths with which no word is broken. Columns on the left come first where there is no room for all of
/// them: ids stand there, long texts on the right.
fn whole_words(header: &[String], rows: &[Row], room: usize) -> Vec<(usize, u16)> {
    // Each column that is not promised anything still gets a few letters.
    const LEAST: usize = 6;
    let mut left = room.saturating_sub(header.len() * (GAP + LEAST));
    let mut promised = Vec::new();
    for column in 0..header.len() {
        let word = widest(header, rows, column, str::split_whitespace);
        let Some(rest) = left.checked_sub(word.saturating_sub(LEAST)) else { continue };
        left = rest;
        // A column's width has the blank on either side in it.
        promised.push((column, u16::try_from(word + 2).unwrap_or(u16::MAX)));
    }
    promised
}

/// The width of the widest part of a column.
fn widest<'a, P>(header: &'a [String], rows: &'a [Row], column: usize, parts: impl Fn(&'a str) -> P) -> usize
where
    P: Iterator<Item = &'a str>,
{
    let cells = rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.as_str());
    let texts = cells.chain(header.get(column).map(String::as_str));
    texts.flat_map(parts).map(|part| part.chars().count()).max().unwrap_or(0)
}

fn cell(text: &str, tone: Tone, colour: bool) -> Cell {
    let cell = Cell::new(text);
    match tone {
        _ if !colour => cell,
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Attention => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Dim => cell.fg(Color::DarkGrey),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::super::plain;
    use super::*;

    const ID: &str = "i-r3yjubux2wsucky2sfinb62lw3";

    #[test]
    fn tables_are_ruled_only_where_rows_wrap() {
        let row = |text: &str| plain([text.to_owned(), "x".to_owned()]);
        let short = draw(&["a", "b"], vec![row("1"), row("2")], false, 160);
        insta::assert_snapshot!(short, @r"
         a   b
        ───────
         1   x
         2   x
        ");
        let pairs = draw(&["", ""], vec![row("key"), row("k")], false, 160);
        insta::assert_snapshot!(pairs, @r"
         key   x
         k     x
        ");
        let long = draw(&["a", "b"], vec![row(&"word ".repeat(60)), row("2")], false, 160);
        assert!(long.contains('┄') && long.lines().all(|line| line.chars().count() <= 160));
    }

    #[test]
    fn a_terminal_that_does_not_know_its_width_gets_80_columns() {
        assert_eq!(width(None, Some(0)), 80);
        assert_eq!(width(None, None), 80);
        assert_eq!(width(None, Some(120)), 120);
        assert_eq!(width(Some(60), Some(120)), 60);
        assert_eq!(width(Some(0), Some(120)), 120);
    }

    #[test]
    fn ids_are_not_broken_on_narrow_terminals() {
        let row =
            plain([ID, "vm", "up", "2026-11-24 10:54:56", "linux x86_64", "env=demo role=web"].map(str::to_owned));
        for room in [80, 100] {
            let header = ["instance", "name", "link", "seen (UTC)", "system", "tags"];
            let drawn = draw(&header, vec![row.clone()], false, room);
            assert!(drawn.contains(ID), "{room}:\n{drawn}");
            assert!(drawn.lines().all(|line| line.chars().count() <= usize::from(room)), "{room}:\n{drawn}");
        }
    }

    #[test]
    fn a_column_that_does_not_fit_at_all_is_broken() {
        let drawn = draw(&["a", "b"], vec![plain(["x".repeat(300), "y".repeat(300)])], false, 40);
        assert!(drawn.lines().all(|line| line.chars().count() <= 40), "{drawn}");
    }

    #[test]
    fn names_of_columns_are_texts_of_others_too() {
        let drawn = draw(&["a\u{1b}[2J"], vec![vec![("b\u{1b}[2J".to_owned(), Tone::Plain)]], false, 80);
        assert!(!drawn.contains('\u{1b}'), "{drawn}");
    }
}
