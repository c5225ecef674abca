//! Which capabilities were used, and how often: for the receipt. Owns the cap; it never refuses a use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use orderly_signing::receipt::{MAX_USED, Use};

use crate::frame::Up;
use crate::line::Line;

/// Counts uses, and tells them at once where that was asked.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Held for one count only, never over an await.
    uses: Mutex<Uses>,
    line: Arc<Line>,
    trace: bool,
}

impl Recorder {
    pub(crate) fn new(line: Arc<Line>, trace: bool) -> Self {
        Self { uses: Mutex::default(), line, trace }
    }

    /// Counts one use of `capability` on `detail`.
    pub(crate) fn count(&self, capability: &str, detail: &str) {
        let text = if detail.is_empty() { capability.to_owned() } else { format!("{capability} {detail}") };
        if self.trace {
            let _ = self.line.tell(&Up::Used(text.clone()));
        }
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).count(text);
    }

    /// All lines for the receipt.
    pub(crate) fn lines(&self) -> Vec<Use> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }
}

/// Counts uses by capability and detail. What is over the receipt's number of lines is summed in one more line.
#[derive(Debug, Default)]
struct Uses {
    counts: BTreeMap<String, u64>,
    others: u64,
}

impl Uses {
    /// Counts one use, said as `capability detail`.
    fn count(&mut self, line: String) {
        let room = self.counts.len() < MAX_USED - 1;
        match self.counts.get_mut(&line) {
            Some(count) => *count = count.saturating_add(1),
            None if room => {
                self.counts.insert(line, 1);
            }
            None => self.others = self.others.saturating_add(1),
        }
    }

    /// All lines, sorted.
    fn lines(&self) -> Vec<Use> {
        let mut lines: Vec<_> = self.counts.iter().map(|(line, count)| Use::new(line, *count)).collect();
        if self.others > 0 {
            lines.push(Use::new("others", self.others));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_nothing_is_lost() {
        let mut uses = Uses::default();
        for number in 0..1_000 {
            uses.count(format!("files.read /etc/{number}"));
            uses.count("facts".to_owned());
        }
        let lines = uses.lines();
        assert_eq!(lines.len(), MAX_USED);
        assert_eq!(lines.iter().map(|line| line.count).sum::<u64>(), 2_000);
        assert!(lines.iter().any(|line| line.capability == "facts" && line.count == 1_000));
    }
}
