//! What one call may send: the operator's endpoints, the places that were granted, and the secrets as they are now.
//!
//! Secrets are opened here, for one call, and go into the gate and nowhere else. Next: `egress.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use super::bounds::Bounds;
use super::call::{Call, Target};
use super::egress::{Book, Bound, Echoes, Egress, Open, Places, With};
use super::secrets::Secret;
use super::sessions::Sessions;
use crate::model::{Access, Auth, Fault, FaultKind, Name, Value};

impl Target {
    /// What the operator bound, with the secrets as they are now.
    pub(super) async fn egress(&self, call: &Call, bounds: &Bounds, book: Arc<Book>) -> Result<Egress, Fault> {
        let mut echoes = Echoes::default();
        let mut endpoints = BTreeMap::new();
        for (name, endpoint) in &self.revision.endpoints {
            let unbound = |why: String| {
                Fault::new(FaultKind::Broken, format!("endpoint {name} of {}: {why}", self.revision.backend))
            };
            let line = self.shared.lines.line(endpoint, bounds.pace).map_err(unbound)?;
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
        let places = self.places(call, &mut echoes).await?;
        let manifest = &self.plugin.manifest;
        let opened = manifest.places.iter().filter_map(|place| place.header.as_deref());
        let opened = opened.chain(manifest.sessions.iter().filter_map(|session| session.header.as_deref()));
        Ok(Egress {
            endpoints,
            places,
            plugin: self.plugin.clone(),
            revision: self.revision.clone(),
            sessions: Sessions::keeper(&self.shared, &self.revision).await?,
            opened: opened.filter_map(|name| HeaderName::try_from(name).ok()).collect(),
            echoes,
            agent: format!(
                "moganite/{} {} {}",
                env!("CARGO_PKG_VERSION"),
                manifest.title(),
                self.plugin.digest.short()
            ),
            requests: bounds.requests,
            request_body: bounds.request_body,
            response_body: bounds.response_body,
            header_bytes: bounds.header_bytes,
            exchange: bounds.pace.exchange,
            clock: self.shared.clock.clone(),
            book,
            shared: self.shared.clone(),
            #[cfg(feature = "failpoints")]
            may_die: crate::failpoint::is_of_a_flow(&call.operation.0).then(|| manifest.name.clone()),
        })
    }

    /// The places that are open in this call: an access only for the backend that the call is about.
    async fn places(&self, call: &Call, echoes: &mut Echoes) -> Result<Places, Fault> {
        let mut places = Places::default();
        let mut access = None;
        for place in &self.plugin.manifest.places {
            for grant in self.revision.grants.iter().filter(|grant| grant.place == place.name) {
                let with = match (&place.value, &grant.of, &grant.secret) {
                    (Value::Session(name), _, _) => With::Session(name.clone()),
                    (Value::Secret(_), _, Some(secret)) => {
                        let secret = self.secret(secret).await?;
                        echoes.add(secret.clone(), place.value.placeholder());
                        With::Secret(secret)
                    }
                    (Value::AccessAddress | Value::AccessUsername | Value::AccessPassword, Some(of), _)
                        if call.access_of.as_ref() == Some(of) =>
                    {
                        if access.is_none() {
                            access = Some(self.access(of, echoes).await?);
                        }
                        match access.as_ref().and_then(Option::as_ref) {
                            Some((access, password)) => of_access(&place.value, access, password),
                            None => continue,
                        }
                    }
                    _ => continue,
                };
                places.0.push(Open { place: place.clone(), with });
            }
        }
        Ok(places)
    }

    async fn access(&self, of: &Name, echoes: &mut Echoes) -> Result<Option<(Access, Arc<Secret>)>, Fault> {
        let newest = self.shared.store.newest_revision(of).await.map_err(unavailable)?;
        let Some(access) = newest.and_then(|revision| revision.access) else { return Ok(None) };
        let password = self.secret(&access.password_secret).await?;
        echoes.add(password.clone(), Value::AccessPassword.placeholder());
        Ok(Some((access, password)))
    }

    async fn secret(&self, name: &Name) -> Result<Arc<Secret>, Fault> {
        let missing = || {
            Fault::new(
                FaultKind::Broken,
                format!("there is no secret {name}: set it with `moganite secret set {name}`"),
            )
        };
        let sealed = self.shared.store.secret(name).await.map_err(unavailable)?.ok_or_else(missing)?;
        let opened =
            self.shared.vault.open(name, &sealed).map_err(|error| Fault::new(FaultKind::Broken, error.to_string()))?;
        Ok(Arc::new(opened))
    }
}

fn of_access(value: &Value, access: &Access, password: &Arc<Secret>) -> With {
    match value {
        Value::AccessAddress => With::Text(access.address.clone()),
        Value::AccessUsername => With::Text(access.username.clone()),
        _ => With::Secret(password.clone()),
    }
}

fn unavailable(error: crate::store::Error) -> Fault {
    Fault::new(FaultKind::Retry, format!("the store does not answer: {error}"))
}
