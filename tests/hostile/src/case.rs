//! One attempt: which row of the threat model it is of, what must hold, and how it is made.

use std::rc::Rc;

use anyhow::{Result, bail};
use futures_util::future::LocalBoxFuture;

use crate::world::World;

pub(crate) struct Case {
    pub(crate) name: String,
    /// The attempt's row in `docs/threats.md`.
    pub(crate) row: &'static str,
    run: Run,
}

/// Answers what ended it, in a few words; an error is what does not hold.
type Run = Box<dyn for<'a> Fn(&'a World) -> LocalBoxFuture<'a, Result<String>>>;

impl Case {
    pub(crate) fn new(
        row: &'static str,
        name: impl Into<String>,
        run: impl AsyncFn(&World) -> Result<String> + 'static,
    ) -> Self {
        let run = Rc::new(run);
        fn boxed<F: for<'a> Fn(&'a World) -> LocalBoxFuture<'a, Result<String>> + 'static>(run: F) -> Run {
            Box::new(run)
        }
        let run = boxed(move |world| {
            let run = run.clone();
            Box::pin(async move { run(world).await })
        });
        Self { name: name.into(), row, run }
    }

    /// `misbehave` does `case` in `verb`, and one of `words` must be in what ends it.
    pub(crate) fn verb(
        row: &'static str,
        case: &'static str,
        verb: &'static str,
        words: &'static [&'static str],
    ) -> Self {
        Self::new(row, format!("{case} in {verb}"), async move |world: &World| {
            let told = world.live(case, verb, serde_json::json!({})).await?;
            one_of(&told, words)
        })
    }

    pub(crate) async fn run(&self, world: &World) -> Result<String> {
        (self.run)(world).await
    }
}

/// What is around the first of these words that is there.
pub(crate) fn one_of(told: &str, words: &[&str]) -> Result<String> {
    let lower = told.to_lowercase();
    for word in words {
        if let Some(at) = lower.find(&word.to_lowercase()) {
            return Ok(around(&lower, at));
        }
    }
    bail!("none of {words:?} is in: {}", cut(told, 1_500))
}

/// None of these words is there.
pub(crate) fn none_of(told: &str, words: &[&str]) -> Result<()> {
    match words.iter().find(|word| told.contains(**word)) {
        Some(word) => {
            let at = told.find(word).unwrap_or(0);
            let from = told[..at].char_indices().rev().take(60).last().map_or(0, |(from, _)| from);
            bail!("{word:?} is in: {}", cut(&told[from..], 200))
        }
        None => Ok(()),
    }
}

fn around(text: &str, at: usize) -> String {
    let before = text[..at].rfind(['"', '\n', ';']).map_or(0, |found| found + 1);
    let from = text[..at].char_indices().rev().take(30).last().map_or(at, |(found, _)| found).max(before);
    cut(text[from..].trim(), 90)
}

pub(crate) fn cut(text: &str, limit: usize) -> String {
    let line: String = text.chars().take(limit).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > limit { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_ended_it_is_shown_with_what_is_around_it() {
        assert_eq!(one_of("x; it used more CPU than it has\nz", &["cpu"]).unwrap(), "it used more cpu than it has z");
        assert!(one_of("nothing of the kind", &["cpu"]).is_err());
        assert!(none_of("a b", &["b"]).is_err() && none_of("a b", &["c"]).is_ok());
    }
}
