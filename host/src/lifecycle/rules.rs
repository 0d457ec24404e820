//! What may be ordered and bound: refused before anything is touched, with what to do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Error;
use crate::driver::{Drivers, Plugin};
use crate::model::{Eraser, Flavor, Image, Instance, Invalid, Name, Network, PartKind, Role, Route};
use crate::store::Store;

/// A plugin that takes over a backend must be able to undo what lives there.
pub(super) fn can_undo(plugin: &Plugin, held: &[(Role, u64)]) -> Result<(), Error> {
    let lost: Vec<_> = held
        .iter()
        .filter(|(role, _)| !plugin.roles.contains(role))
        .map(|(role, n)| format!("{n} of role {}", role.as_str()))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        code: "swap-cannot-undo",
        message: format!(
            "{} does not have every role that is held at this backend ({}): delete those instances first, or choose a plugin that has it",
            plugin.manifest.title(),
            lost.join(", ")
        ),
    })
}

/// Every backend of the route exists and its plugin has the role.
pub(super) async fn serves(drivers: &Drivers, store: &Store, flavor: &Flavor) -> Result<(), Error> {
    let route = &flavor.route;
    let roles = [
        (Role::Claim, &route.claim),
        (Role::Compose, &route.compose),
        (Role::Enroll, &route.enroll),
        (Role::Deploy, &route.deploy),
    ];
    for (role, names) in roles {
        for name in names {
            let revision = store.newest_revision(name).await?;
            let revision = revision.ok_or_else(|| Error::NotFound { what: "backend", name: name.to_string() })?;
            let plugin = drivers.plugin(&revision.digest);
            if plugin.is_some_and(|plugin| !plugin.roles.contains(&role)) {
                return Err(wrong_role(name, role));
            }
        }
    }
    Ok(())
}

/// A composer can express what the shape asks for, as far as it says what it can.
pub(super) fn expressible(flavor: &Flavor, composer: &Name, abilities: &Map<String, Value>) -> Result<(), Error> {
    let Some(kinds) = abilities.get("shape").and_then(Value::as_array) else { return Ok(()) };
    let beyond: Vec<_> = asked(flavor).into_iter().filter(|kind| !kinds.contains(kind)).collect();
    let beyond: Vec<_> = beyond.iter().filter_map(Value::as_str).collect();
    if beyond.is_empty() { Ok(()) } else { Err(not_expressible(flavor, composer, &beyond.join(", "))) }
}

/// The same refusal, with the backends that can.
pub(super) fn with_who_can(refused: Error, backends: &[Name]) -> Error {
    match refused {
        Error::Refused { code, message } if !backends.is_empty() => {
            let names: Vec<_> = backends.iter().map(Name::as_str).collect();
            Error::Refused { code, message: format!("{message}; {} can", names.join(", ")) }
        }
        other => other,
    }
}

/// Whose undo erases to the flavor's level: the deployers', or else the composers'. Each is the abilities of one backend.
pub(super) fn eraser(
    flavor: &Flavor,
    deployers: &[Map<String, Value>],
    composers: &[Map<String, Value>],
) -> Result<Eraser, Error> {
    let reaches = |abilities: &Map<String, Value>| {
        let levels = abilities.get("erase").and_then(Value::as_array);
        levels.is_none_or(|levels| levels.contains(&json!(flavor.erase)))
    };
    if deployers.iter().all(reaches) {
        return Ok(Eraser::Deploy);
    }
    // A pre-set node is never released: nobody would erase it.
    if flavor.route.claim.is_empty()
        && composers.iter().all(|composer| composer.contains_key("erase") && reaches(composer))
    {
        return Ok(Eraser::Compose);
    }
    let level = json!(flavor.erase);
    let what = format!("erase: {}", level.as_str().unwrap_or_default());
    Err(match flavor.route.deploy.first() {
        Some(deployer) => not_expressible(flavor, deployer, &what),
        None => Error::Invalid(Invalid::new("route.deploy", "name a backend")),
    })
}

fn not_expressible(flavor: &Flavor, backend: &Name, what: &str) -> Error {
    Error::Refused {
        code: "flavor-not-expressible",
        message: format!(
            "backend {backend} cannot express {what} of flavor {}: take it out of the flavor, or name a backend that can",
            flavor.name
        ),
    }
}

/// What each backend of the route calls the networks, one object laid over the other.
pub(super) fn laid_over(networks: &[Network], flavor: &Flavor) -> Result<BTreeMap<Name, Map<String, Value>>, Error> {
    let mut called: BTreeMap<Name, Map<String, Value>> = BTreeMap::new();
    for network in networks {
        if !flavor.route.deploy.iter().any(|backend| network.backends.contains_key(backend)) {
            return Err(Error::Refused {
                code: "network-not-for-backend",
                message: format!(
                    "network {} says for none of the backends that deploy flavor {} what they call it: add it to the network",
                    network.name, flavor.name
                ),
            });
        }
        for (backend, object) in &network.backends {
            let all = called.entry(backend.clone()).or_default();
            if let Some(twice) = object.keys().find(|key| all.contains_key(*key)) {
                return Err(Error::Refused {
                    code: "networks-do-not-fit",
                    message: format!("two of the networks set {twice:?} for backend {backend}: order one of them"),
                });
            }
            all.extend(object.clone());
        }
    }
    Ok(called)
}

