//! Placeholders: put in at the places that the manifest declares and the operator granted, and denied everywhere else.
//!
//! The value is put in after every other check, and only where escaping is certain: into a JSON body, or as the whole
//! value of a header. Next: `capture.rs` and `echoes.rs`, the way back.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use serde_json::Value as Json;

use super::patterns::{is_like, is_under};
use super::placeholder::has_placeholder;
use super::{At, headers};
use crate::driver::secrets::Secret;
use crate::driver::sessions::Ring;
use crate::model::Place;

/// The places that are open in one call.
#[derive(Default)]
pub(in super::super) struct Places(pub(in super::super) Vec<Open>);

/// A place that the operator granted, and what goes there.
pub(in super::super) struct Open {
    pub(in super::super) place: Place,
    pub(in super::super) with: With,
}

#[derive(Clone)]
pub(in super::super) enum With {
    Text(String),
    Secret(Arc<Secret>),
    /// Looked up at each request: a login may have been a moment ago.
    Session(String),
}

/// Why a request is not sent.
#[derive(Debug, PartialEq)]
pub(super) enum Unfilled {
    /// Which placeholder is denied and why.
    Denied(String),
    /// The session of this name, which nobody opened yet.
    NoSession(String),
}

impl Places {
    /// The headers that hold a value instead of a placeholder; the caller sends them in place of the guest's. Of those
    /// that are the gate's own nothing else passes.
    pub(super) fn fill_headers(&self, at: At<'_>, sent: &HeaderMap, ring: &Ring) -> Result<HeaderMap, Unfilled> {
        let mut filled = HeaderMap::new();
        for (name, value) in sent {
            if !has_placeholder(value.as_bytes()) {
                if headers::is_forbidden(name) {
                    return Err(Unfilled::Denied("a header that only the gate sets".into()));
                }
                continue;
            }
            let is_here =
                |place: &Place| place.header.as_deref().is_some_and(|h| name.as_str().eq_ignore_ascii_case(h));
            let text = value.to_str().unwrap_or_default();
            let value = self.value(at, text, is_here, &format!("in the header {name}"), ring)?;
            if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                let why = format!("the value for the header {name} is not of visible ASCII characters alone");
                return Err(Unfilled::Denied(why));
            }
            let value = HeaderValue::try_from(value);
            let mut value = value.map_err(|_| Unfilled::Denied(format!("no header {name} can have that value")))?;
            value.set_sensitive(true);
            filled.append(name.clone(), value);
        }
        Ok(filled)
    }

    /// The body as it is to be sent.
    pub(super) fn fill_body(&self, at: At<'_>, body: Vec<u8>, ring: &Ring) -> Result<Vec<u8>, Unfilled> {
        let denied = |why: &str| Unfilled::Denied(why.to_owned());
        if !has_placeholder(&body) {
            return Ok(body);
        }
        let mut json: Json =
            serde_json::from_slice(&body).map_err(|_| denied("a placeholder in a body that is no JSON"))?;
        let mut filled = false;
        self.walk(at, &mut json, &mut String::new(), &mut filled, ring)?;
        if !filled {
            // Raw it was there, parsed it is not: two keys of one name, or the like.
            return Err(denied("a placeholder that the JSON body hides"));
        }
        serde_json::to_vec(&json).map_err(|error| Unfilled::Denied(error.to_string()))
    }

    fn walk(
        &self,
        at: At<'_>,
        json: &mut Json,
        pointer: &mut String,
        filled: &mut bool,
        ring: &Ring,
    ) -> Result<(), Unfilled> {
        let length = pointer.len();
        match json {
            Json::String(text) if has_placeholder(text.as_bytes()) => {
                let is_here = |place: &Place| place.pointer.as_deref().is_some_and(|wanted| is_under(wanted, pointer));
                *text = self.value(at, text, is_here, &format!("at {pointer} of the body"), ring)?;
                *filled = true;
            }
            Json::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    pointer.push_str(&format!("/{index}"));
                    self.walk(at, item, pointer, filled, ring)?;
                    pointer.truncate(length);
                }
            }
            Json::Object(fields) => {
                for (key, item) in fields {
                    if has_placeholder(key.as_bytes()) {
                        return Err(Unfilled::Denied("a placeholder in a key of the body".into()));
                    }
                    pointer.push('/');
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    self.walk(at, item, pointer, filled, ring)?;
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What goes where `text` stands, when that is a place which is open and takes exactly this.
    fn value(
        &self,
        at: At<'_>,
        text: &str,
        is_here: impl Fn(&Place) -> bool,
        spot: &str,
        ring: &Ring,
    ) -> Result<String, Unfilled> {
        let fits =
            |open: &&Open| is_at(&open.place, at) && is_here(&open.place) && open.place.value.placeholder() == text;
        let open = self.0.iter().find(fits).ok_or_else(|| {
            Unfilled::Denied(format!(
                "a placeholder {spot}, which is no place of the manifest that the operator granted for it"
            ))
        })?;
        let value = match &open.with {
            With::Text(text) => text.clone(),
            With::Secret(secret) => secret.reveal().to_owned(),
            With::Session(name) => {
                let session = ring.newest(name).ok_or_else(|| Unfilled::NoSession(name.clone()))?;
                session.reveal().to_owned()
            }
        };
        match &open.place.characters {
            Some(class) if !class.allow(&value) => {
                let (place, class) = (&open.place.name, class.as_str());
                Err(Unfilled::Denied(format!("the value for place {place} has other characters than {class}")))
            }
            _ => Ok(value),
        }
    }
}

fn is_at(place: &Place, at: At<'_>) -> bool {
    place.endpoint == at.endpoint && place.methods.iter().any(|m| m == at.method) && is_like(&place.path, at.path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::Value;
    use serde_json::json;

    const AT: At<'static> = At { endpoint: "ironic", method: "POST", path: "/v1/nodes" };

    fn place(pointer: Option<&str>, header: Option<&str>, value: Value) -> Place {
        Place {
            name: "bmc".into(),
            endpoint: "ironic".into(),
            methods: vec!["POST".into()],
            path: "/v1/nodes".into(),
            pointer: pointer.map(Into::into),
            header: header.map(Into::into),
            value,
            characters: None,
        }
    }

    fn places() -> Places {
        let password = With::Secret(Arc::new(Secret::of("pass\"word\\")));
        let open = |pointer, header, value, with| Open { place: place(pointer, header, value), with };
        let token = Value::Session("token".into());
        Places(vec![
            open(Some("/driver_info/redfish_password"), None, Value::AccessPassword, password),
            open(Some("/driver_info/redfish_username"), None, Value::AccessUsername, With::Text("root".into())),
            open(Some("/0/value"), None, Value::AccessAddress, With::Text("https://bmc".into())),
            open(Some("/list/*/AccessToken"), None, token.clone(), With::Session("token".into())),
            open(None, Some("X-Auth-Token"), token, With::Session("token".into())),
        ])
    }

    fn ring() -> Ring {
        let ring = Ring::default();
        ring.put_all(&[("token".to_owned(), Arc::new(Secret::of("t0ken-1")))]);
        ring
    }

    fn denied<T: std::fmt::Debug>(told: Result<T, Unfilled>) -> bool {
        matches!(told, Err(Unfilled::Denied(_)))
    }

    fn fill(body: &Json) -> Result<Json, Unfilled> {
        let filled = places().fill_body(AT, body.to_string().into_bytes(), &ring())?;
        Ok(serde_json::from_slice(&filled).unwrap())
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_granted_place_gets_its_value_escaped() {
        let info = json!({"redfish_password": "{{access.password}}", "redfish_username": "{{access.username}}"});
        let body = json!({"name": "n", "driver_info": info});
        let filled = fill(&body).unwrap();
        assert_eq!(
            filled,
            json!({"name": "n", "driver_info": {"redfish_password": "pass\"word\\", "redfish_username": "root"}})
        );
        assert_eq!(fill(&json!([{"value": "{{access.address}}"}])).unwrap(), json!([{"value": "https://bmc"}]));
    }

    #[test]
    fn a_placeholder_anywhere_else_is_denied() {
        for body in [
            json!({"name": "{{access.password}}"}),
            json!({"driver_info": {"redfish_username": "{{access.password}}"}}),
            json!({"driver_info": {"redfish_password": "x{{access.password}}"}}),
            json!({"driver_info": {"redfish_password": "{{access.password}} "}}),
            json!({"driver_info": {"redfish_password": ["{{access.password}}"]}}),
            json!({"driver_info": {"redfish_password": "{{access.password}}"}, "copy": "{{access.password}}"}),
            json!({"{{access.password}}": 1}),
            json!({"driver_info": {"redfish_password": "{{secret.other}}"}}),
            json!({"driver_info": {"redfish_password": "{{session.token}}"}}),
            json!("{{access.password}}"),
        ] {
            assert!(denied(fill(&body)), "{body}");
        }
        let body = || json!({"driver_info": {"redfish_password": "{{access.password}}"}}).to_string().into_bytes();
        let places = places();
        assert!(places.fill_body(AT, body(), &ring()).is_ok());
        for at in [At { endpoint: "other", ..AT }, At { method: "PUT", ..AT }, At { path: "/v1/nodes/1", ..AT }] {
            assert!(denied(places.fill_body(at, body(), &ring())), "{at:?}");
        }
        assert!(denied(Places::default().fill_body(AT, body(), &ring())));
    }

    #[test]
    fn a_star_in_a_pointer_is_one_index_or_key() {
        let items = |token: &str| json!({"list": [{"AccessToken": token, "ID": 1}, {"AccessToken": token, "ID": 2}]});
        assert_eq!(fill(&items("{{session.token}}")).unwrap(), items("t0ken-1"));
        for body in [
            json!({"list": {"AccessToken": "{{session.token}}"}}),
            json!({"list": [[{"AccessToken": "{{session.token}}"}]]}),
            json!({"list": [{"Token": "{{session.token}}"}]}),
            json!({"list": [{"AccessToken": "{{access.password}}"}]}),
            json!({"list/0": {"AccessToken": "{{session.token}}"}}),
        ] {
            assert!(denied(fill(&body)), "{body}");
        }
    }

    #[test]
    fn a_header_gets_its_value_and_only_as_a_whole() {
        let places = places();
        let filled = places.fill_headers(AT, &headers(&[("x-auth-token", "{{session.token}}"), ("x-a", "b")]), &ring());
        let filled = filled.unwrap();
        assert_eq!(filled, headers(&[("x-auth-token", "t0ken-1")]));
        assert!(filled["x-auth-token"].is_sensitive());
        for (name, value) in [
            ("x-auth-token", "Bearer {{session.token}}"),
            ("x-auth-token", "{{access.password}}"),
            ("x-auth-token", "forged"),
            ("authorization", "{{session.token}}"),
            ("x-other", "{{session.token}}"),
        ] {
            assert!(denied(places.fill_headers(AT, &headers(&[(name, value)]), &ring())), "{name}: {value}");
        }
        let elsewhere = At { path: "/v1/ports", ..AT };
        assert!(denied(places.fill_headers(elsewhere, &headers(&[("x-auth-token", "{{session.token}}")]), &ring())));
    }

    #[test]
    fn a_header_takes_visible_ascii_alone() {
        for value in ["two words", "line\nbreak", "\u{fc}ber", "tab\t"] {
            let with = With::Secret(Arc::new(Secret::of(value)));
            let open = Open { place: place(None, Some("x-password"), Value::Secret("pw".into())), with };
            let told = Places(vec![open]).fill_headers(AT, &headers(&[("x-password", "{{secret.pw}}")]), &ring());
            assert!(matches!(&told, Err(Unfilled::Denied(why)) if !why.contains(value)), "{told:?}");
        }
    }

    #[test]
    fn a_value_out_of_its_characters_is_denied_and_not_told() {
        let with = |secret: &str| {
            let characters = Some(crate::model::Characters::parse("[A-Za-z0-9]").unwrap());
            let place = Place { characters, ..place(Some("/p"), None, Value::Secret("pw".into())) };
            let places = Places(vec![Open { place, with: With::Secret(Arc::new(Secret::of(secret))) }]);
            places.fill_body(AT, br#"{"p":"{{secret.pw}}"}"#.to_vec(), &ring())
        };
        assert_eq!(with("Hunter2"), Ok(br#"{"p":"Hunter2"}"#.to_vec()));
        let told = with("hunter-2");
        assert!(matches!(&told, Err(Unfilled::Denied(why)) if why.contains("[A-Za-z0-9]") && !why.contains("hunter")));
    }

    #[test]
    fn a_session_that_nobody_opened_is_missing_and_not_denied() {
        let (places, none) = (places(), Ring::default());
        let missing = Err(Unfilled::NoSession("token".into()));
        let body = br#"{"list":[{"AccessToken":"{{session.token}}"}]}"#.to_vec();
        assert_eq!(places.fill_body(AT, body, &none), missing);
        let sent = headers(&[("x-auth-token", "{{session.token}}")]);
        assert_eq!(places.fill_headers(AT, &sent, &none).map(|_| Vec::new()), missing);
        // Out of its place it is denied, opened or not.
        assert!(denied(places.fill_body(AT, br#"{"t":"{{session.token}}"}"#.to_vec(), &none)));
    }

    #[test]
    fn hidden_placeholders_are_seen() {
        let places = places();
        for body in [
            r#"{"name":"{{access.password}}","name":"x"}"#,
            r#"{"name":"\u007b\u007baccess.password}}"}"#,
            "name={{access.password}}",
            "name=%7B%7baccess%2epassword%7D%7D",
            "{{ACCESS.password}}",
        ] {
            assert!(denied(places.fill_body(AT, body.into(), &ring())), "{body}");
        }
        assert!(places.fill_body(AT, b"{{jinja}} and 100%".to_vec(), &ring()).is_ok());
    }
}
