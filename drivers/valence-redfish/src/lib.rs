//! Composes nodes in two dialects. Through OpenStack Valence: the Redfish (Intel RSD) composer of its 2017 tree, and the
//! ExpEther composer of its release; `valence.rs` and `podm.rs` are the two far sides behind the one endpoint, and
//! `step.rs` says what outlives a call. And through a Redfish composition service without Valence: `redfish.rs`. One role,
//! read here as a table of contents.

mod answer;
mod compose;
#[cfg(test)]
mod fake;
mod find;
mod node;
mod podm;
mod probe;
mod redfish;
mod release;
mod settle;
mod shape;
mod step;
#[cfg(test)]
mod tests;
mod valence;

use moganite_driver::{
    Answer, Compose, Context, Driver, Endpoint, Erase, Fault, Holding, NodeDoing, Page, Presence, Shape, Undoing,
    fault, now,
};
use podm::Podm;
use serde::Deserialize;
use std::time::Duration;
use valence::Valence;

pub struct ValenceRedfish;

moganite_driver::export!(ValenceRedfish: compose);

impl Driver for ValenceRedfish {
    fn probe(cx: Context) -> Answer<String> {
        let settings: Settings = cx.settings()?;
        settings.in_words(match settings.dialect {
            Dialect::Valence => probe::probe(&Far::of(&cx, &settings)),
            Dialect::Redfish => redfish::probe(&redfish::Far::of(&cx, &settings)),
        })
    }
}

impl Compose for ValenceRedfish {
    fn compose(cx: Context, mark: String, want: Shape) -> Answer<NodeDoing> {
        let settings: Settings = cx.settings()?;
        settings.in_words(match settings.dialect {
            Dialect::Valence => compose::compose(&cx, &Far::of(&cx, &settings), &mark, &want),
            Dialect::Redfish => redfish::compose(&cx, &redfish::Far::of(&cx, &settings), &mark, &want),
        })
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        let settings: Settings = cx.settings()?;
        settings.in_words(match settings.dialect {
            Dialect::Valence => find::find(&Far::of(&cx, &settings), &what),
            Dialect::Redfish => redfish::find(&redfish::Far::of(&cx, &settings), &what),
        })
    }

    fn list(cx: Context, site: String, after: Option<String>) -> Answer<Page> {
        let settings: Settings = cx.settings()?;
        settings.in_words(match settings.dialect {
            Dialect::Valence => find::list(&Far::of(&cx, &settings), &site, after.as_deref()),
            Dialect::Redfish => redfish::list(&redfish::Far::of(&cx, &settings), &site, after.as_deref()),
        })
    }

    fn release(cx: Context, what: Holding, level: Erase) -> Answer<Undoing> {
        let settings: Settings = cx.settings()?;
        settings.in_words(match settings.dialect {
            Dialect::Valence => release::release(&cx, &Far::of(&cx, &settings), &what),
            Dialect::Redfish => redfish::release(&cx, &redfish::Far::of(&cx, &settings), &what, level),
        })
    }
}

/// What the operator sets; `settings.schema.json` says the same to the host.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    dialect: Dialect,
    /// The pod manager's uuid in Valence. Set: the release's dialect. Not set: the 2017 tree's.
    podm_id: Option<String>,
    /// Seconds for which a compose request whose answer was lost may still take effect. Valence's workers live 1,000 s
    /// (gunicorn).
    settle_s: u64,
    /// Seconds after which a node that is still there is a release that did nothing.
    gone_within_s: u64,
    /// Redfish: whether blocks name the systems that they are in, as the standard has it.
    back_links: BackLinks,
}

/// Whom this backend speaks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dialect {
    /// Valence, at the endpoint `valence`.
    #[default]
    Valence,
    /// A Redfish composition service, at the endpoint `redfish`.
    Redfish,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BackLinks {
    /// A system whose blocks do not name it is none.
    #[default]
    Required,
    /// This service keeps none.
    Absent,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            podm_id: None,
            settle_s: 1_000,
            gone_within_s: 60,
            back_links: BackLinks::default(),
        }
    }
}

impl Settings {
    /// Both endpoints are optional, since a dialect needs one of them; so whoever bound the other hears of it here.
    fn in_words<T>(&self, answer: Answer<T>) -> Answer<T> {
        let (dialect, endpoint, other) = match self.dialect {
            Dialect::Valence => ("valence", "valence", "redfish"),
            Dialect::Redfish => ("redfish", "redfish", "valence"),
        };
        answer.map_err(|refused| match refused {
            Fault::Broken(why) if why.contains("was denied by the gate") => fault::broken(format!(
                "the dialect {dialect} speaks to the endpoint {endpoint}: bind it at this backend, or set dialect to {other} ({why})"
            )),
            other => other,
        })
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
    fn of(cx: &Context, settings: &Settings) -> Self {
        // Ours ends before the host's, so that a lost answer is a step and not a cut call.
        let limit = cx.budget().saturating_sub(Duration::from_secs(5)).max(Duration::from_secs(1));
        let endpoint = Endpoint::named("valence").within(limit);
        Self {
            podm: settings.podm_id.is_none().then(|| Podm::behind(endpoint.clone())),
            valence: Valence::at(endpoint, settings.podm_id.clone()),
            settle: Duration::from_secs(settings.settle_s),
            gone_within: Duration::from_secs(settings.gone_within_s),
        }
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
