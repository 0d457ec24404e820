//! Whether a backend's revision fits the plugin that it names: settings, endpoints, grants. Asked before the revision
//! is written, so that an operator hears of a mistake and no flow does.

use serde_json::Value as Json;

use super::egress::{Base, certificates, check_pin};
use super::manifest::{DEEPEST, depth};
use super::{Refusal, text};
use crate::model::{Auth, Grant, Manifest, Revision, Value};

/// Bytes of one compiled regular expression in a schema. They run in linear time.
const PATTERN: usize = 64 << 10;

/// `limit`: bytes of the settings.
pub(super) fn check(manifest: &Manifest, revision: &Revision, limit: usize) -> Result<(), Refusal> {
    settings(manifest, revision, limit)?;
    endpoints(manifest, revision)?;
    requests(manifest, revision)?;
    grants(manifest, revision)
}

/// Draft 2020-12 unless the schema says otherwise; nothing is fetched, patterns run in linear time.
pub(super) fn validator(schema: &Json) -> Result<jsonschema::Validator, Box<jsonschema::ValidationError<'static>>> {
    jsonschema::options()
        .offline()
        .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN))
        .build(schema)
        .map_err(Box::new)
}

fn settings(manifest: &Manifest, revision: &Revision, limit: usize) -> Result<(), Refusal> {
    let invalid =
        |why: String| Refusal::new("settings-invalid", format!("the settings do not fit {}: {why}", manifest.title()));
    let settings = Json::Object(revision.settings.clone());
    if depth(&settings) > DEEPEST {
        return Err(invalid(format!("nested deeper than {DEEPEST}")));
    }
    if settings.to_string().len() > limit {
        return Err(invalid(format!("more than {limit} bytes")));
    }
    let validator = validator(&manifest.settings).map_err(|error| invalid(format!("its schema: {error}")))?;
    let errors: Vec<String> = validator
        .iter_errors(&settings)
        .take(3)
        .map(|error| {
            let at = error.instance_path().to_string();
            text::plain(&format!("{}: {error}", if at.is_empty() { "/" } else { &at }), 300)
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(invalid(errors.join("; "))) }
}

fn endpoints(manifest: &Manifest, revision: &Revision) -> Result<(), Refusal> {
    for (name, need) in &manifest.endpoints {
        if need.required && !revision.endpoints.contains_key(name) {
            let what = text::plain(&need.description, 200);
            return Err(Refusal::new(
                "endpoint-not-bound",
                format!("{} needs the endpoint {name} ({what}): bind it to a URL", manifest.title()),
            ));
        }
    }
    for (name, endpoint) in &revision.endpoints {
        let Some(need) = manifest.endpoints.get(name) else {
            let known: Vec<_> = manifest.endpoints.keys().map(String::as_str).collect();
            return Err(Refusal::new(
                "endpoint-unknown",
                format!("{} has no endpoint {name:?}; it has {}", manifest.title(), list(&known)),
            ));
        };
        Base::parse(&endpoint.url)
            .map_err(|why| Refusal::new("endpoint-url-invalid", format!("endpoint {name}: {why}")))?;
        let auth = match endpoint.auth {
            Auth::None => "none",
            Auth::Basic { .. } => "basic",
        };
        // A manifest that says nothing of authentication means none.
        let is_allowed = if need.auth.is_empty() { auth == "none" } else { need.auth.iter().any(|one| one == auth) };
        if !is_allowed {
            let allowed: Vec<_> = need.auth.iter().map(String::as_str).collect();
            return Err(Refusal::new(
                "endpoint-auth-not-allowed",
                format!(
                    "endpoint {name} of {} cannot be bound with auth {auth}; allowed: {}",
                    manifest.title(),
                    list(&allowed)
                ),
            ));
        }
        if let Some(pem) = &endpoint.tls.ca {
            certificates(pem).map_err(|why| Refusal::new("endpoint-ca-invalid", format!("endpoint {name}: {why}")))?;
        }
        if let Some(pin) = &endpoint.tls.pin {
            check_pin(pin).map_err(|why| Refusal::new("endpoint-pin-invalid", format!("endpoint {name}: {why}")))?;
        }
    }
    Ok(())
}

/// Its requests would all be denied: better heard of here than by a flow.
fn requests(manifest: &Manifest, revision: &Revision) -> Result<(), Refusal> {
    if revision.endpoints.is_empty() || !manifest.requests.is_empty() {
        return Ok(());
    }
    let title = manifest.title();
    Err(Refusal::new(
        "plugin-asks-nothing",
        format!(
            "{title} asks for no requests, so nothing that it sends would pass the gate: pack it with `[[requests]]` in its manifest"
        ),
    ))
}

/// What a grant gives must be what its place takes.
fn grants(manifest: &Manifest, revision: &Revision) -> Result<(), Refusal> {
    for grant in &revision.grants {
        let Some(place) = manifest.places.iter().find(|place| place.name == grant.place) else {
            let mut known: Vec<_> = manifest.places.iter().map(|place| place.name.as_str()).collect();
            known.dedup();
            return Err(Refusal::new(
                "grant-unknown-place",
                format!("{} declares no place {:?}; it declares {}", manifest.title(), grant.place, list(&known)),
            ));
        };
        let (value, name) = (&place.value, &place.name);
        let invalid = |want: &str| {
            let message = format!("the grant for place {name:?} of {}, which takes {value}: {want}", manifest.title());
            Err(Refusal::new("grant-invalid", message))
        };
        match (value, &grant.of, &grant.secret) {
            (Value::AccessAddress | Value::AccessUsername | Value::AccessPassword, Some(_), None) => {}
            (Value::Secret(_), None, Some(secret)) => {
                let is_other = |other: &Grant| other.place == *name && other.secret.as_ref() != Some(secret);
                if revision.grants.iter().any(is_other) {
                    return invalid("it is granted twice, with two secrets: say which");
                }
            }
            (Value::Session(_), None, None) => {}
            (Value::AccessAddress | Value::AccessUsername | Value::AccessPassword, ..) => {
                return invalid("name the backend whose access it is in `of`, and no secret");
            }
            (Value::Secret(_), ..) => return invalid("name the secret in `secret`, and no backend"),
            (Value::Session(_), ..) => return invalid("the place alone is named: the gate itself keeps the session"),
        }
    }
    Ok(())
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::{Digest, Endpoint, Name, RevisionId, SweepPolicy, Tls};
    use serde_json::json;

    fn manifest() -> Manifest {
        let manifest = json!({
            "name": "ironic", "version": "0.1.0", "vendor": "v", "description": "d",
            "settings": {
                "type": "object", "additionalProperties": false, "required": ["owner"],
                "properties": {"owner": {"$ref": "#/$defs/word"}},
                "$defs": {"word": {"type": "string", "pattern": "^[a-z]+$"}}
            },
            "endpoints": {
                "ironic": {"description": "its API", "auth": ["none"]},
                "extra": {"description": "x", "required": false}
            },
            "requests": [{"endpoint": "ironic", "methods": ["POST"], "path": "/**"}],
            "places": [{
                "name": "bmc", "endpoint": "ironic", "methods": ["POST"], "path": "/v1/nodes", "pointer": "/p",
                "value": "access.password"
            }, {
                "name": "pw", "endpoint": "ironic", "methods": ["POST"], "path": "/login", "pointer": "/p",
                "value": "secret.password"
            }, {
                "name": "token", "endpoint": "ironic", "methods": ["POST"], "path": "/**", "header": "x-auth-token",
                "value": "session.token"
            }],
            "sessions": [{
                "name": "token", "endpoint": "ironic", "method": "POST", "path": "/login", "status": [200], "pointer": "/t"
            }]
        });
        Manifest::parse(manifest.to_string().as_bytes()).unwrap()
    }

    fn revision() -> Revision {
        let endpoint = Endpoint { url: "http://127.0.0.1:6385".into(), auth: Auth::None, tls: Tls::default() };
        Revision {
            id: RevisionId(1),
            backend: Name::parse("name", "ironic-1").unwrap(),
            digest: Digest::of(b""),
            settings: json!({"owner": "moganite"}).as_object().unwrap().clone(),
            endpoints: [("ironic".to_owned(), endpoint)].into(),
            access: None,
            grants: vec![grant("bmc", Some("pod-a"), None), grant("pw", None, Some("s")), grant("token", None, None)],
            sweep: SweepPolicy::default(),
            budgets: crate::model::Budgets::default(),
            projects: crate::model::Projects::default(),
            granted: None,
            limits: crate::model::Limits::default(),
        }
    }

    fn grant(place: &str, of: Option<&str>, secret: Option<&str>) -> Grant {
        let name = |text: &str| Name::parse("name", text).unwrap();
        Grant { place: place.into(), of: of.map(name), secret: secret.map(name) }
    }

    fn refused(change: impl FnOnce(&mut Revision)) -> (&'static str, String) {
        let mut revision = revision();
        change(&mut revision);
        let refusal = check(&manifest(), &revision, 65_536).unwrap_err();
        (refusal.code, refusal.message)
    }

    #[test]
    fn a_revision_that_fits_is_taken_and_one_that_does_not_is_refused_by_code() {
        assert!(check(&manifest(), &revision(), 65_536).is_ok());
        assert_eq!(refused(|r| r.endpoints.clear()).0, "endpoint-not-bound");
        assert_eq!(refused(|r| r.grants[0].place = "pool".into()).0, "grant-unknown-place");
        let spare = |r: &mut Revision| r.endpoints["ironic"].clone();
        assert_eq!(
            refused(|r| {
                let e = spare(r);
                r.endpoints.insert("pod".into(), e);
            })
            .0,
            "endpoint-unknown"
        );
        for url in ["ftp://x", "http://u:p@x", "http://x?q", "http://169.254.169.254", "x"] {
            assert_eq!(
                refused(|r| r.endpoints.get_mut("ironic").unwrap().url = url.into()).0,
                "endpoint-url-invalid",
                "{url}"
            );
        }
        let basic = Auth::Basic { username: "u".into(), password_secret: Name::parse("name", "s").unwrap() };
        assert_eq!(refused(|r| r.endpoints.get_mut("ironic").unwrap().auth = basic).0, "endpoint-auth-not-allowed");
        assert_eq!(
            refused(|r| r.endpoints.get_mut("ironic").unwrap().tls.ca = Some("no pem".into())).0,
            "endpoint-ca-invalid"
        );
        for pin in ["", "12", "sha256:12", "SHA256:00"] {
            let (code, _) = refused(|r| r.endpoints.get_mut("ironic").unwrap().tls.pin = Some(pin.into()));
            assert_eq!(code, "endpoint-pin-invalid", "{pin}");
        }
    }

    #[test]
    fn a_plugin_that_asks_for_no_request_is_bound_to_no_endpoint() {
        let silent = Manifest { requests: Vec::new(), sessions: Vec::new(), ..manifest() };
        let refusal = check(&silent, &Revision { grants: Vec::new(), ..revision() }, 65_536).unwrap_err();
        assert_eq!(refusal.code, "plugin-asks-nothing");
        // Without a far side there is nothing to send.
        let alone = Manifest { endpoints: Default::default(), places: Vec::new(), ..silent };
        let alone =
            check(&alone, &Revision { endpoints: Default::default(), grants: Vec::new(), ..revision() }, 65_536);
        assert_eq!(alone, Ok(()));
    }

    #[test]
    fn a_grant_gives_what_its_place_takes() {
        for bad in [
            grant("bmc", None, None),
            grant("bmc", None, Some("s")),
            grant("bmc", Some("pod-a"), Some("s")),
            grant("pw", None, None),
            grant("pw", Some("pod-a"), None),
            grant("pw", None, Some("another")),
            grant("token", Some("pod-a"), None),
            grant("token", None, Some("s")),
        ] {
            let (code, message) = refused(|r| r.grants.push(bad.clone()));
            assert_eq!(code, "grant-invalid", "{bad:?}");
            assert!(message.contains(&format!("{:?}", bad.place)), "{message}");
        }
        // Another composer's access may go to the same place.
        let two = Revision {
            grants: vec![grant("bmc", Some("pod-a"), None), grant("bmc", Some("pod-b"), None)],
            ..revision()
        };
        assert!(check(&manifest(), &two, 65_536).is_ok());
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_with_the_field() {
        let (code, message) = refused(|r| {
            r.settings.insert("owner".into(), json!(7));
        });
        assert_eq!(code, "settings-invalid");
        assert!(message.contains("/owner"), "{message}");
        assert!(
            refused(|r| {
                r.settings.insert("ownr".into(), json!("a"));
            })
            .1
            .contains("ownr")
        );
        assert!(refused(|r| r.settings.clear()).1.contains("owner"));
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(
            refused(|r| {
                r.settings.insert("owner".into(), deep);
            })
            .1
            .contains("deeper")
        );
    }
}
