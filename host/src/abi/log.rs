//! `orderly:plugin/log`: lines for the task's output, on its standard error. Everybody has it.

use std::io::Write as _;

use super::bindings::orderly::plugin::log::{Host, Level};
use crate::state::State;

/// Most bytes of one line.
const LINE_MAX_BYTES: usize = 8 * 1024;

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        // Never fails, as the WIT says: who reads the output may be gone.
        let _ = std::io::stderr().write_all(line(level, &message).as_bytes());
        Ok(())
    }
}

/// One line, cut at a character; line ends within it are made visible so that a line stays one line.
fn line(level: &str, message: &str) -> String {
    let cut = message.get(..message.floor_char_boundary(LINE_MAX_BYTES)).unwrap_or_default();
    let one = cut.trim_end_matches('\n').replace('\n', "\\n").replace('\r', "\\r");
    format!("{level}: {one}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_is_cut_at_a_character() {
        assert_eq!(line("info", "a\nb\r\n"), "info: a\\nb\\r\n");
        let long = line("warn", &"é".repeat(5_000));
        assert_eq!(long.len(), "warn: ".len() + 8_192 + 1);
    }
}
