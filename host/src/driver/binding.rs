//! Whether a backend's revision fits the plugin that it names: settings, endpoints, grants. Asked before the revision
//! is written, so that an operator hears of a mistake and no flow does.

use serde_json::Value;

use super::egress::{Base, certificates};
use super::manifest::{DEEPEST, depth};
use super::{Refusal, text};
use crate::model::{Auth, Manifest, Revision};

/// Bytes of one compiled regular expression in a schema. They run in linear time.
const PATTERN: usize = 64 << 10;

/// `limit`: bytes of the settings.
pub(super) fn check(manifest: &Manifest, revision: &Revision, limit: usize) -> Result<(), Refusal> {
    settings(manifest, revision, limit)?;
    endpoints(manifest, revision)?;
    for grant in &revision.grants {
        if !manifest.places.iter().any(|place| place.name == grant.place) {
            let known: Vec<_> = manifest.places.iter().map(|place| place.name.as_str()).collect();
            return Err(Refusal::new(
                "grant-unknown-place",
                format!("{} declares no place {:?}; it declares {}", manifest.title(), grant.place, list(&known)),
            ));
        }
    }
    Ok(())
}

/// Draft 2020-12 unless the schema says otherwise; nothing is fetched, patterns run in linear time.
pub(super) fn validator(schema: &Value) -> Result<jsonschema::Validator, Box<jsonschema::ValidationError<'static>>> {
    jsonschema::options()
        .offline()
        .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN))
        .build(schema)
        .map_err(Box::new)
}

fn settings(manifest: &Manifest, revision: &Revision, limit: usize) -> Result<(), Refusal> {
    let invalid =
        |why: String| Refusal::new("settings-invalid", format!("the settings do not fit {}: {why}", manifest.title()));
    let settings = Value::Object(revision.settings.clone());
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
    use crate::model::{Digest, Endpoint, Grant, Name, RevisionId, Tls};
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
            "places": [{
                "name": "bmc", "endpoint": "ironic", "methods": ["POST"], "path": "/v1/nodes", "pointer": "/p",
                "value": "access.password"
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
            grants: vec![Grant { place: "bmc".into(), of: Name::parse("name", "pod-a").unwrap() }],
        }
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
