//! Reads a selector from left to right, without going back. Owns words and the caps; recursion is bounded by the depth.

use super::{SELECTOR_DEPTH_MAX, SELECTOR_TESTS_MAX, Term};

/// What is wrong, and the byte where it begins.
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) why: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    And,
    Or,
    Not,
    In,
    Open,
    Close,
    Comma,
    Equal,
    Unequal,
    End,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("`{}`", word.escape_debug()),
            Self::And => "`and`".into(),
            Self::Or => "`or`".into(),
            Self::Not => "`not`".into(),
            Self::In => "`in`".into(),
            Self::Open => "`(`".into(),
            Self::Close => "`)`".into(),
            Self::Comma => "`,`".into(),
            Self::Equal => "`=`".into(),
            Self::Unequal => "`!=`".into(),
            Self::End => "the end".into(),
        }
    }
}

const MARKS: [char; 6] = ['(', ')', '=', '!', ',', '"'];

/// Whether a word can be written without quotes.
pub(super) fn is_bare(word: &str) -> bool {
    let marked = |c: char| c.is_whitespace() || MARKS.contains(&c);
    !word.is_empty() && !word.contains(marked) && !matches!(word, "and" | "or" | "not" | "in")
}

/// Reads a selector.
pub(super) fn selector(text: &str) -> Result<Term, Fault> {
    let mut reader = Reader { text, at: 0, token: Token::End, token_at: 0, depth: 0, tests: 0 };
    reader.step()?;
    let term = reader.any()?;
    match reader.token {
        Token::End => Ok(term),
        _ => Err(reader.expected("`and`, `or` or the end")),
    }
}

struct Reader<'t> {
    text: &'t str,
    /// Where the text after `token` begins.
    at: usize,
    token: Token,
    token_at: usize,
    depth: usize,
    tests: usize,
}

impl Reader<'_> {
    fn expected(&self, what: &str) -> Fault {
        self.fault(format!("expected {what}, found {}", self.token.shown()))
    }

    fn fault(&self, why: String) -> Fault {
        Fault { offset: self.token_at, why }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes on to the next token.
    fn step(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        self.token_at = self.at;
        let Some(first) = self.rest().chars().next() else {
            self.token = Token::End;
            return Ok(());
        };
        let (token, bytes) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '=' => (Token::Equal, 1),
            '!' if self.rest().starts_with("!=") => (Token::Unequal, 2),
            '!' => return Err(self.fault("`!` is nothing alone: write `!=` or `not`".to_owned())),
            '"' => self.quoted()?,
            _ => {
                let end = self.rest().find(|c: char| c.is_whitespace() || MARKS.contains(&c));
                let word = self.rest().get(..end.unwrap_or(usize::MAX)).unwrap_or(self.rest());
                let token = match word {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "not" => Token::Not,
                    "in" => Token::In,
                    _ => Token::Word(word.to_owned()),
                };
                (token, word.len())
            }
        };
        self.at += bytes;
        self.token = token;
        Ok(())
    }

    fn quoted(&self) -> Result<(Token, usize), Fault> {
        let mut word = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => return Ok((Token::Word(word), offset + 1)),
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => word.push(escaped),
                    _ => return Err(self.fault("in quotes `\\` stands before `\"` and `\\` only".to_owned())),
                },
                _ => word.push(character),
            }
        }
        Err(self.fault("the quote does not end".to_owned()))
    }

    fn any(&mut self) -> Result<Term, Fault> {
        let mut terms = vec![self.all()?];
        while self.token == Token::Or {
            self.step()?;
            terms.push(self.all()?);
        }
        Ok(single_or(terms, Term::Any))
    }

    fn all(&mut self) -> Result<Term, Fault> {
        let mut terms = vec![self.term()?];
        while self.token == Token::And {
            self.step()?;
            terms.push(self.term()?);
        }
        Ok(single_or(terms, Term::All))
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > SELECTOR_DEPTH_MAX {
            return Err(self.fault(format!("`not` and parentheses are more than {SELECTOR_DEPTH_MAX} deep")));
        }
        self.step()
    }

    fn term(&mut self) -> Result<Term, Fault> {
        match self.token {
            Token::Not => {
                self.deeper()?;
                let term = self.term()?;
                self.depth -= 1;
                Ok(Term::Not(Box::new(term)))
            }
            Token::Open => {
                self.deeper()?;
                let term = self.any()?;
                self.depth -= 1;
                self.take(&Token::Close, "`and`, `or` or `)`")?;
                Ok(term)
            }
            _ => self.test(),
        }
    }

    fn test(&mut self) -> Result<Term, Fault> {
        let key = self.word("a tag's key, `not` or `(`")?;
        match self.token {
            Token::Equal => {
                self.step()?;
                Ok(Term::Is(key, self.value()?))
            }
            Token::Unequal => {
                self.step()?;
                Ok(Term::IsNot(key, self.value()?))
            }
            Token::In => {
                self.step()?;
                self.take(&Token::Open, "`(` and values")?;
                let mut values = vec![self.value()?];
                while self.token == Token::Comma {
                    self.step()?;
                    values.push(self.value()?);
                }
                self.take(&Token::Close, "`,` or `)`")?;
                Ok(Term::In(key, values))
            }
            _ => Err(self.expected("`=`, `!=` or `in`")),
        }
    }

    fn value<T: std::str::FromStr<Err = crate::error::ParseError>>(&mut self) -> Result<T, Fault> {
        self.tests += 1;
        if self.tests > SELECTOR_TESTS_MAX {
            return Err(
                self.fault(format!("it compares with more than {SELECTOR_TESTS_MAX} values: save a group instead"))
            );
        }
        self.word("a value (one that is a word of the grammar, empty or has blanks in it: in quotes)")
    }

    fn word<T: std::str::FromStr<Err = crate::error::ParseError>>(&mut self, what: &str) -> Result<T, Fault> {
        let Token::Word(word) = &self.token else { return Err(self.expected(what)) };
        let parsed = word.parse().map_err(|error: crate::error::ParseError| self.fault(error.to_string()))?;
        self.step()?;
        Ok(parsed)
    }

    fn take(&mut self, token: &Token, what: &str) -> Result<(), Fault> {
        if self.token != *token {
            return Err(self.expected(what));
        }
        self.step()
    }
}

fn single_or(mut terms: Vec<Term>, many: fn(Vec<Term>) -> Term) -> Term {
    match terms.len() {
        1 => terms.remove(0),
        _ => many(terms),
    }
}
