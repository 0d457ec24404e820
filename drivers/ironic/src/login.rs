//! Identity by Keystone: a token is asked for at endpoint `keystone`, kept by the gate, and renewed when Ironic no longer takes it. The
//! driver sees neither the secret nor the token; it writes their placeholders where they belong.

use crate::said::sentence;
use crate::settings::{Auth, Keystone, Scope, Settings};
use moganite_driver::{Answer, Endpoint, fault, info};
use serde_json::{Value, json};

/// The header of each request to Ironic, and what stands there.
pub(crate) const TOKEN: (&str, &str) = ("x-auth-token", "{{session.token}}");

/// The password of the user, or the secret of the application credential.
const SECRET: &str = "{{secret.password}}";

pub(crate) struct Login {
    body: Value,
}

impl Login {
    /// None: the gate adds what authentication there is.
    pub(crate) fn of(settings: &Settings) -> Option<Self> {
        (settings.auth == Auth::Keystone).then(|| Self { body: body(&settings.keystone) })
    }

    /// Asks for a token. The gate keeps it from the answer's `X-Subject-Token`, for this and every other call of the backend.
    pub(crate) fn renew(&self) -> Answer<()> {
        info!("keystone: a token is asked for");
        let reply = Endpoint::named("keystone").post("/v3/auth/tokens", &self.body)?;
        match reply.status {
            401 | 403 => Err(fault::broken(format!("keystone refused the credentials: {}", sentence(&reply.text())))),
            _ => reply.success().map(|_| ()),
        }
    }
}

/// Source: Identity API v3, `POST /v3/auth/tokens`; Keystone 30.0.0 took each of these.
fn body(keystone: &Keystone) -> Value {
    let domain = |name: &str| json!({ "name": name });
    if let Some(id) = &keystone.application_credential {
        // It has its own scope.
        let credential = json!({ "id": id, "secret": SECRET });
        return json!({ "auth": { "identity": {
            "methods": ["application_credential"], "application_credential": credential,
        } } });
    }
    let user = json!({ "name": keystone.user, "domain": domain(&keystone.user_domain), "password": SECRET });
    let scope = match keystone.scope {
        Scope::Project => {
            json!({ "project": { "name": keystone.project, "domain": domain(&keystone.project_domain) } })
        }
        Scope::System => json!({ "system": { "all": true } }),
    };
    json!({ "auth": { "identity": { "methods": ["password"], "password": { "user": user } }, "scope": scope } })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::api::{Ironic, Said};
    use moganite_driver::{Fault, Request, testing};
    use std::cell::RefCell;
    use std::rc::Rc;

    fn settings(keystone: Value) -> Settings {
        serde_json::from_value(json!({ "auth": "keystone", "keystone": keystone })).unwrap()
    }

    fn password() -> Settings {
        settings(json!({ "user": "ironic", "project": "service" }))
    }

    /// A far side whose Ironic takes a token from the given login on, and none before.
    fn ask(settings: &Settings, takes_after: usize, keystone: u16) -> (Answer<Said>, Vec<Request>) {
        let log: Rc<RefCell<Vec<Request>>> = Rc::default();
        let (seen, mut logins) = (Rc::clone(&log), 0);
        testing::far_side(move |request| {
            seen.borrow_mut().push(request.clone());
            if request.endpoint == "keystone" {
                logins += 1;
                return testing::reply(
                    keystone,
                    json!({ "error": { "message": "Unauthorized words", "code": keystone } }),
                );
            }
            if logins >= takes_after {
                return testing::reply(200, json!({ "nodes": [] }));
            }
            testing::reply(401, json!({ "gate": "no session token" }))
        });
        let said = Ironic::of(settings).get("/v1/nodes?limit=1");
        (said, log.take())
    }

    #[test]
    fn a_token_that_is_no_longer_taken_is_renewed_once_and_the_request_repeated_once() {
        let (said, log) = ask(&password(), 1, 201);
        assert!(matches!(said, Ok(Said::Done(_))), "{said:?}");
        let asked: Vec<_> = log.iter().map(|request| (request.endpoint.as_str(), request.path.as_str())).collect();
        let (nodes, tokens) = (("ironic", "/v1/nodes?limit=1"), ("keystone", "/v3/auth/tokens"));
        assert_eq!(asked, [nodes, tokens, nodes]);
        assert!(log[0].headers.contains(&("x-auth-token".into(), "{{session.token}}".into())));
        assert!(log[1].headers.iter().all(|(name, _)| name != "x-auth-token"));

        let (said, log) = ask(&password(), 2, 201);
        assert!(matches!(&said, Err(Fault::Retry((why, _))) if why.contains("just given")), "{said:?}");
        assert_eq!(log.len(), 3);
        assert_eq!(ask(&password(), 0, 201).1.len(), 1);
    }

    #[test]
    fn refused_credentials_are_for_a_person_and_a_keystone_that_is_away_is_tried_again() {
        assert!(matches!(ask(&password(), 1, 401).0, Err(Fault::Broken(why)) if why.contains("Unauthorized words")));
        assert!(matches!(ask(&password(), 1, 503).0, Err(Fault::Retry(_))));
    }

    #[test]
    fn without_keystone_nobody_logs_in() {
        let (said, log) = ask(&Settings::default(), 1, 201);
        assert!(matches!(said, Err(Fault::Broken(_))));
        assert_eq!(log.len(), 1);
        assert!(log[0].headers.iter().all(|(name, _)| name != "x-auth-token"));
    }

    #[test]
    fn secret_and_token_stand_where_the_manifest_has_its_places() {
        let manifest = include_str!("../../../plugins/ironic.toml");
        for place in [
            "pointer = \"/auth/identity/password/user/password\"\nvalue = \"secret.password\"",
            "pointer = \"/auth/identity/application_credential/secret\"\nvalue = \"secret.password\"",
            "header = \"X-Auth-Token\"\nvalue = \"session.token\"",
            "path = \"/v3/auth/tokens\"\nstatus = [201]\nheader = \"X-Subject-Token\"",
        ] {
            assert!(manifest.contains(place), "{place}");
        }
    }

    #[test]
    fn the_secret_is_a_placeholder_in_each_form() {
        let sent = body(&password().keystone);
        let user = &sent["auth"]["identity"]["password"]["user"];
        assert_eq!(
            user,
            &json!({ "name": "ironic", "domain": { "name": "Default" }, "password": "{{secret.password}}" })
        );
        let project = json!({ "project": { "name": "service", "domain": { "name": "Default" } } });
        assert_eq!(sent["auth"]["scope"], project);
        let system = body(&settings(json!({ "user": "admin", "scope": "system" })).keystone);
        assert_eq!(system["auth"]["scope"], json!({ "system": { "all": true } }));
        let credential = body(&settings(json!({ "application_credential": "c1" })).keystone);
        let identity = &credential["auth"]["identity"];
        assert_eq!(identity["application_credential"], json!({ "id": "c1", "secret": "{{secret.password}}" }));
        assert!(credential["auth"]["scope"].is_null());
    }
}
