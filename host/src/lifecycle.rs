//! What happens to an instance: joins flows and drivers, which do not know each other.
//!
//! `create.rs` and `delete.rs` read as tables of contents, one task is one file under `task/`. `rules.rs` says what may be ordered and
//! bound. The api calls [`Lifecycle`]; it writes an intent and answers, a flow does the work.

mod adopt;
mod backup;
mod bindings;
mod create;
mod delete;
mod granting;
mod look;
mod notice;
mod observe;
mod plugins;
mod power;
mod rebuild;
mod receipt;
mod reconcile;
mod refresh;
mod release;
mod restore;
mod rules;
mod sweep;
mod task;
mod verbs;
mod waits;
mod wishes;

pub use adopt::Adoption;
pub use backup::Backup;
pub use granting::{Granting, Requests};
pub use receipt::{Line, Receipt};
pub use reconcile::Decision;
pub use refresh::Refreshed;
pub use restore::{NotRestored, Restored, is_half_restored, restore};
pub use waits::{Waits, Who};
pub use wishes::Request;

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Config, Flows};
use crate::driver::{Drivers, Refusal};
use crate::flow::{Book, Runner};
use crate::model::{Flow, Invalid, Site};
use crate::store::{self, Store};

/// Why an intent was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no {what} {name}")]
    NotFound { what: &'static str, name: String },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// `code` is stable; `message` says what to do.
    #[error("{message}")]
    Refused { code: &'static str, message: String },
    /// `more`: a line each, as an operator repeats them to grant them.
    #[error("{plugin} asks for more than was granted: {}", .more.join("; "))]
    AsksMore { plugin: String, more: Vec<String> },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code, message: refusal.message }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Lifecycle {
    store: Store,
    drivers: Drivers,
    clock: Clock,
    site: Site,
    book: Book,
    runner: Runner,
    notice_every: Duration,
    observe_every: Duration,
    sweep_every: Duration,
    /// How long a task may take of which nobody said it.
    deadline: Duration,
}

impl Lifecycle {
    pub async fn open(config: &Config, store: Store, drivers: Drivers, clock: Clock) -> Result<Self, Error> {
        let site = store.site(fresh_site()?).await?;
        let book = book(&store, &drivers);
        let lifecycle = Self::on(&config.flows, book, site, store, drivers, clock);
        // Before anything can be asked: a store that was frozen or restored is so from its first moment.
        lifecycle.stand().await?;
        Ok(lifecycle)
    }

    /// The same, with every flow in the hands of a test.
    #[cfg(any(test, feature = "testing"))]
    pub async fn open_staged(
        config: &Config,
        store: Store,
        drivers: Drivers,
        clock: Clock,
        stage: &crate::flow::testing::Stage,
    ) -> Result<Self, Error> {
        let site = store.site(fresh_site()?).await?;
        let book = stage.direct(book(&store, &drivers));
        let lifecycle = Self::on(&config.flows, book, site, store, drivers, clock);
        lifecycle.stand().await?;
        Ok(lifecycle)
    }

    fn on(patience: &Flows, book: Book, site: Site, store: Store, drivers: Drivers, clock: Clock) -> Self {
        let runner = Runner::new(store.clone(), book.clone(), clock.clone(), site.clone(), patience.clone());
        Self {
            store,
            drivers,
            clock,
            site,
            book,
            runner,
            notice_every: patience.notice_every,
            observe_every: patience.observe_every,
            sweep_every: patience.sweep_every,
            deadline: patience.deadline,
        }
    }

    /// Runs the flows until `stop` says so.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> Result<(), Error> {
        self.runner.take_over().await?;
        let noticing = notice::run(self.runner.notices(), &self.store, &self.drivers, &self.clock, self.notice_every);
        let observing = observe::run(&self.store, &self.drivers, &self.clock, self.observe_every);
        tokio::select! {
            () = self.runner.run(stop) => (),
            () = noticing => (),
            () = observing => (),
            () = sweep::run(self, self.sweep_every) => (),
        }
        Ok(())
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Every flow in the code.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The names of a flow's tasks in its present round, in order.
    pub fn tasks(&self, flow: &Flow) -> Vec<&'static str> {
        self.book.tasks(&flow.kind, flow.version, flow.position.round)
    }
}

/// Every flow in the code.
fn book(store: &Store, drivers: &Drivers) -> Book {
    Book::default()
        .with(create::composed(store, drivers))
        .with(create::preset(store, drivers))
        .with(adopt::instance(store, drivers))
        .with(delete::instance(store, drivers))
        .with(delete::settle(store, drivers))
        .with(power::instance(store, drivers))
        .with(rebuild::instance(store, drivers))
        .with(refresh::instance(store, drivers))
}

fn fresh_site() -> Result<Site, Error> {
    let mut bytes = [0; 6];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::Refused { code: "no-randomness", message: "the system gives no random bytes".into() })?;
    Ok(Site::from_random(bytes))
}
