//! What may be ordered and bound: refused before anything is touched, with what to do.

use super::Error;
use crate::driver::{Drivers, Plugin};
use crate::model::{Flavor, Image, Name, Role};
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
    for (role, names) in [(Role::Compose, &route.compose), (Role::Enroll, &route.enroll), (Role::Deploy, &route.deploy)]
    {
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

/// The image is known to a backend that may deploy it.
pub(super) fn image_serves(image: &Image, flavor: &Flavor) -> Result<(), Error> {
    if flavor.route.deploy.iter().any(|backend| image.backends.contains_key(backend)) {
        return Ok(());
    }
    let backends: Vec<_> = flavor.route.deploy.iter().map(Name::as_str).collect();
    Err(Error::Refused {
        code: "image-not-for-backend",
        message: format!(
            "image {} says for none of the backends that deploy flavor {} ({}) what they call it: add it to the image",
            image.name,
            flavor.name,
            backends.join(", ")
        ),
    })
}

fn wrong_role(backend: &Name, role: Role) -> Error {
    Error::Refused {
        code: "backend-without-role",
        message: format!(
            "the plugin of backend {backend} has no role {}: take it out of the flavor's route",
            role.as_str()
        ),
    }
}
