//! Lists in pages: `limit`, an opaque cursor, and `next` as long as there is more.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{Problem, Result};

/// Items of one page when nobody asks for a number.
const USUAL: usize = 100;
const MOST: usize = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Items of one page, 1 to 1000; 100 when left out.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// For an operator: one project in place of all.
    #[serde(rename = "project")]
    #[param(rename = "project")]
    _project: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The cursor of the next page; null on the last.
    pub(super) next: Option<String>,
}

impl Paging {
    pub(super) fn limit(&self) -> Result<usize> {
        match self.limit {
            None => Ok(USUAL),
            Some(limit @ 1..=MOST) => Ok(limit),
            Some(limit) => Err(Problem::new("invalid-parameter", format!("limit is 1 to {MOST}, not {limit}"))),
        }
    }

    /// What the last item of the page before was known by. `list` keeps the cursors of lists apart.
    pub(super) fn after(&self, list: &str) -> Result<Option<String>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bad = || Problem::new("invalid-cursor", "the cursor was not made by this list");
        let text = unhex(cursor).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
        let (of, key) = text.split_once(' ').ok_or_else(bad)?;
        if of == list { Ok(Some(key.to_owned())) } else { Err(bad()) }
    }
}

impl<T> Page<T> {
    /// Of `limit + 1` items that were read after the cursor, or of fewer.
    pub(super) fn of(list: &str, limit: usize, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.map(|item| hex(format!("{list} {}", key(item)).as_bytes()));
        Self { items, next }
    }

    /// Of a whole list in the order of its keys.
    pub(super) fn cut(list: &str, paging: &Paging, items: Vec<T>, key: impl Fn(&T) -> String) -> Result<Self> {
        let limit = paging.limit()?;
        let after = paging.after(list)?;
        let rest = items.into_iter().filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
        Ok(Self::of(list, limit, rest.take(limit + 1).collect(), &key))
    }

    pub(super) fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn paging(limit: usize, cursor: Option<String>) -> Paging {
        Paging { limit: Some(limit), cursor, _project: None }
    }

    #[test]
    fn pages_of_two_show_all_five_once() {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let items = ["a", "b", "c", "d", "e"].map(String::from).to_vec();
            let page = Page::cut("letters", &paging(2, cursor), items, String::clone).unwrap();
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.concat(), "abcde");
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let page = Page::of("letters", 1, vec!["a", "b"], |item| (*item).to_owned());
        assert!(paging(1, page.next.clone()).after("letters").is_ok_and(|after| after.as_deref() == Some("a")));
        assert!(paging(1, page.next).after("numbers").is_err());
        assert!(paging(1, Some("zz".into())).after("letters").is_err());
    }
}
