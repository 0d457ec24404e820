//! Placeholders: put in at the places that the manifest declares and the operator granted, and denied everywhere else.
//!
//! The value is put in after every other check and only into a JSON body, where escaping is certain. Next: `echoes.rs`,
//! the way back.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::driver::secrets::Secret;
use crate::model::{Place, Value};

/// How a placeholder begins; `secret` and `session` are reserved.
const BEGINNINGS: [&str; 3] = ["{{access.", "{{secret.", "{{session."];

/// What the operator says of the machines of one backend.
pub(in super::super) struct Access {
    pub(in super::super) address: String,
    pub(in super::super) username: String,
    pub(in super::super) password: Arc<Secret>,
}

/// The places that are open in one call, and what goes there.
#[derive(Default)]
pub(in super::super) struct Places {
    pub(in super::super) granted: Vec<Place>,
    pub(in super::super) access: Option<Access>,
}

impl Places {
    /// The body as it is to be sent. The error says which placeholder is denied and why.
    pub(super) fn fill(&self, endpoint: &str, method: &str, path: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
        if !has_placeholder(&body) {
            return Ok(body);
        }
        let mut json: Json =
            serde_json::from_slice(&body).map_err(|_| "a placeholder in a body that is no JSON".to_owned())?;
        let open: Vec<&Place> = self.granted.iter().filter(|place| is_at(place, endpoint, method, path)).collect();
        let mut filled = false;
        self.walk(&mut json, &mut String::new(), &open, &mut filled)?;
        if !filled {
            // Raw it was there, parsed it is not: two keys of one name, or the like.
            return Err("a placeholder that the JSON body hides".into());
        }
        serde_json::to_vec(&json).map_err(|error| error.to_string())
    }

    fn walk(&self, json: &mut Json, pointer: &mut String, open: &[&Place], filled: &mut bool) -> Result<(), String> {
        let length = pointer.len();
        match json {
            Json::String(text) if has_placeholder(text.as_bytes()) => {
                *text = self.value(text, pointer, open)?;
                *filled = true;
            }
            Json::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    pointer.push_str(&format!("/{index}"));
                    self.walk(item, pointer, open, filled)?;
                    pointer.truncate(length);
                }
            }
            Json::Object(fields) => {
                for (key, item) in fields {
                    if has_placeholder(key.as_bytes()) {
                        return Err("a placeholder in a key of the body".into());
                    }
                    pointer.push('/');
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    self.walk(item, pointer, open, filled)?;
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn value(&self, text: &str, pointer: &str, open: &[&Place]) -> Result<String, String> {
        let is_here = |place: &&&Place| place.pointer == pointer && place.value.placeholder() == text;
        let place = open.iter().find(is_here).ok_or_else(|| {
            format!(
                "a placeholder at {pointer} of the body, which is no place of the manifest that the operator granted"
            )
        })?;
        let access = self.access.as_ref().ok_or_else(|| format!("place {} has no access in this call", place.name))?;
        Ok(match place.value {
            Value::AccessAddress => access.address.clone(),
            Value::AccessUsername => access.username.clone(),
            Value::AccessPassword => access.password.reveal().to_owned(),
        })
    }
}

/// In bytes as they stand; also half decoded, as `%7B%7Baccess.` in a path.
pub(super) fn has_placeholder(bytes: &[u8]) -> bool {
    let begins = |bytes: &[u8]| {
        BEGINNINGS
            .iter()
            .any(|beginning| bytes.windows(beginning.len()).any(|w| w.eq_ignore_ascii_case(beginning.as_bytes())))
    };
    begins(bytes)
        || (bytes.contains(&b'%') && begins(&replaced(bytes, &[(b"%7b", b"{"), (b"%2e", b".")])))
        || (bytes.contains(&b'\\') && begins(&replaced(bytes, &[(b"\\u007b", b"{"), (b"\\u002e", b".")])))
}

fn replaced(bytes: &[u8], pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    'next: while let Some((&first, after)) = rest.split_first() {
        for (from, to) in pairs {
            if rest.get(..from.len()).is_some_and(|head| head.eq_ignore_ascii_case(from)) {
                out.extend_from_slice(to);
                rest = &rest[from.len()..];
                continue 'next;
            }
        }
        out.push(first);
        rest = after;
    }
    out
}

fn is_at(place: &Place, endpoint: &str, method: &str, path: &str) -> bool {
    place.endpoint == endpoint && place.methods.iter().any(|m| m == method) && is_like(&place.path, path)
}

/// Whether `path`, without its query, is like `pattern`, in which `*` stands for one segment.
pub(in super::super) fn is_like(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (mut wanted, mut shown) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), shown.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    fn places() -> Places {
        let place = |pointer: &str, value| Place {
            name: "bmc".into(),
            endpoint: "ironic".into(),
            methods: vec!["POST".into()],
            path: "/v1/nodes".into(),
            pointer: pointer.into(),
            value,
        };
        let access = Access {
            address: "https://bmc".into(),
            username: "root".into(),
            password: Arc::new(Secret::of("pass\"word\\")),
        };
        let granted = vec![
            place("/driver_info/redfish_password", Value::AccessPassword),
            place("/driver_info/redfish_username", Value::AccessUsername),
            place("/0/value", Value::AccessAddress),
        ];
        Places { granted, access: Some(access) }
    }

    fn fill(body: &Json) -> Result<Json, String> {
        let filled = places().fill("ironic", "POST", "/v1/nodes", body.to_string().into_bytes())?;
        Ok(serde_json::from_slice(&filled).unwrap())
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
            assert!(fill(&body).is_err(), "{body}");
        }
        let body = || json!({"driver_info": {"redfish_password": "{{access.password}}"}}).to_string().into_bytes();
        let places = places();
        assert!(places.fill("other", "POST", "/v1/nodes", body()).is_err());
        assert!(places.fill("ironic", "PUT", "/v1/nodes", body()).is_err());
        assert!(places.fill("ironic", "POST", "/v1/nodes/1", body()).is_err());
        assert!(Places::default().fill("ironic", "POST", "/v1/nodes", body()).is_err());
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
            assert!(places.fill("ironic", "POST", "/v1/nodes", body.into()).is_err(), "{body}");
        }
        assert!(places.fill("ironic", "POST", "/v1/nodes", b"{{jinja}} and 100%".to_vec()).is_ok());
    }

    #[test]
    fn a_star_is_one_segment() {
        assert!(is_like("/v1/nodes/*", "/v1/nodes/7?fields=uuid"));
        assert!(is_like("/v1/*/x", "/v1/nodes/x"));
        for path in ["/v1/nodes", "/v1/nodes/", "/v1/nodes/7/states", "/v2/nodes/7", "/v1/nodes/7/"] {
            assert!(!is_like("/v1/nodes/*", path), "{path}");
        }
    }
}
