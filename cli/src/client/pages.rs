//! A list that is read page by page, each given away before the next is asked for.

use std::marker::PhantomData;

use orderly_wire::http::{PAGE_MAX, Page};
use serde::de::DeserializeOwned;

use super::{Client, encode};
use crate::error::Failure;

/// What is left of a list.
#[derive(Debug)]
pub(crate) struct Pages<'a, T> {
    client: &'a Client,
    path: String,
    place: Place,
    rows: PhantomData<T>,
}

/// How far a list was read.
#[derive(Debug, Default)]
struct Place {
    /// The last page's `next`.
    after: Option<String>,
    over: bool,
}

impl Place {
    /// Goes on to what a page names as the next.
    ///
    /// # Errors
    /// It is where the page itself began: the list would never end.
    fn advance(&mut self, next: Option<String>) -> Result<(), Failure> {
        if next.is_some() && next == self.after {
            return Err(Failure::server("the server's list never ends: a page names itself as the next one"));
        }
        self.over = next.is_none();
        self.after = next;
        Ok(())
    }
}

impl Client {
    /// The pages of a list that is paged by key; `path` may hold a query.
    pub(crate) fn pages<T: DeserializeOwned>(&self, path: &str) -> Pages<'_, T> {
        Pages { client: self, path: path.to_owned(), place: Place::default(), rows: PhantomData }
    }

    /// All rows of such a list.
    pub(crate) async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let (mut pages, mut all) = (self.pages(path), Vec::new());
        while let Some(mut rows) = pages.next().await? {
            all.append(&mut rows);
        }
        Ok(all)
    }
}

impl<T: DeserializeOwned> Pages<'_, T> {
    /// The rows of the next page; nothing after the last.
    ///
    /// # Errors
    /// The server refused, or its list does not go on.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<T>>, Failure> {
        if self.place.over {
            return Ok(None);
        }
        let page: Page<T> = match &self.place.after {
            None => self.client.page(&self.path, PAGE_MAX).await?,
            Some(after) => {
                let join = if self.path.contains('?') { '&' } else { '?' };
                self.client.page(&format!("{}{join}after={}", self.path, encode(after)), PAGE_MAX).await?
            }
        };
        self.place.advance(page.next)?;
        Ok(Some(page.items))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn list_whose_page_names_itself_as_the_next_is_not_read_for_ever() {
        let mut place = Place::default();
        place.advance(Some("1".to_owned())).unwrap();
        place.advance(Some("2".to_owned())).unwrap();
        assert!(place.advance(Some("2".to_owned())).is_err());
        place.advance(None).unwrap();
        assert!(place.over);
    }
}
