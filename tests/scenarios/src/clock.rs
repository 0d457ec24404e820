//! Waiting for another process: the only place of the scenarios that sleeps.

#![expect(clippy::disallowed_methods, reason = "another process is waited for; its clock cannot be moved by hand")]

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks again and again until `answer` is there; an error that names `what` after the time.
pub async fn until<T>(what: &str, within: Duration, mut answer: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(answer) = answer().await? {
            return Ok(answer);
        }
        if begin.elapsed() > within {
            bail!("waited {} s in vain: {what}", within.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A moment of a create or delete that nothing else marks.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Seconds since `begin`, for the demonstration's lines.
pub fn stopwatch() -> impl Fn() -> f64 {
    let begin = Instant::now();
    move || begin.elapsed().as_secs_f64()
}
