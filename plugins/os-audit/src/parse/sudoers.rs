//! sudoers(5), as much as the rules need.
//!
//! Owns continued lines, comments, `Defaults` and user specifications. Never resolves aliases: the rules look at tags and
//! at the words as they are written.

/// One logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The file that it stands in.
    pub file: String,
    /// Where it begins there.
    pub number: usize,
    /// The whole line, continuations joined and white space made single.
    pub text: String,
    /// What it is.
    pub kind: Kind,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Defaults`, with the settings.
    Defaults(Vec<String>),
    /// `User_Alias` and its like.
    Alias,
    /// `@include` and `@includedir`, with the path.
    Include(String),
    /// Who may run what.
    Grant {
        /// The user, `%group` or alias.
        who: String,
        /// All after `=`.
        what: String,
    },
    /// Anything else.
    Other,
}

impl Line {
    /// As `/etc/sudoers:12: text`.
    pub(crate) fn evidence(&self) -> String {
        format!("{}:{}: {}", self.file, self.number, self.text)
    }
}

/// Reads one file. Includes stay lines for the caller.
pub(crate) fn lines(file: &str, text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending: Option<(usize, String)> = None;
    for (index, raw) in text.lines().enumerate() {
        let (number, mut logical) = pending.take().unwrap_or((index + 1, String::new()));
        let continued = raw.ends_with('\\');
        logical.push_str(raw.strip_suffix('\\').unwrap_or(raw));
        if continued {
            logical.push(' ');
            pending = Some((number, logical));
            continue;
        }
        lines.extend(line(file, number, &logical));
    }
    if let Some((number, logical)) = pending {
        lines.extend(line(file, number, &logical));
    }
    lines
}

fn line(file: &str, number: usize, logical: &str) -> Option<Line> {
    let trimmed = logical.trim();
    let include = ["@includedir", "#includedir", "@include", "#include"]
        .iter()
        .find_map(|word| trimmed.strip_prefix(word))
        .filter(|rest| rest.starts_with(char::is_whitespace));
    if let Some(path) = include {
        let path = path.trim().trim_matches('"').to_owned();
        return Some(Line { file: file.to_owned(), number, text: trimmed.to_owned(), kind: Kind::Include(path) });
    }
    let text = without_comment(trimmed).split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return None;
    }
    let kind = kind(&text);
    Some(Line { file: file.to_owned(), number, text, kind })
}

fn kind(text: &str) -> Kind {
    if let Some(rest) = text.strip_prefix("Defaults") {
        // `Defaults:user`, `Defaults@host`, `Defaults>runas`, `Defaults!command`: settings follow the first word.
        let settings = if rest.starts_with([':', '@', '>', '!']) {
            rest.split_once(' ').map_or("", |(_, settings)| settings)
        } else {
            rest
        };
        return Kind::Defaults(settings.split(',').map(|setting| setting.trim().to_owned()).collect());
    }
    if ["User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias"].iter().any(|word| text.starts_with(word))
    {
        return Kind::Alias;
    }
    match text.split_once('=') {
        Some((left, what)) => match left.split_whitespace().next() {
            Some(who) => Kind::Grant { who: who.to_owned(), what: what.trim().to_owned() },
            None => Kind::Other,
        },
        None => Kind::Other,
    }
}

/// `#` begins a comment, except before digits (a uid) where a word begins.
fn without_comment(text: &str) -> &str {
    let mut before = ' ';
    for (index, symbol) in text.char_indices() {
        if symbol == '#' && before != '\\' {
            let uid = text[index + 1..].starts_with(|next: char| next.is_ascii_digit())
                && (before.is_whitespace() || matches!(before, ',' | '(' | '%'));
            if !uid {
                return &text[..index];
            }
        }
        before = symbol;
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;

    #[test]
    fn continued_lines_are_joined_and_keep_their_first_number() {
        let lines = lines("f", "# c\nalice ALL = \\\n  NOPASSWD: /bin/ls # why\n");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].evidence(), "f:2: alice ALL = NOPASSWD: /bin/ls");
        let Kind::Grant { who, what } = &lines[0].kind else { panic!("{:?}", lines[0]) };
        assert_eq!((who.as_str(), what.as_str()), ("alice", "NOPASSWD: /bin/ls"));
    }

    #[test]
    fn old_and_new_includes_are_no_comments() {
        let kinds = lines("f", "#includedir /etc/sudoers.d\n@include /etc/x\n#included\n#1000 ALL=ALL\n")
            .into_iter()
            .map(|line| line.kind)
            .collect::<Vec<_>>();
        assert_eq!(kinds[0], Kind::Include("/etc/sudoers.d".to_owned()));
        assert_eq!(kinds[1], Kind::Include("/etc/x".to_owned()));
        assert_eq!(kinds[2], Kind::Grant { who: "#1000".to_owned(), what: "ALL".to_owned() });
        assert_eq!(kinds.len(), 3);
    }

    #[test]
    fn defaults_for_one_user_lose_the_user() {
        assert_eq!(kind("Defaults:bob !authenticate, use_pty"), {
            Kind::Defaults(vec!["!authenticate".to_owned(), "use_pty".to_owned()])
        });
    }
}
