//! True time, which this test measures and never waits for.

#![expect(clippy::disallowed_methods, reason = "how long it takes in true time is what is asked here")]

use std::time::Instant;

pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn ms(&self) -> u128 {
        self.0.elapsed().as_millis()
    }
}
