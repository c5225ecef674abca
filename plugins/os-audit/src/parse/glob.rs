//! File name patterns with `*` and `?`.
//!
//! Owns the match of one name; a folder is listed by the caller. Ends in time proportional to pattern times name.

/// Whether `name` matches `pattern` as a whole.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.chars().collect::<Vec<_>>();
    let name = name.chars().collect::<Vec<_>>();
    let (mut at, mut next) = (0, 0);
    // Where the last star stands and what it has swallowed so far.
    let mut star = None;
    while next < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(symbol) if *symbol == '?' || *symbol == name[next] => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some((position, swallowed)) => {
                    at = position + 1;
                    next = swallowed + 1;
                    star = Some((position, swallowed + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|symbol| *symbol == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        assert!(matches("*.conf", "50-cloud.conf"));
        assert!(!matches("*.conf", "x.config"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*b*c", "a-c-b"));
        assert!(matches("?.conf", "x.conf"));
        assert!(!matches("?.conf", ".conf"));
    }
}
