//! What Valence keeps in etcd: nodes, flavors and pod managers, without any uniqueness. Flavors and pod managers are served here; a pod
//! manager's password comes back in clear, and the tree of 2017 uses none of these records to compose.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answered, body, errors, ok};
use crate::call::Call;
use crate::options::Dialect;
use crate::world::World;

#[derive(Default)]
pub(crate) struct Records {
    /// By Valence's uuid.
    pub(crate) nodes: BTreeMap<String, Record>,
    flavors: BTreeMap<String, Value>,
    pod_managers: BTreeMap<String, Value>,
}

/// What Valence remembers of a composed node.
#[derive(Clone)]
pub(crate) struct Record {
    /// Valence's own.
    pub(crate) uuid: String,
    pub(crate) name: String,
    /// The last segment of the pod manager's node path.
    pub(crate) index: String,
    /// The pod manager's uuid of the node, as it was then.
    pub(crate) pod_uuid: String,
    pub(crate) podm_id: Option<String>,
    pub(crate) created_at: String,
}

impl Records {
    pub(super) fn flavor(&self, uuid: &str) -> Option<&Value> {
        self.flavors.get(uuid)
    }

    pub(super) fn has_pod_manager(&self, uuid: &str) -> bool {
        self.pod_managers.contains_key(uuid)
    }
}

pub(super) fn flavors(world: &World, call: &Call, rest: &[&str]) -> Answered {
    let mut state = world.state();
    match (&call.method, rest) {
        (&Method::GET, []) => Ok(ok(&state.valence.flavors.values().cloned().collect())),
        (&Method::POST, []) => {
            let wanted = body(call)?;
            let (Some(name), Some(properties)) = (wanted["name"].as_str(), wanted["properties"].as_object()) else {
                return Err(errors::invalid(&wanted));
            };
            let (uuid, now) = (state.fresh_uuid(), world.clock.spaced());
            let flavor =
                json!({"uuid": uuid, "name": name, "properties": properties, "created_at": now, "updated_at": now});
            state.valence.flavors.insert(uuid, flavor.clone());
            Ok(ok(&flavor))
        }
        (method, [uuid]) => of_one(&mut state.valence.flavors, method, uuid, "Flavor", call),
        _ => Err(errors::no_such_url()),
    }
}

pub(super) fn pod_managers(world: &World, dialect: Dialect, call: &Call, rest: &[&str]) -> Answered {
    let mut state = world.state();
    match (&call.method, rest) {
        // On Python 3, whatever is stored.
        (&Method::GET, []) => Err(errors::python("TypeError", "<map object> is not JSON serializable")),
        (&Method::POST, []) => {
            let wanted = body(call)?;
            let (Some(name), Some(url), Some(authentication)) =
                (wanted["name"].as_str(), wanted["url"].as_str(), wanted["authentication"].as_array())
            else {
                return Err(errors::invalid(&wanted));
            };
            let driver = wanted["driver"].as_str().unwrap_or("redfishv1");
            if !["redfishv1", "expether"].contains(&driver) {
                return Err(errors::own(StatusCode::NOT_FOUND, &format!("driver {driver} is not found")));
            }
            if state.valence.pod_managers.values().any(|other| other["name"] == name) {
                return Err(errors::own(StatusCode::BAD_REQUEST, &format!("name {name} already exists")));
            }
            let (uuid, now) = (state.fresh_uuid(), world.clock.spaced());
            let status = if dialect == Dialect::Tree2017 { json!("Online") } else { Value::Null };
            let record = json!({
                "uuid": uuid, "name": name, "url": url, "driver": driver, "authentication": authentication,
                "status": status, "created_at": now, "updated_at": now,
            });
            state.valence.pod_managers.insert(uuid, record.clone());
            Ok(ok(&record))
        }
        (method, [uuid]) => of_one(&mut state.valence.pod_managers, method, uuid, "Pod manager", call),
        _ => Err(errors::no_such_url()),
    }
}

fn of_one(records: &mut BTreeMap<String, Value>, method: &Method, uuid: &str, noun: &str, call: &Call) -> Answered {
    let Some(record) = records.get_mut(uuid) else {
        return Err(errors::own(StatusCode::NOT_FOUND, &format!("{noun} {uuid} not found")));
    };
    match *method {
        Method::GET => Ok(ok(record)),
        Method::PATCH => {
            let wanted = body(call)?;
            let changes = wanted.as_object().ok_or_else(|| errors::invalid(&wanted))?;
            for (key, value) in changes.iter().filter(|(key, _)| !["uuid", "url"].contains(&key.as_str())) {
                record[key] = value.clone();
            }
            Ok(ok(record))
        }
        Method::DELETE => {
            records.remove(uuid);
            Ok(ok(&errors::deleted(&format!("This {noun} has been deleted successfully"))))
        }
        _ => Err(errors::no_such_url()),
    }
}
