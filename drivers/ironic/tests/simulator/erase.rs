//! Erasing by clean steps: the simulator's disks remember whose data they hold; the level that is asked for is
//! reached before the node is lent again, or the node is kept from everybody and the fault says so.

use crate::far::{Did, Run, WRONG, Wrong, image};
use moganite_driver::{Deployed, Erase, Fault, Node};
use moganite_sim::Kind;
use serde_json::{Value, json};

const CLAIM: &str = "mg-site-1";
const DEPLOY: &str = "mg-site-2";

/// A server that was claimed and deployed.
struct Used {
    run: Run,
    node: String,
    claimed: Did<Node>,
    deployed: Did<Deployed>,
}

impl Used {
    fn with(automated_clean: Option<bool>, settings: Value) -> Self {
        let run = Run::with_servers(1).set_up(settings);
        run.patch(&Run::node_of(1), "automated_clean", json!(automated_clean));
        let claimed = run.claim(CLAIM, &[]);
        let node = claimed.answer.as_ref().unwrap().handle.clone();
        let deployed = run.deploy(DEPLOY, &node, &image());
        assert!(deployed.answer.is_ok(), "{:?}", deployed.answer);
        assert_eq!(run.data(), ["1"]);
        Self { run, node, claimed, deployed }
    }

    fn undeploy(&self, level: Erase) -> Result<Value, Fault> {
        let receipt = self.run.undeploy(DEPLOY, &self.deployed, level)?;
        Ok(serde_json::from_str(&receipt).unwrap())
    }

    fn is_lent_again(&self) -> bool {
        let did = self.run.claim("mg-site-9", &[]);
        did.answer.is_ok()
    }
}

fn steps() -> Value {
    let step = |name: &str| json!([{ "interface": "deploy", "step": name }]);
    json!({ "clean_steps": { "quick": step("erase_devices_metadata"), "full": step("erase_devices") } })
}

#[test]
fn clean_steps_reach_what_no_automated_cleaning_does_and_the_receipt_names_them_and_the_disks() {
    for automated_clean in [Some(false), Some(true), None] {
        let used = Used::with(automated_clean, steps());
        let receipt = used.undeploy(Erase::Full).unwrap();
        assert_eq!(receipt["erased"], "full");
        assert_eq!(receipt["method"], "ironic's manual cleaning: deploy.erase_devices");
        let disk = receipt["disks"][0].as_str().unwrap();
        assert!(disk.starts_with("DSK-"), "{receipt}");
        assert_eq!(used.run.data(), Vec::<String>::new());
        let node = used.run.node(&used.node);
        assert_eq!((&node["maintenance"], &node["retired"]), (&json!(false), &json!(false)), "{automated_clean:?}");
        assert_eq!(node["extra"]["moganite_erased"], json!({ "mark": DEPLOY, "level": "full" }));
        // Again: nothing is cleaned twice.
        assert_eq!(used.undeploy(Erase::Full).unwrap()["erased"], "full");
        used.run.unclaim(CLAIM, &used.claimed).unwrap();
        used.run.assert_all_free("an erased server");
        // Another deployment voids the note.
        let again = used.run.deploy("mg-site-4", &used.node, &image());
        assert!(again.answer.is_ok() && used.run.node(&used.node)["extra"]["moganite_erased"].is_null());
        used.run.undeploy("mg-site-4", &again, Erase::None).unwrap();
        assert!(used.is_lent_again());
    }
}

#[test]
fn nobody_gets_the_node_between_its_undeploy_and_the_end_of_its_erasure() {
    for automated_clean in [Some(false), Some(true)] {
        let used = Used::with(automated_clean, steps());
        // Every clean step fails: what is seen then is what stands while it is still to be erased.
        used.run.set(Wrong { method: "", path: "", kind: Kind::CleanFails, ms: None, times: 0, ..WRONG });
        let refused = used.undeploy(Erase::Quick);
        assert!(matches!(&refused, Err(Fault::Broken(_))), "{refused:?}");
        assert_eq!(used.run.data(), ["1"], "{automated_clean:?}");
        assert_eq!(used.run.node(&used.node)["power_state"], "power off");
        assert!(!used.is_lent_again());
    }
}

#[test]
fn a_level_that_nothing_reaches_keeps_the_node_out_of_the_pool() {
    for automated_clean in [Some(false), Some(true)] {
        let used = Used::with(automated_clean, json!({ "erases": "quick" }));
        let refused = used.undeploy(Erase::Full);
        assert!(matches!(&refused, Err(Fault::Broken(why)) if why.contains("level full")), "{refused:?}");
        assert_eq!(used.run.node(&used.node)["power_state"], "power off");
        assert!(!used.is_lent_again(), "{automated_clean:?}");
    }
}

#[test]
fn an_erasure_ends_whichever_request_is_lost() {
    for (method, path) in [
        ("PATCH", "/v1/nodes/*"),
        ("PUT", "/v1/nodes/*/states/provision"),
        ("PUT", "/v1/nodes/*/maintenance"),
        ("DELETE", "/v1/nodes/*/maintenance"),
        ("GET", "/v1/nodes/*"),
    ] {
        for kind in [Kind::LostAnswer, Kind::Drop, Kind::Refuse] {
            for automated_clean in [Some(false), Some(true)] {
                let used = Used::with(automated_clean, steps());
                used.run.set(Wrong { method, path, kind, ms: None, times: 2, ..WRONG });
                let receipt = used.undeploy(Erase::Quick);
                let what = format!("{kind:?} of {method} {path}, automated_clean {automated_clean:?}");
                assert!(receipt.is_ok_and(|receipt| receipt["erased"] == "quick"), "{what}");
                assert_eq!(used.run.data(), Vec::<String>::new(), "{what}");
                used.run.unclaim(CLAIM, &used.claimed).unwrap();
                assert!(used.is_lent_again(), "{what}");
            }
        }
    }
}
