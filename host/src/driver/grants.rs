//! What one call may send: the operator's endpoints, the places that were granted, and the secrets as they are now.
//!
//! Secrets are opened here, for one call, and go into the gate and nowhere else. Next: `egress.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::{Call, Target};
use super::egress::{Access, Book, Bound, Echoes, Egress, Places};
use super::secrets::Secret;
use crate::model::{Auth, Fault, FaultKind, Name, Value};

impl Target {
    /// What the operator bound, with the secrets as they are now.
    pub(super) async fn egress(&self, call: &Call, book: Arc<Book>) -> Result<Egress, Fault> {
        let sandbox = &self.library.sandbox;
        let mut echoes = Echoes::default();
        let mut endpoints = BTreeMap::new();
        for (name, endpoint) in &self.revision.endpoints {
            let unbound = |why: String| {
                Fault::new(FaultKind::Broken, format!("endpoint {name} of {}: {why}", self.revision.backend))
            };
            let line = self.library.lines.line(endpoint).map_err(unbound)?;
            let basic = match &endpoint.auth {
                Auth::None => None,
                Auth::Basic { username, password_secret } => {
                    let password = self.secret(password_secret).await?;
                    echoes.add(password.clone(), format!("{{{{secret.{name}}}}}"));
                    Some((username.clone(), password))
                }
            };
            endpoints.insert(name.clone(), Bound { line, basic });
        }
        let places = self.places(call).await?;
        if let Some(access) = &places.access {
            echoes.add(access.password.clone(), Value::AccessPassword.placeholder().to_owned());
        }
        Ok(Egress {
            endpoints,
            places,
            echoes,
            agent: format!(
                "moganite/{} {} {}",
                env!("CARGO_PKG_VERSION"),
                self.plugin.manifest.title(),
                self.plugin.digest.short()
            ),
            requests: sandbox.requests,
            request_body: sandbox.request_body,
            response_body: sandbox.response_body,
            clock: self.library.clock.clone(),
            book,
        })
    }

    async fn places(&self, call: &Call) -> Result<Places, Fault> {
        let Some(of) = &call.access_of else { return Ok(Places::default()) };
        let is_granted = |place: &str| self.revision.grants.iter().any(|grant| grant.place == place && grant.of == *of);
        let granted: Vec<_> =
            self.plugin.manifest.places.iter().filter(|place| is_granted(&place.name)).cloned().collect();
        if granted.is_empty() {
            return Ok(Places::default());
        }
        let newest = self.library.store.newest_revision(of).await.map_err(unavailable)?;
        let access = match newest.and_then(|revision| revision.access) {
            None => None,
            Some(access) => {
                let password = self.secret(&access.password_secret).await?;
                Some(Access { address: access.address, username: access.username, password })
            }
        };
        Ok(Places { granted, access })
    }

    async fn secret(&self, name: &Name) -> Result<Arc<Secret>, Fault> {
        let missing = || {
            Fault::new(
                FaultKind::Broken,
                format!("there is no secret {name}: set it with `moganite secret set {name}`"),
            )
        };
        let sealed = self.library.store.secret(name).await.map_err(unavailable)?.ok_or_else(missing)?;
        let opened =
            self.library.vault.open(name, &sealed).map_err(|error| Fault::new(FaultKind::Broken, error.to_string()))?;
        Ok(Arc::new(opened))
    }
}

fn unavailable(error: crate::store::Error) -> Fault {
    Fault::new(FaultKind::Retry, format!("the store does not answer: {error}"))
}
