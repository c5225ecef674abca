//! Which lines of two texts differ.
//!
//! Owns the longest common subsequence of lines, within bounds: texts of instances must not cost more than a moment. Where they are
//! too long and too different, the whole differing part is told as exchanged.

/// Pairs of lines that are looked at, at most.
const PAIRS_MAX: usize = 4_000_000;

/// Lines that are shown before and after what differs.
const CONTEXT: usize = 3;

/// The lines that differ with some around them: each begins with ` `, `-` or `+`, or is `…` where equal ones are left out. Nothing
/// where the texts are equal.
pub(super) fn changed(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let (head, before) = before.split_at(same);
    let after = after.get(same..).unwrap_or_default();
    let same = before.iter().rev().zip(after.iter().rev()).take_while(|(one, other)| one == other).count();
    let (before, tail) = before.split_at(before.len() - same);
    let after = after.get(..after.len() - same).unwrap_or_default();
    if before.is_empty() && after.is_empty() {
        return Vec::new();
    }
    let middle = if before.len().saturating_mul(after.len()) <= PAIRS_MAX {
        common(before, after)
    } else {
        before.iter().map(|line| ('-', *line)).chain(after.iter().map(|line| ('+', *line))).collect()
    };
    let all: Vec<(char, &str)> =
        head.iter().map(|line| (' ', *line)).chain(middle).chain(tail.iter().map(|line| (' ', *line))).collect();
    around(&all)
}

/// What is taken away, added and kept, by the longest common subsequence.
fn common<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<(char, &'a str)> {
    // For each place in `before` and `after` the length of what the rests have in common, from the ends on.
    let mut table: Vec<Vec<u32>> = vec![vec![0; after.len() + 1]];
    for line in before.iter().rev() {
        let below = table.last().map(Vec::as_slice).unwrap_or_default();
        let mut row = vec![0];
        for (at, other) in after.iter().enumerate().rev() {
            let (down, diagonal) = (value(below, at), value(below, at + 1));
            let right = row.last().copied().unwrap_or_default();
            row.push(if line == other { diagonal + 1 } else { down.max(right) });
        }
        row.reverse();
        table.push(row);
    }
    table.reverse();
    let left = |row: usize, column: usize| table.get(row).map_or(0, |row| value(row, column));
    let (mut row, mut column, mut told) = (0, 0, Vec::with_capacity(before.len() + after.len()));
    loop {
        match (before.get(row), after.get(column)) {
            (Some(line), Some(other)) if line == other => {
                told.push((' ', *line));
                (row, column) = (row + 1, column + 1);
            }
            (Some(line), other) if other.is_none() || left(row + 1, column) >= left(row, column + 1) => {
                told.push(('-', *line));
                row += 1;
            }
            (_, Some(line)) => {
                told.push(('+', *line));
                column += 1;
            }
            (_, None) => return told,
        }
    }
}

fn value(row: &[u32], at: usize) -> u32 {
    row.get(at).copied().unwrap_or_default()
}

/// What differs with the lines around it.
fn around(all: &[(char, &str)]) -> Vec<String> {
    let differing: Vec<usize> =
        all.iter().enumerate().filter(|(_, (mark, _))| *mark != ' ').map(|(at, _)| at).collect();
    let mut differing = differing.into_iter().peekable();
    let (mut last, mut shown, mut left_out) = (None::<usize>, Vec::new(), false);
    for (at, (mark, line)) in all.iter().enumerate() {
        if differing.next_if_eq(&at).is_some() {
            last = Some(at);
        }
        let before = differing.peek().is_some_and(|next| next - at <= CONTEXT);
        if before || last.is_some_and(|last| at - last <= CONTEXT) {
            shown.push(format!("{mark} {line}"));
            left_out = false;
        } else if !std::mem::replace(&mut left_out, true) {
            shown.push("…".to_owned());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_around_what_differs_are_shown() {
        let before: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let after = before.join("\n").replace("\n10\n", "\nten\nand more\n");
        let shown = changed(&before.join("\n"), &after);
        assert_eq!(shown, ["…", "  7", "  8", "  9", "- 10", "+ ten", "+ and more", "  11", "  12", "  13", "…"]);
        assert!(changed("a\nb", "a\nb").is_empty());
    }

    #[test]
    fn texts_that_are_made_to_differ_in_every_line_take_no_time() {
        let text = |prefix: &str| (0..200_000).map(|number| format!("{prefix}{number}\n")).collect::<String>();
        assert_eq!(changed(&text("a"), &text("b")).len(), 400_000);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_off(before in "[ab\n]{0,40}", after in "[ab\n]{0,40}") {
            let (one, other): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
            let told = common(&one, &other);
            let side = |drop: char| told.iter().filter(|(mark, _)| *mark != drop).map(|(_, line)| *line).collect::<Vec<_>>();
            prop_assert_eq!(side('+'), one);
            prop_assert_eq!(side('-'), other);
        }
    }
}
