//! What operators bind and register: backends with their revisions, flavors, images, networks.

use serde_json::{Map, Value};

use super::granting::{self, Granting, Requests};
use super::{Error, Lifecycle, rules};
use crate::driver::Call;
use crate::model::{
    Asks, By, Canary, Digest, Fault, Flavor, FlowId, Image, More, Name, Network, OperationId, Revision, RevisionId,
    Role,
};
use crate::store::{self, Activate, Bind, Catalog, Lane, Promote, RollBack, WriteRevision};

impl Lifecycle {
    /// Writes a backend's next revision. `after`: the newest that the caller saw. What is granted is written into it here.
    pub async fn bind(
        &self,
        draft: Revision,
        after: Option<RevisionId>,
        said: Granting,
        by: By,
    ) -> Result<RevisionId, Error> {
        let (write, granted) = self.fitting(draft, after, said).await?;
        self.store.write(Lane::Interactive, Bind { write, granted, by }).await.map_err(canary_runs)
    }

    /// The next operations use this plugin, all of them or a canary's; those that run end on theirs. `more`: what it asks for beyond what is
    /// granted, each line of [`Lifecycle::asks_more`]. `breaks`: broken calls after which the plugin of now takes over again. A repeat changes
    /// nothing.
    pub async fn swap(
        &self,
        backend: &Name,
        digest: Digest,
        more: Vec<String>,
        canary: Option<Canary>,
        breaks: u32,
        by: By,
    ) -> Result<RevisionId, Error> {
        let newest = self.newest(backend).await?;
        if canary.is_some() && newest.digest == digest {
            let message = format!("backend {backend} has this plugin already: name another one for the canary");
            return Err(Error::Refused { code: "plugin-already-bound", message });
        }
        let trial = self.store.trial(backend).await?;
        let is_as_wished = trial.is_none_or(|trial| trial.canary.is_none() && trial.most == breaks);
        if newest.digest == digest && more.is_empty() && is_as_wished {
            return Ok(newest.id);
        }
        let after = newest.id;
        let said = Granting { requests: Requests::AsBefore, more };
        let (write, granted) = self.fitting(Revision { digest, ..newest }, Some(after), said).await?;
        self.store.write(Lane::Interactive, Activate { write, granted, canary, breaks, by }).await.map_err(canary_runs)
    }

    /// A canary's plugin gets all operations.
    pub async fn promote(&self, backend: &Name, by: By) -> Result<(), Error> {
        self.newest(backend).await?;
        let (backend, at) = (backend.clone(), self.clock.now());
        self.decide("no-canary", Promote { backend, by, at }).await
    }

    /// A canary ends; or the plugin that ran before runs again, with the settings that it had. Its version may be below the floor.
    pub async fn roll_back(&self, backend: &Name, by: By) -> Result<(), Error> {
        self.newest(backend).await?;
        let at = self.clock.now();
        let roll_back = |to| RollBack { backend: backend.clone(), to, by, at };
        if self.store.trial(backend).await?.is_some_and(|trial| trial.canary.is_some()) {
            return self.decide("nothing-before", roll_back(None)).await;
        }
        let before = self.store.ran_before(backend).await?.ok_or_else(|| Error::Refused {
            code: "nothing-before",
            message: format!(
                "no other plugin ran at backend {backend} that was not taken back or stopped: swap it to one by its digest"
            ),
        })?;
        self.drivers.check_binding(&before.digest, &before)?;
        let plugin = self.drivers.plugin(&before.digest).ok_or_else(|| no_plugin(&before.digest))?;
        rules::can_undo(&plugin, &self.store.roles_held(backend).await?)?;
        self.decide("nothing-before", roll_back(Some(before.id))).await
    }

    /// The draft, when its plugin may run there, asks for no more than is granted, and can undo what lives there; and what is granted with
    /// it beyond the revision before: all of it, where nothing was granted until now.
    async fn fitting(
        &self,
        draft: Revision,
        after: Option<RevisionId>,
        said: Granting,
    ) -> Result<(WriteRevision, Vec<String>), Error> {
        draft.budgets.check()?;
        draft.limits.check()?;
        draft.projects.check()?;
        self.drivers.check_binding(&draft.digest, &draft)?;
        let plugin = self.drivers.plugin(&draft.digest).ok_or_else(|| no_plugin(&draft.digest))?;
        rules::can_undo(&plugin, &self.store.roles_held(&draft.backend).await?)?;
        // New settings for a plugin that is bound already are no activation.
        let newest = self.store.newest_revision(&draft.backend).await?;
        if newest.as_ref().is_none_or(|newest| newest.digest != draft.digest) {
            self.may_be_bound(&plugin).await?;
        }
        let more = granting::beyond(&Asks::of(&plugin.manifest), newest.as_ref());
        let granted = granting::granted(&plugin.manifest, newest.as_ref(), said)?;
        let anew = match newest.is_some_and(|newest| newest.granted.is_some()) {
            true => more,
            false => granting::taken_over(&granted),
        };
        let revision = Revision { granted: Some(granted), ..draft };
        let exclusive = plugin.manifest.exclusive.clone();
        let write = WriteRevision { revision, exclusive, after, at: self.clock.now() };
        Ok((write, anew.iter().map(ToString::to_string).collect()))
    }

