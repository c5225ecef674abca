//! sshd_config(5).
//!
//! Owns keywords, their first-wins order, `Match` blocks and the names in `Include`; the caller reads included
//! files. Never resolves which `Match` applies to whom: a setting inside one is reported as such.

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The file that it stands in.
    pub file: String,
    /// Its line there.
    pub number: usize,
    /// Its keyword in lower case.
    pub keyword: String,
    /// The rest of the line without quotes.
    pub value: String,
    /// The criteria of the `Match` block that it stands in.
    pub matched: Option<String>,
}

impl Line {
    /// As `/etc/ssh/sshd_config:12: keyword value`.
    pub(crate) fn evidence(&self) -> String {
        let within = self.matched.as_ref().map_or_else(String::new, |matched| format!(" (in `Match {matched}`)"));
        format!("{}:{}: {} {}{within}", self.file, self.number, self.keyword, self.value)
    }
}

/// Reads one file. `Include` stays a line for the caller.
pub(crate) fn lines(file: &str, text: &str) -> Vec<Line> {
    let mut matched: Option<String> = None;
    let mut lines = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let end = trimmed.find(|symbol: char| symbol.is_whitespace() || symbol == '=').unwrap_or(trimmed.len());
        let keyword = trimmed[..end].to_ascii_lowercase();
        let rest = trimmed[end..].trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        let value = without_comment(rest).trim().trim_matches('"').to_owned();
        if keyword == "match" {
            matched = (!value.eq_ignore_ascii_case("all")).then_some(value);
            continue;
        }
        lines.push(Line { file: file.to_owned(), number: index + 1, keyword, value, matched: matched.clone() });
    }
    lines
}

/// The setting in force where no `Match` applies: the first one wins.
pub(crate) fn global<'a>(lines: &'a [Line], keyword: &str) -> Option<&'a Line> {
    lines.iter().find(|line| line.matched.is_none() && line.keyword == keyword)
}

/// Settings of this keyword inside `Match` blocks.
pub(crate) fn conditional<'a>(lines: &'a [Line], keyword: &'a str) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line.matched.is_some() && line.keyword == keyword)
}

/// sshd takes a `#` after white space, outside quotes, as the beginning of a comment.
fn without_comment(text: &str) -> &str {
    let mut quoted = false;
    let mut before_is_space = true;
    for (index, symbol) in text.char_indices() {
        match symbol {
            '"' => quoted = !quoted,
            '#' if !quoted && before_is_space => return &text[..index],
            _ => {}
        }
        before_is_space = symbol.is_whitespace();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# first wins\nPermitRootLogin no\npermitrootlogin yes\nCiphers = \"aes256-ctr\" # why\n\
        Match User backup\n  PasswordAuthentication yes\nMatch all\nX11Forwarding yes\n";

    #[test]
    fn the_first_setting_wins_and_keywords_ignore_case() {
        let lines = lines("f", CONFIG);
        assert_eq!(global(&lines, "permitrootlogin").map(Line::evidence).as_deref(), Some("f:2: permitrootlogin no"));
        assert_eq!(global(&lines, "ciphers").map(|line| line.value.as_str()), Some("aes256-ctr"));
    }

    #[test]
    fn a_match_block_is_kept_apart_until_match_all() {
        let lines = lines("f", CONFIG);
        assert!(global(&lines, "passwordauthentication").is_none());
        let inside = conditional(&lines, "passwordauthentication").map(Line::evidence).collect::<Vec<_>>();
        assert_eq!(inside, ["f:6: passwordauthentication yes (in `Match User backup`)"]);
        assert!(global(&lines, "x11forwarding").is_some());
    }
}
