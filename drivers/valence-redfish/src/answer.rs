//! How Valence's answers are judged. A status proves nothing here: a failed assembly is answered 200 with an error body
//! (2017 tree), a release that did nothing 200 with `null` (the release's Redfish driver). So every answer is judged by
//! what it says.

use crate::valence::Record;
use moganite_driver::{Fault, Reply, fault};
use serde::Deserialize;

/// How Valence answered a compose or manage request.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    Made(Record),
    /// It is done with this request and says that it failed; `passing` when the same request may succeed later.
    Refused {
        fault: Fault,
        passing: bool,
    },
    /// Nobody knows whether it was done, or is still being done.
    Unknown(String),
}

/// How Valence answered a release.
#[derive(Debug, PartialEq)]
pub(crate) enum Deleted {
    /// It says so; to be verified.
    Answered,
    NoRecord,
    /// The pod manager does not know the node, so the record can never be removed through the API (404 with a code that
    /// is not Valence's own).
    Stuck(String),
    /// The pod manager does not take a node back while it is being put together (409).
    Busy(String),
}

/// Every error body. Source: `valence/common/exception.py`; a pod manager's error has its Redfish code there.
#[derive(Debug, Deserialize)]
struct Error {
    code: String,
    title: String,
    #[serde(default)]
    detail: String,
}

/// What an answer to DELETE means. Valence's own 404 has the reason phrase as its code; any other came from the pod
/// manager.
pub(crate) fn deleted(reply: &Reply) -> Result<Deleted, Fault> {
    match (reply.status, error_of(reply)) {
        (404, Some(error)) if error.code != "Not Found" => Ok(Deleted::Stuck(error.sentence())),
        (404, _) => Ok(Deleted::NoRecord),
        (409, Some(error)) => Ok(Deleted::Busy(error.sentence())),
        (200..300, None) => Ok(Deleted::Answered),
        (_, Some(error)) => Err(fault::retry(format!("Valence did not release the node: {}", error.sentence()))),
        (_, None) => Err(fault::retry(reply.sentence())),
    }
}

/// Whether the answer is an error, whatever its status.
pub(crate) fn is_error(reply: &Reply) -> bool {
    error_of(reply).is_some()
}

/// A node is made only when the answer is 2xx, names our mark, a uuid and an index, and is no error body.
pub(crate) fn judge(reply: &Reply, mark: &str, release: bool) -> Asked {
    let Some(error) = error_of(reply) else {
        return match reply.json::<Record>() {
            Ok(made) if reply.is_success() && made.name == mark && !made.uuid.is_empty() && !made.index.is_empty() => {
                Asked::Made(made)
            }
            _ if (400..500).contains(&reply.status) => {
                Asked::Refused { fault: fault::broken(reply.sentence()), passing: false }
            }
            _ => Asked::Unknown(reply.sentence()),
        };
    };
    let said = error.sentence();
    let refused = |fault| Asked::Refused { fault, passing: false };
    match (reply.status, error.code.as_str()) {
        // The assembly failed: the exception has the status of an earlier GET.
        (200..300, _) | (409 | 503 | 507, _) => refused(fault::capacity(said)),
        (400, _) => refused(fault::rejected(said)),
        (404, _) if release => {
            refused(fault::rejected(format!("Valence does not know the pod manager of podm_id: {said}")))
        }
        (500, "TypeError" | "AttributeError") if release => refused(fault::rejected(composes_nothing(&said))),
        (500, "KeyError") if !release && error.detail.contains("podm_id") => {
            refused(fault::rejected(format!("this is the release of Valence, which needs the setting podm_id: {said}")))
        }
        (500.., _) => Asked::Refused { fault: fault::capacity(said), passing: true },
        _ => refused(fault::broken(said)),
    }
}

/// Why the release's Redfish driver is refused.
pub(crate) fn composes_nothing(said: &str) -> String {
    format!(
        "the Redfish driver of the released Valence composes nothing and releases nothing (since 2017-09-08 its methods are empty): \
         use the 2017 tree or a pod manager of the ExpEther driver: {said}"
    )
}

/// The error in an answer, whatever its status. The confirmation of a release has a code too, but no title.
fn error_of(reply: &Reply) -> Option<Error> {
    reply.json::<Error>().ok()
}

