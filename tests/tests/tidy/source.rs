//! Rust source as tokens: just enough to see what a module names, without comments, texts and test code.
//!
//! Owns the walk over the repository's sources and a small tokeniser. It never judges anything.

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the repository").to_path_buf()
}

/// One piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A name or a keyword, with the line that it is on (from 1).
    Name(String, usize),
    /// One character of punctuation.
    Mark(char),
}

impl Token {
    /// Whether it is this name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Name(found, _) if found == name)
    }

    /// Whether it is this character.
    pub fn is_mark(&self, mark: char) -> bool {
        matches!(self, Self::Mark(found) if *found == mark)
    }
}

/// A file of Rust.
pub struct Source {
    /// Its path below the top of the repository.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Lines in it.
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Its tokens, without code that is compiled for tests only.
    pub fn code(&self) -> Vec<Token> {
        without_tests(&tokens(&self.text))
    }

    /// Whether all of it is test code: a `tests` module in a file of its own, or a file below a `tests` folder.
    pub fn is_test(&self) -> bool {
        let path = Path::new(&self.path);
        let below = |folder: &str| path.parent().into_iter().flat_map(Path::iter).any(|part| part == folder);
        path.file_name().is_some_and(|name| name == "tests.rs") || below("tests") || below("benches")
    }
}

/// All `.rs` files below a folder of the repository, sorted; built output is left out.
pub fn below(folder: &str) -> Vec<Source> {
    let top = root();
    let mut found = Vec::new();
    walk(&top.join(folder), &mut found);
    found.sort();
    let name = |path: &Path| path.strip_prefix(&top).expect("below the top").display().to_string();
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    found.iter().map(|path| Source { path: name(path), text: read(path) }).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !matches!(path.file_name().and_then(|name| name.to_str()), Some("target" | "node_modules" | ".git")) {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The tokens of a text: comments are left out, each literal becomes the mark `"`.
pub fn tokens(text: &str) -> Vec<Token> {
    let (chars, mut at, mut line): (Vec<char>, _, _) = (text.chars().collect(), 0, 1);
    let mut out = Vec::new();
    while let Some(&char) = chars.get(at) {
        let next = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
        let end = match char {
            '/' if next(1) == '/' => find(&chars, at, |c| c == '\n'),
            '/' if next(1) == '*' => comment(&chars, at),
            '"' => text_end(&chars, at),
            'r' | 'b' | 'c' if raw_start(&chars, at).is_some() => raw_end(&chars, at),
            'b' | 'c' if next(1) == '"' => text_end(&chars, at + 1),
            'b' if next(1) == '\'' => quote_end(&chars, at + 1),
            // A lifetime has no closing quote two characters on; a character has, or an escape.
            '\'' if next(1) == '\\' || next(2) == '\'' => quote_end(&chars, at),
            c if c.is_alphabetic() || c == '_' => find(&chars, at, |c| !(c.is_alphanumeric() || c == '_')),
            _ => at + 1,
        };
        let end = end.max(at + 1).min(chars.len());
        if char.is_alphabetic() || char == '_' {
            let word: String = chars[at..end].iter().collect();
            let literal = word.contains('"') || word.contains('\'');
            out.push(if literal { Token::Mark('"') } else { Token::Name(word, line) });
        } else if char == '"' || (char == '\'' && end > at + 1) {
            out.push(Token::Mark('"'));
        } else if !(char.is_whitespace() || (char == '/' && end > at + 1)) {
            out.push(Token::Mark(char));
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    out
}

fn find(chars: &[char], from: usize, ends: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| ends(*c)).map_or(chars.len(), |found| from + found)
}

fn comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from + 2, 1);
    while depth > 0 && at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn text_end(chars: &[char], from: usize) -> usize {
    delimited(chars, from, '"')
}

fn quote_end(chars: &[char], from: usize) -> usize {
    delimited(chars, from, '\'')
}

fn delimited(chars: &[char], from: usize, mark: char) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != mark {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The number of `#` of a raw text that begins here, and where its first quote is.
fn raw_start(chars: &[char], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    if matches!(chars[at], 'b' | 'c') {
        at += 1;
    }
    if chars.get(at) != Some(&'r') {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some((hashes, at + 1 + hashes))
}

fn raw_end(chars: &[char], from: usize) -> usize {
    let Some((hashes, quote)) = raw_start(chars, from) else { return from + 1 };
    let ends = |at: usize| chars[at] == '"' && (1..=hashes).all(|ahead| chars.get(at + ahead) == Some(&'#'));
    (quote + 1..chars.len()).find(|at| ends(*at)).map_or(chars.len(), |at| at + hashes + 1)
}

/// The tokens without items that stand behind `#[cfg(test)]` or `#[test]`.
pub fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at].is_mark('#') && tokens.get(at + 1).is_some_and(|next| next.is_mark('[')) {
            let end = closing(tokens, at + 1);
            let attribute = &tokens[at + 2..end.saturating_sub(1)];
            let first = |name: &str| attribute.first().is_some_and(|token| token.is(name));
            let has = |name: &str| attribute.iter().any(|token| token.is(name));
            if first("test") || (first("cfg") && has("test") && !has("not")) || first("proptest") {
                at = item_end(tokens, end);
                continue;
            }
        }
        out.push(tokens[at].clone());
        at += 1;
    }
    out
}

/// The place behind the bracket that closes the one at `open`.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The place behind the item that begins at `from`: its `;` or its closing brace.
fn item_end(tokens: &[Token], from: usize) -> usize {
    let mut at = from;
    while at < tokens.len() {
        match tokens[at] {
            Token::Mark(';') => return at + 1,
            Token::Mark('{') => return closing(tokens, at),
            Token::Mark('(' | '[') => at = closing(tokens, at),
            _ => at += 1,
        }
    }
    at
}

#[test]
fn comments_and_literals_hide_what_they_hold() {
    let text = r###"
        // unwrap()
        /* panic /* todo */ */
        let text = "unwrap \" panic"; let raw = r#"todo "quoted" unwrap"#; let c = '"'; let l: &'static str = b"x";
        seen();
    "###;
    let names: Vec<String> = tokens(text)
        .into_iter()
        .filter_map(|token| match token {
            Token::Name(name, _) => Some(name),
            Token::Mark(_) => None,
        })
        .collect();
    assert_eq!(names, ["let", "text", "let", "raw", "let", "c", "let", "l", "static", "str", "seen"]);
}

#[test]
fn test_code_is_left_out() {
    let code = without_tests(&tokens(
        "fn a() {} #[cfg(test)] mod tests { fn b() {} } #[cfg(not(test))] fn c() {} #[test] fn d() {}",
    ));
    let has = |name: &str| code.iter().any(|token| token.is(name));
    assert!(has("a") && has("c") && !has("b") && !has("d"));
}
