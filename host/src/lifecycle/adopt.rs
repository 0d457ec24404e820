//! Adopt a machine that runs already: it is taken as it runs, and ours from the commit that ends the flow.
//!
//! Until then nothing may change it: whatever is undone is *let go* (`Order::adopting`), which takes our marks away and leaves the machine
//! as it is. That also holds for a delete that was asked for while the adoption ran.

use super::create::Create;
use super::task::{Claim, Deploy, Verify};
use super::{Error, Lifecycle, rules};
use crate::driver::Drivers;
use crate::flow::List;
use crate::model::{Ending, Eraser, Fault, InstanceId, InstanceState, Invalid, Name, Order, Project, Role, Route};
use crate::store::{Effect, InstanceChange, Store};

pub(super) const KIND: &str = "instance.adopt";
pub(super) const VERSION: u32 = 1;

/// 1. `Claim`    takes the machine as it runs       | gives it back as it runs
/// 2. `Verify`   compares it with the flavor        | nothing to undo
/// 3. `Deploy`   takes over what runs on it         | takes our marks away, and it runs on
pub(super) fn instance(store: &Store, drivers: &Drivers) -> List<Create> {
    List::new(KIND, VERSION)
        .then(Claim::with(store, drivers))
        .then(Verify)
        .then(Deploy::with(store, drivers))
        .ends(ends)
}

/// What an operator says of a machine that runs.
#[derive(Debug, Clone)]
pub struct Adoption {
    pub name: Name,
    /// What the machine must have, and how it is erased when it is deleted.
    pub flavor: Name,
    /// What runs on it: a rebuild puts this image on.
    pub image: Name,
    /// Where it is managed.
    pub backend: Name,
    /// By that backend's name or uuid.
    pub node: String,
    /// The instance's name, when it is none.
    pub hostname: Option<String>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl Lifecycle {
    /// Writes the intent to adopt. A repeat with the same key and request answers the first one's id.
    pub async fn adopt(
        &self,
        project: Project,
        adoption: Adoption,
        idempotency: Option<(String, Vec<u8>)>,
    ) -> Result<InstanceId, Error> {
        let order = match self.order_of(&project, &adoption).await {
            Ok(order) => order,
            Err(refused) => return self.made_before(&project, idempotency).await?.ok_or(refused),
        };
        self.make(project, adoption.name, Create::of(order), (KIND, VERSION), idempotency).await
    }

    /// The flavor's order, at this one backend.
    async fn order_of(&self, project: &Project, adoption: &Adoption) -> Result<Order, Error> {
        let Adoption { backend, node, .. } = adoption;
        let not_found = |what, name: &Name| Error::NotFound { what, name: name.to_string() };
        let flavor = self.flavor_for(project, &adoption.flavor).await?;
        let image = self.store.image(&adoption.image).await?.ok_or_else(|| not_found("image", &adoption.image))?;
        let newest = self.newest(backend).await?;
        if !newest.projects.has(project) {
            return Err(Error::Refused {
                code: "flavor-not-for-project",
                message: format!("backend {backend} is not open to project {project}: adopt it for another project"),
            });
        }
        let plugin = self.drivers.plugin(&newest.digest);
        for role in [Role::Claim, Role::Deploy] {
            if plugin.as_ref().is_some_and(|plugin| !plugin.roles.contains(&role)) {
                return Err(rules::wrong_role(backend, role));
            }
        }
        rules::may_adopt(&flavor, backend)?;
        let only = vec![backend.clone()];
        rules::image_reaches(&image, &only, &flavor.name)?;
        if node.is_empty() || node.len() > 200 || !node.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::new("node", "1 to 200 printable ASCII characters").into());
        }
        let mut shape = flavor.shape;
        shape.properties.insert("node".into(), node.clone().into());
        let order = Order {
            flavor: flavor.name,
            shape,
            route: Route { claim: only.clone(), deploy: only, ..Route::default() },
            erase: flavor.erase,
            eraser: Eraser::Deploy,
            budgets: flavor.budgets,
            image,
            hostname: adoption.hostname.clone().unwrap_or_else(|| adoption.name.to_string()),
            ssh_keys: Vec::new(),
            user_data: None,
            ordered_networks: Vec::new(),
            networks: std::collections::BTreeMap::new(),
            adopting: true,
            metadata: adoption.metadata.clone(),
        };
        order.check()?;
        Ok(order)
    }
}

/// From here on it is ours.
fn ends(id: InstanceId, create: &Create, ending: Ending, fault: Option<&Fault>) -> Vec<Effect> {
    let change = match ending {
        Ending::Done => InstanceChange {
            state: Some(InstanceState::Active),
            order: Some(Order { adopting: false, ..create.order.clone() }),
            ..InstanceChange::of(id)
        },
        Ending::Reverted | Ending::NeedsOperator => InstanceChange {
            state: Some(InstanceState::Failed),
            reason: fault.map(|fault| fault.message.clone()),
            ..InstanceChange::of(id)
        },
    };
    vec![Effect::Instance(change)]
}