impl Error {
    fn sentence(&self) -> String {
        let Self { code, title, detail } = self;
        if detail.is_empty() || detail == title {
            format!("{code}: {title}")
        } else {
            format!("{code}: {title}: {detail}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valence::Valence;
    use moganite_driver::{Endpoint, testing};
    use serde_json::{Value, json};

    fn judged(status: u16, body: Value, release: bool) -> Asked {
        testing::far_side(move |_| testing::reply(status, body.clone()));
        Valence::at(Endpoint::named("valence"), release.then(|| "podm-1".into())).compose("mg-a-1", json!({}))
    }

    fn error(code: &str, status: u16, detail: &str) -> Value {
        json!({ "code": code, "detail": detail, "request_id": "0", "status": status, "title": detail })
    }

    #[test]
    fn a_200_is_believed_only_with_uuid_index_and_our_name() {
        let record = json!({ "index": "1", "name": "mg-a-1", "uuid": "9225", "links": [] });
        assert!(matches!(judged(200, record.clone(), false), Asked::Made(made) if made.index == "1"));
        for (key, value) in [("uuid", json!("")), ("index", Value::Null), ("name", json!("n1"))] {
            let mut record = record.clone();
            record[key] = value;
            assert!(matches!(judged(200, record, false), Asked::Unknown(_)), "{key}");
        }
        assert!(matches!(judged(200, Value::Null, false), Asked::Unknown(_)));
    }

    #[test]
    fn a_failed_assembly_answered_200_is_a_refusal() {
        let body = error("Base.1.0.GeneralError", 200, "assembly failed");
        assert!(matches!(judged(200, body, false), Asked::Refused { fault: Fault::Capacity(_), passing: false }));
    }

    #[test]
    fn each_error_of_compose_has_its_fault() {
        let full = error("Base.1.0.GeneralError", 409, "There are no computer systems..");
        assert!(matches!(judged(409, full, false), Asked::Refused { fault: Fault::Capacity(_), passing: false }));
        let etcd = error("EtcdConnectionFailed", 500, "no etcd");
        assert!(matches!(judged(500, etcd, false), Asked::Refused { passing: true, .. }));
        let invalid = error("Bad Request", 400, "None is not of type 'object'");
        assert!(matches!(judged(400, invalid, false), Asked::Refused { fault: Fault::Rejected(_), .. }));
        assert!(matches!(judged(502, json!("bad gateway"), false), Asked::Unknown(_)));
        assert!(matches!(judged(401, json!("who are you"), false), Asked::Refused { fault: Fault::Broken(_), .. }));
    }

    #[test]
    fn the_release_is_refused_in_words() {
        let Asked::Refused { fault: Fault::Rejected(said), .. } = judged(500, error("TypeError", 500, "x"), true)
        else {
            panic!()
        };
        assert!(said.contains("composes nothing"), "{said}");
        let Asked::Refused { fault: Fault::Rejected(said), .. } =
            judged(500, error("KeyError", 500, "'podm_id'"), false)
        else {
            panic!()
        };
        assert!(said.contains("needs the setting podm_id"), "{said}");
    }

    #[test]
    fn a_release_is_told_from_a_stuck_record_and_a_failure() {
        let answer = |status, body: Value| {
            testing::far_side(move |_| testing::reply(status, body.clone()));
            Valence::at(Endpoint::named("valence"), None).delete("9225")
        };
        assert_eq!(
            answer(200, json!({ "code": "DELETED", "detail": "done", "request_id": "0" })),
            Ok(Deleted::Answered)
        );
        assert_eq!(answer(200, Value::Null), Ok(Deleted::Answered));
        assert_eq!(answer(404, error("Not Found", 404, "gone")), Ok(Deleted::NoRecord));
        assert!(matches!(answer(404, error("Base.1.0.ResourceMissing", 404, "gone")), Ok(Deleted::Stuck(_))));
        assert!(matches!(answer(200, error("Base.1.0.GeneralError", 200, "busy")), Err(Fault::Retry(_))));
        assert!(matches!(answer(409, error("Base.1.0.GeneralError", 409, "busy")), Ok(Deleted::Busy(_))));
        assert!(matches!(answer(503, error("Service Unavailable", 503, "busy")), Err(Fault::Retry(_))));
    }
}
