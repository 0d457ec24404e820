//! The driver, called natively, and Valence.

pub use moganite_far::Wrong;

use driver_valence_redfish::ValenceRedfish;
use moganite_driver::{Compose, Erase, Fault, Holding, Node, Presence, Shape, testing};
use moganite_far::{Host, Sims, Trail};
use moganite_sim::Options;
use std::time::Duration;

pub const MARK: &str = "mg-s-1";

pub struct Run {
    sim: Sims,
    host: Host,
    /// The last checkpoint of compose.
    trail: Trail,
}

impl Run {
    pub fn start(options: Options) -> Self {
        let sim = Sims::start(options);
        let address = sim.addresses().valence.clone();
        testing::far_side(move |request| moganite_far::send(&address, request));
        let host = Host::with(r#"{"settle_s": 1, "gone_within_s": 2}"#).retrying_after(Duration::from_millis(100));
        Self { sim, host, trail: Trail::default() }
    }

    pub fn with_podm_id(self) -> Self {
        self.trail.replace(None);
        self.host.settings.replace(r#"{"podm_id": "podm-1"}"#.into());
        self
    }

    pub fn set(&self, wrong: Wrong) {
        self.sim.set(&wrong);
    }

    pub fn compose(&self) -> Result<Node, Fault> {
        let want = Shape {
            cores: 8,
            memory_mib: 16_384,
            disks_gib: Vec::new(),
            nics_mbps: Vec::new(),
            devices: Vec::new(),
            class: None,
            traits: Vec::new(),
            properties: "{}".into(),
        };
        self.host.go_on(&self.trail, |cx| ValenceRedfish::compose(cx, MARK.into(), want.clone()))
    }

    pub fn release(&self, node: Option<&Node>) -> Result<String, Fault> {
        let what = self.holding(node);
        self.host.run(|cx| ValenceRedfish::release(cx, what.clone(), Erase::None)).answer
    }

    pub fn find(&self, node: Option<&Node>) -> Presence {
        ValenceRedfish::find(self.host.context(), self.holding(node)).unwrap()
    }

    pub fn listed(&self) -> Vec<String> {
        let page = ValenceRedfish::list(self.host.context(), "s".into(), None).unwrap();
        page.items.into_iter().map(|item| item.mark).collect()
    }

    pub fn assert_nothing_is_held(&self, when: &str) {
        // A switch may have begun something that is still on its way.
        self.host.pass(Duration::from_millis(400));
        let held = self.sim.ledger().pod.held;
        assert!(held.is_empty(), "{when}: {held:?}");
    }

    pub fn assert_at_most_one_is_held(&self, when: &str) {
        let held = self.sim.ledger().pod.held;
        assert!(held.len() <= 1, "{when}: {held:?}");
    }

    fn holding(&self, node: Option<&Node>) -> Holding {
        Holding {
            mark: MARK.into(),
            handle: node.map(|node| node.handle.clone()),
            facts: node.map_or_else(|| "{}".into(), |node| node.facts.clone()),
            trail: self.trail.borrow().clone(),
        }
    }
}
