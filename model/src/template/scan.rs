//! Finds double braces and reads what is in them. Owns the grammar of placeholders; never says what one is worth.

use crate::error::Position;
use crate::name::ParameterName;
use crate::template::built_in::{BuiltIn, ScriptFile};
use crate::template::fault::TemplateProblem;

/// A part of a script.
pub(super) enum Token<'t> {
    /// What stays as it is.
    Text(&'t str),
    /// What stands between double braces, and where the first brace is.
    Braces(&'t str, Position),
}

/// The parts of a script, in order; together they are all of it. Takes time linear in its length.
pub(super) fn scan(text: &str) -> Scan<'_> {
    Scan { rest: text, at: Position::START, braces: None }
}

/// What [`scan`] gives.
pub(super) struct Scan<'t> {
    rest: &'t str,
    at: Position,
    /// What stands in the braces before `rest`, and where, where the text before them was given first.
    braces: Option<(&'t str, Position)>,
}

impl<'t> Iterator for Scan<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        if let Some((inner, at)) = self.braces.take() {
            return Some(Token::Braces(inner, at));
        }
        if self.rest.is_empty() {
            return None;
        }
        let mut searched = 0;
        while let Some(found) = self.rest.get(searched..).and_then(|rest| rest.find("}}")) {
            let close = searched + found;
            let open = self.rest.get(searched..close).and_then(|before| before.rfind("{{")).map(|at| searched + at);
            let Some((before, inner)) =
                open.and_then(|open| Some((self.rest.get(..open)?, self.rest.get(open + 2..close)?)))
            else {
                searched = close + 2;
                continue;
            };
            let at = self.at.after(before);
            self.at = at.after("{{").after(inner).after("}}");
            self.rest = self.rest.get(close + 2..).unwrap_or_default();
            if before.is_empty() {
                return Some(Token::Braces(inner, at));
            }
            self.braces = Some((inner, at));
            return Some(Token::Text(before));
        }
        Some(Token::Text(std::mem::take(&mut self.rest)))
    }
}

/// What stands between double braces and means something.
pub(super) enum Inner {
    /// A parameter.
    Parameter(ParameterName),
    /// A built-in.
    BuiltIn(BuiltIn),
    /// The script's file.
    ScriptFile(ScriptFile),
}

impl Inner {
    /// Reads what stands between double braces.
    pub(super) fn parse(inner: &str) -> Result<Self, TemplateProblem> {
        let name = inner.trim();
        if name.is_empty() {
            return Err(TemplateProblem::Empty);
        }
        match name.split_once("::").map(|(space, rest)| (space.trim_end(), rest.trim_start())) {
            Some(("ACS", rest)) => match ScriptFile::parse(rest) {
                Some(Ok(file)) => Ok(Self::ScriptFile(file)),
                Some(Err(problem)) => Err(problem),
                None => BuiltIn::parse(rest).map(Self::BuiltIn),
            },
            Some(_) | None => name.parse().map(Self::Parameter).map_err(|_| TemplateProblem::NoName),
        }
    }
}
