//! The one place of this crate that waits and asks the time: for programs of others, which no test can move by hand.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Asks until there is an answer, `every` so often; an error of the question ends the wait.
///
/// Fails after `within`, naming `what` was waited for.
#[expect(clippy::disallowed_methods, reason = "waits for real programs, whose time is not ours to move")]
pub async fn until<T, F>(what: &str, within: Duration, every: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    // Not an `AsyncFnMut`, with which rustc 1.95 cannot prove that the whole future is `Send`.
    F: Future<Output = Result<Option<T>>>,
{
    tokio::time::timeout(within, async {
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            tokio::time::sleep(every).await;
        }
    })
    .await
    .with_context(|| format!("{what} took longer than {within:?}"))?
}

/// What a program that starts answers. Nothing after 10 s: whoever took its port may never answer, and it is looked at again whether it runs.
#[expect(clippy::disallowed_methods, reason = "asks real programs, whose time is not ours to move")]
pub(crate) async fn answered<T>(question: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(10), question).await.ok()
}

/// A moment to measure from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(Instant);

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "when a real program was asked is real time")]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
