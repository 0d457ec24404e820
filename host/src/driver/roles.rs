//! The verbs of each role, as a flow's task calls them. Each is one call on a fresh instance.

use serde_json::{Map, Value};
use wasmtime::Store;

use super::answer::{Answer, DeployOrder, Deployed, Doing, Observed, Page, PowerWish, Presence};
use super::arguments;
use super::bindings::types;
use super::call::{Call, Target};
use super::claims::Reader;
use super::limits::State;
use crate::model::{Erase, Holding, Mark, Node, RevisionId, Shape, Site};

/// Makes nodes from pools of parts.
#[derive(Clone)]
pub struct Composer(pub(super) Target);

/// Lends machines that exist already.
#[derive(Clone)]
pub struct Claimer(pub(super) Target);

/// Brings composed nodes under management, and out again.
#[derive(Clone)]
pub struct Enroller(pub(super) Target);

/// Puts images on nodes and takes them off.
#[derive(Clone)]
pub struct Deployer(pub(super) Target);

/// Looks, and changes nothing.
#[derive(Clone)]
pub struct Prober(pub(super) Target);

/// One call on a fresh instance. What `$work` names is moved into it: it borrows nothing but the store.
macro_rules! visit {
    (
        $target:expr, $role:ident.$interface:ident, $verb:literal, $call:expr,
        |$guest:ident, $store:ident, $context:ident| $work:expr, $read:expr
    ) => {{
        let loaded = $target.loaded.clone();
        let work = async move |mut store: Store<State>, context: types::Context| {
            let instance = loaded.$role()?.instantiate_async(&mut store).await?;
            let ($guest, $store, $context) = (instance.$interface(), &mut store, &context);
            $work.await
        };
        $target.run(stringify!($role), $verb, $call, work, $read).await
    }};
}

impl Prober {
    /// The far side's version, what is wrong with these settings, and what it can do.
    pub async fn probe(&self, call: Call) -> Answer<Map<String, Value>> {
        visit!(
            self.0,
            driver.moganite_driver_driver,
            "probe",
            call,
            |guest, store, cx| guest.call_probe(store, cx),
            |reader, told| { reader.object("probe", &told) }
        )
    }
}

impl Composer {
    /// Repeatable under one mark.
    pub async fn compose(&self, call: Call, mark: &Mark, want: &Shape) -> Answer<Doing<Node>> {
        let (mark, want) = (mark.0.clone(), arguments::shape(want));
        visit!(
            self.0,
            compose.moganite_driver_compose,
            "compose",
            call,
            |guest, store, cx| guest.call_compose(store, cx, &mark, &want),
            Reader::node_doing
        )
    }

    pub async fn release(&self, call: Call, what: &Holding, level: Erase) -> Answer<Doing<Map<String, Value>>> {
        let (what, level) = (self.0.holding(what), arguments::erase(level));
        visit!(
            self.0,
            compose.moganite_driver_compose,
            "release",
            call,
            |guest, store, cx| guest.call_release(store, cx, &what, level),
            Reader::undoing
        )
    }
}

impl Claimer {
    /// Repeatable under one mark. `exclude`: handles of nodes that failed here before.
    pub async fn claim(&self, call: Call, mark: &Mark, want: &Shape, exclude: &[String]) -> Answer<Doing<Node>> {
        let (mark, want, exclude) = (mark.0.clone(), arguments::shape(want), exclude.to_vec());
        visit!(
            self.0,
            claim.moganite_driver_claim,
            "claim",
            call,
            |guest, store, cx| guest.call_claim(store, cx, &mark, &want, &exclude),
            Reader::node_doing
        )
    }

    pub async fn unclaim(&self, call: Call, what: &Holding) -> Answer<Doing<Map<String, Value>>> {
        let what = self.0.holding(what);
        visit!(
            self.0,
            claim.moganite_driver_claim,
            "unclaim",
            call,
            |guest, store, cx| guest.call_unclaim(store, cx, &what),
            Reader::undoing
        )
    }
}

impl Enroller {
    /// `made` is the node as the composer answered it.
    pub async fn enroll(&self, call: Call, mark: &Mark, made: &Node) -> Answer<Doing<Node>> {
        let (mark, made) = (mark.0.clone(), arguments::node(made));
        visit!(
            self.0,
            enroll.moganite_driver_enroll,
            "enroll",
            call,
            |guest, store, cx| guest.call_enroll(store, cx, &mark, &made),
            Reader::node_doing
        )
    }