/// Only a machine that exists can be chosen.
pub(super) fn may_choose(route: &Route, flavor: &Name) -> Result<(), Error> {
    if route.claim.is_empty() {
        return Err(Error::Refused {
            code: "node-of-composed-flavor",
            message: format!(
                "the node of flavor {flavor} is composed on request: order a flavor that claims to choose a node"
            ),
        });
    }
    Ok(())
}

/// A machine that runs at this backend is deleted there one day, and erased as the flavor says.
pub(super) fn may_adopt(flavor: &Flavor, backend: &Name) -> Result<(), Error> {
    if flavor.route.deploy.contains(backend) && flavor.eraser == Eraser::Deploy {
        return Ok(());
    }
    Err(Error::Refused {
        code: "flavor-not-for-backend",
        message: format!(
            "backend {backend} is not among those that deploy and erase flavor {}: take a flavor whose route has it under deploy",
            flavor.name
        ),
    })
}

/// What was let go is no instance to work on.
pub(super) fn is_ours(instance: &Instance) -> Result<(), Error> {
    if !instance.order.adopting {
        return Ok(());
    }
    Err(Error::Refused {
        code: "instance-not-adopted",
        message: format!(
            "the machine of instance {} was never taken over: delete the instance, and adopt it again",
            instance.id
        ),
    })
}

/// The kinds of parts that a shape asks for, in the contract's words.
fn asked(flavor: &Flavor) -> Vec<Value> {
    let shape = &flavor.shape;
    let wished = [
        (PartKind::Cpu, shape.cores > 0),
        (PartKind::Memory, shape.memory_mib > 0),
        (PartKind::Disk, !shape.disks_gib.is_empty()),
        (PartKind::Nic, !shape.nics_mbps.is_empty()),
    ];
    let wished = wished.into_iter().filter(|(_, wished)| *wished).map(|(kind, _)| kind);
    wished.chain(shape.devices.iter().map(|device| device.kind)).map(|kind| json!(kind)).collect()
}

/// The image is known to a backend that may deploy it.
pub(super) fn image_reaches(image: &Image, deploy: &[Name], flavor: &Name) -> Result<(), Error> {
    if deploy.iter().any(|backend| image.backends.contains_key(backend)) {
        return Ok(());
    }
    let backends: Vec<_> = deploy.iter().map(Name::as_str).collect();
    Err(Error::Refused {
        code: "image-not-for-backend",
        message: format!(
            "image {} says for none of the backends that deploy flavor {flavor} ({}) what they call it: add it to the image",
            image.name,
            backends.join(", ")
        ),
    })
}

pub(super) fn wrong_role(backend: &Name, role: Role) -> Error {
    Error::Refused {
        code: "backend-without-role",
        message: format!(
            "the plugin of backend {backend} has no role {}: name a backend whose plugin has it",
            role.as_str()
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn flavor(shape: Value) -> Flavor {
        let route = json!({"compose": ["pod-a"], "enroll": ["ironic-1"], "deploy": ["ironic-1"]});
        serde_json::from_value(json!({"name": "big", "shape": shape, "route": route, "erase": "full"})).unwrap()
    }

    fn abilities(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_disk_on_a_composer_that_has_none_is_refused_by_name() {
        let composer = Name::parse("name", "pod-a").unwrap();
        let valence = abilities(json!({"shape": ["cpu", "memory"]}));
        assert!(expressible(&flavor(json!({"cores": 2, "memory_mib": 1024})), &composer, &valence).is_ok());
        let refused = expressible(&flavor(json!({"cores": 2, "disks_gib": [100]})), &composer, &valence);
        assert!(refused.is_err_and(|error| error.to_string().contains("pod-a cannot express disk")));
    }

    #[test]
    fn whoever_reaches_the_level_erases_and_nobody_is_refused() {
        let flavor = flavor(json!({}));
        let (all, some) =
            (abilities(json!({"erase": ["none", "full"]})), abilities(json!({"erase": ["none", "quick"]})));
        assert_eq!(eraser(&flavor, std::slice::from_ref(&all), &[]).ok(), Some(Eraser::Deploy));
        assert_eq!(eraser(&flavor, &[Map::new()], &[]).ok(), Some(Eraser::Deploy), "silence refuses nothing");
        assert_eq!(eraser(&flavor, std::slice::from_ref(&some), &[all]).ok(), Some(Eraser::Compose));
        let refused = eraser(&flavor, std::slice::from_ref(&some), std::slice::from_ref(&some));
        assert!(refused.is_err_and(|error| error.to_string().contains("erase: full")));
    }
}
