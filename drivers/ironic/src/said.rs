//! What an answer of Ironic means. A refusal that the caller can do something about is a [`Said`]; what no caller can mend is a fault
//! here. Source: Ironic 39.0.0, seen on the wire.

use moganite_driver::{Fault, Reply, fault};
use serde_json::{Value, json};

/// What Ironic said to a request that it understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// 2xx, with the body; null when it is empty.
    Done(Value),
    /// 404: no such thing, or gone already.
    Missing,
    /// 409 because of a lock or a transition: read the state again later.
    Locked,
    /// 409 for another reason.
    Conflict(String),
    /// 400.
    Refused(String),
}

impl Said {
    /// The fault for an answer that this request cannot have in any state of Ironic.
    pub(crate) fn unexpected(self, doing: &str) -> Fault {
        match self {
            Self::Done(_) => fault::broken(format!("{doing}: ironic answered success where it cannot")),
            Self::Missing => fault::broken(format!("{doing}: ironic does not know it")),
            Self::Locked => fault::retry(format!("{doing}: the node is locked")),
            Self::Conflict(text) => fault::conflict(format!("{doing}: {text}")),
            Self::Refused(text) => fault::broken(format!("{doing}: {text}")),
        }
    }
}

/// An answer's meaning by its status. 400, 404 and 409 are the caller's; 401, 403 and 406 are a person's; 5xx is tried again.
pub(crate) fn sort(reply: &Reply) -> Result<Said, Fault> {
    let text = || sentence(&reply.text());
    match reply.status {
        200..300 if reply.body.is_empty() => Ok(Said::Done(Value::Null)),
        200..300 => reply.json().map(Said::Done),
        400 => Ok(Said::Refused(text())),
        401 => Err(fault::broken(format!("ironic refused the credentials of endpoint `ironic`: {}", text()))),
        403 => Err(fault::broken(format!("ironic forbids it: {}", text()))),
        404 => Ok(Said::Missing),
        406 => Err(fault::broken(format!("ironic does not take this driver's microversion for this: {}", text()))),
        409 => {
            let text = text();
            let locked = ["is locked by host", "state transition is in progress", "where updates are not allowed"];
            if locked.iter().any(|words| text.contains(words)) { Ok(Said::Locked) } else { Ok(Said::Conflict(text)) }
        }
        status @ (408 | 425 | 429 | 500..600) => Err(fault::retry(format!("ironic answered {status}: {}", text()))),
        status => Err(fault::broken(format!("ironic answered {status}: {}", text()))),
    }
}

/// The sentence inside an error body: JSON inside a JSON string, of two inner shapes, and a third shape of http_basic.
pub(crate) fn sentence(body: &str) -> String {
    let Ok(outer) = serde_json::from_str::<Value>(body) else {
        return body.chars().take(300).collect();
    };
    let inner = match &outer["error_message"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| json!({ "faultstring": text })),
        object => object.clone(),
    };
    let words = [&inner["faultstring"], &inner["description"], &inner["title"], &outer["error"]["message"]];
    match words.into_iter().find_map(Value::as_str) {
        Some(words) => words.to_owned(),
        None => body.chars().take(300).collect(),
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, Fault> {
    serde_json::from_value(body).map_err(|error| fault::retry(format!("ironic's answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;

    fn said(status: u16, body: Value) -> Result<Said, Fault> {
        sort(&testing::reply(status, body).unwrap())
    }

    fn controller(text: &str) -> Value {
        json!({ "error_message": json!({ "faultcode": "Client", "faultstring": text, "debuginfo": null }).to_string() })
    }

    #[test]
    fn every_shape_of_an_error_is_read() {
        for (body, words) in [
            (controller("A node with name X already exists."), "A node with name X already exists."),
            (
                json!({ "error_message": json!({ "code": 406, "title": "Not Acceptable", "description": "Version 1.999" }).to_string() }),
                "Version 1.999",
            ),
            (json!({ "error": { "message": "Authorization required", "code": 401 } }), "Authorization required"),
            (json!({ "error_message": "plain" }), "plain"),
        ] {
            assert_eq!(sentence(&body.to_string()), words);
        }
        assert_eq!(sentence("<html>proxy</html>"), "<html>proxy</html>");
    }

    #[test]
    fn a_lock_is_waited_for_and_another_conflict_is_not() {
        let locked = "Node 1 is locked by host h, please retry after the current operation is completed.";
        assert_eq!(said(409, controller(locked)), Ok(Said::Locked));
        let moving = "Node 1 can not be updated while a state transition is in progress.";
        assert_eq!(said(409, controller(moving)), Ok(Said::Locked));
        // Of an allocation whose node is on its way.
        let updating = "Cannot remove allocation 1 for node 2, because the node is in state deleting where updates are not allowed";
        assert_eq!(said(409, controller(updating)), Ok(Said::Locked));
        let taken = "Instance X is already associated with a node";
        assert_eq!(said(409, controller(taken)), Ok(Said::Conflict(taken.into())));
    }

    #[test]
    fn a_refused_credential_is_for_a_person_and_an_overloaded_ironic_is_tried_again() {
        let unauthorized = json!({ "error": { "message": "Incorrect username or password", "code": 401 } });
        assert!(matches!(said(401, unauthorized), Err(Fault::Broken(why)) if why.contains("Incorrect username")));
        assert!(matches!(said(503, json!({})), Err(Fault::Retry(_))));
        assert!(matches!(said(406, json!({})), Err(Fault::Broken(_))));
    }
}