    /// What a plugin asks for beyond what is granted at this backend. Changes nothing.
    pub async fn asks_more(&self, backend: &Name, digest: &Digest) -> Result<Vec<More>, Error> {
        let newest = self.newest(backend).await?;
        let plugin = self.drivers.plugin(digest).ok_or_else(|| no_plugin(digest))?;
        Ok(granting::beyond(&Asks::of(&plugin.manifest), Some(&newest)))
    }

    /// What the far side says of itself, asked through the driver.
    pub async fn probe(&self, backend: &Name) -> Result<Map<String, Value>, Error> {
        let newest = self.newest(backend).await?;
        let refused = |fault: Fault| Error::Refused { code: "backend-probe-failed", message: fault.message };
        let prober = self.drivers.prober(newest.id).await.map_err(refused)?;
        let operation = OperationId(format!("probe-{}", FlowId::fresh().0.simple()));
        let call = Call { operation, attempt: 1, checkpoint: None, access_of: None };
        prober.probe(call).await.result.map_err(refused)
    }

    pub async fn put_flavor(&self, flavor: Flavor) -> Result<(), Error> {
        flavor.check()?;
        rules::serves(&self.drivers, &self.store, &flavor).await?;
        let composers = self.abilities_of(&flavor.route.compose).await;
        for (composer, abilities) in flavor.route.compose.iter().zip(&composers) {
            if let Err(refused) = rules::expressible(&flavor, composer, abilities) {
                return Err(rules::with_who_can(refused, &self.who_can(&flavor).await?));
            }
        }
        let deployers = self.abilities_of(&flavor.route.deploy).await;
        let eraser = rules::eraser(&flavor, &deployers, &composers)?;
        let flavor = Flavor { eraser, ..flavor };
        Ok(self.store.write(Lane::Interactive, Catalog::Flavor(flavor, self.clock.now())).await?)
    }

    pub async fn put_network(&self, network: Network) -> Result<(), Error> {
        Ok(self.store.write(Lane::Interactive, Catalog::Network(network, self.clock.now())).await?)
    }

    pub async fn put_image(&self, image: Image) -> Result<(), Error> {
        Ok(self.store.write(Lane::Interactive, Catalog::Image(image, self.clock.now())).await?)
    }

    /// Composers that say that they can express this flavor.
    async fn who_can(&self, flavor: &Flavor) -> Result<Vec<Name>, Error> {
        let composes =
            |digest: &Digest| self.drivers.plugin(digest).is_some_and(|it| it.roles.contains(&Role::Compose));
        let backends = self.store.backends().await?.into_iter();
        let names: Vec<_> = backends.filter(|it| composes(&it.revision.digest)).map(|backend| backend.name).collect();
        let abilities = self.abilities_of(&names).await;
        let can = |abilities: &Map<String, Value>, name: &Name| {
            abilities.contains_key("shape") && rules::expressible(flavor, name, abilities).is_ok()
        };
        Ok(names
            .into_iter()
            .zip(&abilities)
            .filter(|(name, abilities)| can(abilities, name))
            .map(|(name, _)| name)
            .collect())
    }

    /// Empty for a far side that does not answer: then the flow will say what it cannot do.
    async fn abilities_of(&self, backends: &[Name]) -> Vec<Map<String, Value>> {
        let mut all = Vec::new();
        for backend in backends {
            let answer = self.probe(backend).await.unwrap_or_default();
            all.push(answer.get("abilities").and_then(Value::as_object).cloned().unwrap_or_default());
        }
        all
    }

    pub(super) async fn newest(&self, backend: &Name) -> Result<Revision, Error> {
        let newest = self.store.newest_revision(backend).await?;
        newest.ok_or_else(|| Error::NotFound { what: "backend", name: backend.to_string() })
    }
}

fn no_plugin(digest: &Digest) -> Error {
    Error::NotFound { what: "plugin", name: digest.to_string() }
}

fn canary_runs(error: store::Error) -> Error {
    match error {
        store::Error::Refused(message) => Error::Refused { code: "canary-running", message },
        other => other.into(),
    }
}
