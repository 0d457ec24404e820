//! Composes nodes through OpenStack Valence: the Redfish (Intel RSD) composer of its 2017 tree, and the ExpEther
//! composer of its release. One role, read here as a table of contents; `valence.rs` and `podm.rs` are the two far
//! sides behind the one endpoint, and
//! `step.rs` says what outlives a call.

mod answer;
mod compose;
#[cfg(test)]
mod fake;
mod find;
mod node;
mod podm;
mod probe;
mod release;
mod settle;
mod shape;
mod step;
#[cfg(test)]
mod tests;
mod valence;

use moganite_driver::{
    Answer, Compose, Context, Driver, Endpoint, Erase, Fault, Holding, NodeDoing, Page, Presence, Shape, Undoing, now,
};
use podm::Podm;
use serde::Deserialize;
use std::time::Duration;
use valence::Valence;

pub struct ValenceRedfish;

moganite_driver::export!(ValenceRedfish: compose);

impl Driver for ValenceRedfish {
    fn probe(cx: Context) -> Answer<String> {
        probe::probe(&Far::of(&cx)?)
    }
}

impl Compose for ValenceRedfish {
    fn compose(cx: Context, mark: String, want: Shape) -> Answer<NodeDoing> {
        compose::compose(&cx, &Far::of(&cx)?, &mark, &want)
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        find::find(&Far::of(&cx)?, &what)
    }

    fn list(cx: Context, site: String, after: Option<String>) -> Answer<Page> {
        find::list(&Far::of(&cx)?, &site, after.as_deref())
    }

    fn release(cx: Context, what: Holding, _: Erase) -> Answer<Undoing> {
        release::release(&cx, &Far::of(&cx)?, &what)
    }
}

/// What the operator sets; `settings.schema.json` says the same to the host.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The pod manager's uuid in Valence. Set: the release's dialect. Not set: the 2017 tree's.
    podm_id: Option<String>,
    /// Seconds for which a compose request whose answer was lost may still take effect. Valence's workers live 1,000 s
    /// (gunicorn).
    settle_s: u64,
    /// Seconds after which a node that is still there is a release that did nothing.
    gone_within_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { podm_id: None, settle_s: 1_000, gone_within_s: 60 }
    }
}

/// Both far sides, as one call sees them.
struct Far {
    valence: Valence,
    /// None in the release: its proxy leads to the pod manager of valence.conf, which has no part in composing.
    podm: Option<Podm>,
    settle: Duration,
    gone_within: Duration,
}

impl Far {
    fn of(cx: &Context) -> Result<Self, Fault> {
        let settings: Settings = cx.settings()?;
        // Ours ends before the host's, so that a lost answer is a step and not a cut call.
        let limit = cx.budget().saturating_sub(Duration::from_secs(5)).max(Duration::from_secs(1));
        let endpoint = Endpoint::named("valence").within(limit);
        Ok(Self {
            podm: settings.podm_id.is_none().then(|| Podm::behind(endpoint.clone())),
            valence: Valence::at(endpoint, settings.podm_id),
            settle: Duration::from_secs(settings.settle_s),
            gone_within: Duration::from_secs(settings.gone_within_s),
        })
    }
}

/// Milliseconds since 1970, as checkpoints keep the time.
fn now_ms() -> u64 {
    u64::try_from(now().as_millis()).unwrap_or(u64::MAX)
}

/// When to look again at something that began at `since_ms`: soon at first, then a quarter of its age, at most
/// `longest`.
fn next_look(since_ms: u64, longest: Duration) -> Duration {
    let age = Duration::from_millis(now_ms().saturating_sub(since_ms));
    (age / 4).clamp(Duration::from_millis(500), longest.max(Duration::from_millis(500)))
}
