//! A credential was changed: the copies that managing sides keep of it are found, and written anew.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::task::Rewrite;
use super::{Error, Lifecycle};
use crate::driver::Drivers;
use crate::flow::List;
use crate::model::{Budgets, FlowId, Invalid, Name};
use crate::store::{Copied, Store};

pub(super) const KIND: &str = "instance.refresh";
pub(super) const VERSION: u32 = 1;

/// 1. `Rewrite`  tells the managing side the access anew   | nothing: there is no way back to a credential that was changed
pub(super) fn instance(store: &Store, drivers: &Drivers) -> List<Refresh> {
    List::new(KIND, VERSION).then(Rewrite::with(store, drivers))
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refresh {
    /// Whose access it is.
    pub(super) of: Name,
    #[serde(default)]
    pub(super) budgets: Budgets,
}

/// What came of one copy.
#[derive(Debug)]
pub struct Refreshed {
    pub copy: Copied,
    /// The flow that writes it anew, or why there is none.
    pub flow: Result<FlowId, Error>,
}

impl Lifecycle {
    /// The copies of a secret: at managing sides that were granted the access of a backend which names it.
    pub async fn copies(&self, secret: &Name) -> Result<Vec<Copied>, Error> {
        let backends = self.store.backends().await?;
        let names = |of: &Name| {
            let access = backends.iter().find(|backend| backend.name == *of).and_then(|b| b.revision.access.as_ref());
            access.is_some_and(|access| access.password_secret == *secret)
        };
        let mut granted = BTreeSet::new();
        for backend in &backends {
            let of = backend.revision.grants.iter().filter_map(|grant| grant.of.as_ref()).filter(|of| names(of));
            granted.extend(of.map(|of| (&backend.name, of)));
        }
        let mut copies = self.store.copied().await?;
        copies.retain(|copy| granted.contains(&(&copy.backend, &copy.of)));
        Ok(copies)
    }

    /// Writes the intent to write each copy anew. An instance that another flow works on is left out and says so: ask again.
    pub async fn refresh(&self, secret: &Name) -> Result<Vec<Refreshed>, Error> {
        let mut refreshed = Vec::new();
        for copy in self.copies(secret).await? {
            let flow = self.refresh_one(&copy).await;
            refreshed.push(Refreshed { copy, flow });
        }
        Ok(refreshed)
    }

    async fn refresh_one(&self, copy: &Copied) -> Result<FlowId, Error> {
        let instance = self.here(None, copy.instance).await?;
        let state = Refresh { of: copy.of.clone(), budgets: instance.order.budgets.clone() };
        let bytes = serde_json::to_vec(&state).map_err(|error| Invalid::new("refresh", error.to_string()))?;
        self.start(instance, (FlowId::fresh(), KIND, VERSION), bytes, None).await
    }
}