    /// The access changed: rewrites what the far side keeps of it.
    pub async fn refresh(&self, call: Call, what: &Holding) -> Answer<Doing<Map<String, Value>>> {
        let what = self.0.holding(what);
        visit!(
            self.0,
            enroll.moganite_driver_enroll,
            "refresh",
            call,
            |guest, store, cx| guest.call_refresh(store, cx, &what),
            Reader::undoing
        )
    }

    pub async fn unenroll(&self, call: Call, what: &Holding) -> Answer<Doing<Map<String, Value>>> {
        let what = self.0.holding(what);
        visit!(
            self.0,
            enroll.moganite_driver_enroll,
            "unenroll",
            call,
            |guest, store, cx| guest.call_unenroll(store, cx, &what),
            Reader::undoing
        )
    }
}

impl Deployer {
    pub async fn deploy(&self, call: Call, mark: &Mark, order: &DeployOrder) -> Answer<Doing<Deployed>> {
        let (mark, order) = (mark.0.clone(), arguments::order(order));
        visit!(
            self.0,
            deploy.moganite_driver_deploy,
            "deploy",
            call,
            |guest, store, cx| guest.call_deploy(store, cx, &mark, &order),
            Reader::deploy_doing
        )
    }

    pub async fn undeploy(&self, call: Call, what: &Holding, level: Erase) -> Answer<Doing<Map<String, Value>>> {
        let (what, level) = (self.0.holding(what), arguments::erase(level));
        visit!(
            self.0,
            deploy.moganite_driver_deploy,
            "undeploy",
            call,
            |guest, store, cx| guest.call_undeploy(store, cx, &what, level),
            Reader::undoing
        )
    }

    pub async fn set_power(&self, call: Call, handle: &str, wish: PowerWish) -> Answer<Doing<Map<String, Value>>> {
        let (handle, wish) = (handle.to_owned(), arguments::wish(wish));
        visit!(
            self.0,
            deploy.moganite_driver_deploy,
            "set-power",
            call,
            |guest, store, cx| guest.call_set_power(store, cx, &handle, wish),
            Reader::undoing
        )
    }

    /// The revision of the backend that it speaks for.
    pub fn revision(&self) -> RevisionId {
        self.0.revision.id
    }

    /// Whether `observe` shows when a wait of this verb ends, in some states at least.
    pub fn is_shown(&self, verb: &str) -> bool {
        self.0.plugin.manifest.shown.contains_key(verb)
    }

    /// Whether a wait of this verb ends with another state of its node than this one, and not before.
    pub fn shows_wait(&self, verb: &str, state: &str) -> bool {
        self.0.plugin.manifest.shows_wait(verb, state)
    }

    /// At most 1,000 handles; what the far side does not know is left out.
    pub async fn observe(&self, call: Call, handles: &[String]) -> Answer<Vec<Observed>> {
        let handles = handles.to_vec();
        visit!(
            self.0,
            deploy.moganite_driver_deploy,
            "observe",
            call,
            |guest, store, cx| guest.call_observe(store, cx, &handles),
            Reader::observed
        )
    }
}

/// What every role has.
macro_rules! looks {
    ($($role:ident $field:ident.$interface:ident;)*) => {$(
        impl $role {
            /// `name@version sha256:abcdef012345`, for people.
            pub fn plugin(&self) -> &str {
                self.0.label()
            }

            /// How long this verb may take on this backend; none where its operator did not say.
            pub fn budget(&self, verb: &str) -> Option<std::time::Duration> {
                self.0.revision.budgets.of(verb)
            }

            /// Whether only one operation at a time may run this verb on this backend.
            pub fn is_exclusive(&self, verb: &str) -> bool {
                self.0.plugin.manifest.is_exclusive(verb)
            }

            /// Looks for what bears the holding's mark.
            pub async fn find(&self, call: Call, what: &Holding) -> Answer<Presence> {
                let what = self.0.holding(what);
                visit!(
                    self.0,
                    $field.$interface,
                    "find",
                    call,
                    |guest, store, cx| guest.call_find(store, cx, &what),
                    Reader::presence
                )
            }

            /// One page of what bears the site's marks; `after` is the earlier page's `next`.
            pub async fn list(&self, call: Call, site: &Site, after: Option<String>) -> Answer<Page> {
                let site = site.as_str().to_owned();
                visit!(
                    self.0,
                    $field.$interface,
                    "list",
                    call,
                    |guest, store, cx| guest.call_list(store, cx, &site, after.as_deref()),
                    Reader::page
                )
            }
        }
    )*};
}

looks! {
    Composer compose.moganite_driver_compose;
    Claimer claim.moganite_driver_claim;
    Enroller enroll.moganite_driver_enroll;
    Deployer deploy.moganite_driver_deploy;
}
