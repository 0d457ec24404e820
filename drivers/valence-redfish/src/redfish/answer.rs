//! How the answer to a composition is judged. The standard's is 201 with a Location; services were seen to leave out the Location, the body
//! or both, to answer 200, and to ask for properties that the standard does not know.

use super::service::{SYSTEMS, link, path_of, status};
use super::step::{Hope, Refusal};
use moganite_driver::{Fault, Reply, fault};
use serde_json::Value;

#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    /// The path of the system.
    Made(String),
    /// It says that it made one, and not which.
    MadeSome,
    /// The path of the task's monitor.
    Accepted(String),
    Refused(Refusal),
    /// Nobody knows whether it was done, or is still being done.
    Unknown(String),
}

/// What a task's monitor says.
pub(crate) enum Monitored {
    Running,
    /// The answer to the request that it stands for; `None`: done, and nothing else is said.
    Ended(Option<Reply>),
    Failed(String),
    /// It is not there any more.
    Forgotten,
}

pub(crate) fn judge(reply: &Reply) -> Asked {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let said = sentence(reply, &body);
    let refused = |fault, hope| Asked::Refused(Refusal { fault, hope });
    match status(reply) {
        202 => match monitor(reply, &body) {
            Some(monitor) => Asked::Accepted(monitor),
            None => Asked::Unknown(format!("{} without a task monitor", reply.sentence())),
        },
        200..300 if body.get("error").is_some() => refused(fault::capacity(said), Hope::OtherBlocks),
        200..300 => match reply.header("location").and_then(path_of).or_else(|| link(&body)) {
            Some(path) if is_system(&path) => Asked::Made(path),
            _ if reply.body.is_empty() || body.is_object() => Asked::MadeSome,
            _ => Asked::Unknown(reply.sentence()),
        },
        401 | 403 => refused(fault::broken(said), Hope::None),
        404 | 405 | 501 => {
            refused(fault::rejected(format!("this service does not compose by POST to {SYSTEMS}: {said}")), Hope::None)
        }
        400 | 422 if wants_more(&body, &said) => refused(fault::rejected(said), Hope::OtherWords),
        // Without an error of Redfish it fell over its own request.
        500 if body.get("error").is_none() => refused(fault::capacity(said), Hope::OtherWords),
        400..500 if matches!(reply.status, 409 | 412 | 423 | 428 | 429) => {
            refused(fault::capacity(said), Hope::OtherBlocks)
        }
        400..500 => refused(fault::rejected(said), Hope::None),
        500 | 503 | 507 => refused(fault::capacity(said), Hope::OtherBlocks),
        _ => Asked::Unknown(reply.sentence()),
    }
}

/// Where to ask how an accepted request ends.
pub(crate) fn monitor(reply: &Reply, body: &Value) -> Option<String> {
    let told = body["TaskMonitor"].as_str().and_then(path_of);
    reply.header("location").and_then(path_of).or(told).or_else(|| link(body))
}

/// A monitor answers 202 while the task runs, then as the request would have been; some answer the task itself.
pub(crate) fn monitored(reply: Reply) -> Result<Monitored, Fault> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Ok(match (status(&reply), body["TaskState"].as_str()) {
        (404 | 410, _) => Monitored::Forgotten,
        (200..300, Some("Completed")) => Monitored::Ended(None),
        (200..300, Some("Exception" | "Killed" | "Cancelled" | "Interrupted")) => {
            Monitored::Failed(sentence(&reply, &body))
        }
        (202, _) | (200..300, Some(_)) => Monitored::Running,
        (401 | 403 | 408 | 429 | 502 | 504, _) => return Err(fault::retry(reply.sentence())),
        (200..300, None) => Monitored::Ended(Some(reply)),
        _ => Monitored::Failed(sentence(&reply, &body)),
    })
}

/// The service's own words, in which order they are found.
pub(crate) fn sentence(reply: &Reply, body: &Value) -> String {
    let extended = body["error"]["@Message.ExtendedInfo"].as_array().into_iter().flatten();
    let told = extended.filter_map(|info| info["Message"].as_str()).collect::<Vec<_>>().join(" ");
    let message = body["error"]["message"].as_str().or(body.as_str());
    let messages = body["Messages"].as_array().into_iter().flatten();
    let task = messages.filter_map(|message| message["Message"].as_str()).collect::<Vec<_>>().join(" ");
    let words = [Some(told.as_str()), message, Some(task.as_str())];
    match words.into_iter().flatten().find(|words| !words.is_empty()) {
        Some(words) => format!("the service answered {}: {words}", status(reply)),
        None => reply.sentence(),
    }
}

/// Whether a property is missing that the standard does not ask for.
fn wants_more(body: &Value, said: &str) -> bool {
    let said = format!("{said} {body}").to_lowercase();
    ["missing", "required", "createfailedmissing"].iter().any(|word| said.contains(word))
}

fn is_system(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(collection, id)| collection == SYSTEMS && !id.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;
    use serde_json::json;

    fn answered(status: u16, location: Option<&str>, body: Value) -> Asked {
        let mut reply = testing::reply(status, body).unwrap();
        if reply.text() == "null" {
            reply.body.clear();
        }
        reply.headers.extend(location.map(|location| ("location".to_owned(), location.to_owned())));
        judge(&reply)
    }

    #[test]
    fn a_system_is_named_by_location_or_body_or_not_at_all() {
        let path = "/redfish/v1/Systems/1";
        let made = Asked::Made(path.into());
        assert_eq!(answered(201, Some(path), Value::Null), made);
        assert_eq!(answered(201, Some("http://redfish/redfish/v1/Systems/1/"), json!({})), made);
        assert_eq!(answered(200, None, json!({ "@odata.id": path })), made);
        assert_eq!(answered(201, None, Value::Null), Asked::MadeSome);
        assert_eq!(answered(201, None, json!({ "Name": "n" })), Asked::MadeSome);
        assert_eq!(answered(201, Some("/redfish/v1/Chassis/1"), Value::Null), Asked::MadeSome);
    }

    #[test]
    fn a_task_is_followed_by_its_monitor() {
        let task =
            json!({ "@odata.id": "/redfish/v1/TaskService/Tasks/1", "TaskMonitor": "/redfish/v1/TaskMonitors/1" });
        assert_eq!(answered(202, Some("/m/1"), Value::Null), Asked::Accepted("/m/1".into()));
        assert_eq!(answered(202, None, task), Asked::Accepted("/redfish/v1/TaskMonitors/1".into()));
        assert!(matches!(answered(202, None, Value::Null), Asked::Unknown(_)));
    }

    #[test]
    fn each_refusal_says_what_may_help() {
        let error = |message: &str| json!({ "error": { "code": "Base.1.0.GeneralError", "message": message } });
        let hope = |status, body| match answered(status, None, body) {
            Asked::Refused(refusal) => refusal.hope,
            other => panic!("{other:?}"),
        };
        assert_eq!(hope(400, json!("Missing attribute: Id")), Hope::OtherWords);
        assert_eq!(hope(500, Value::Null), Hope::OtherWords);
        assert_eq!(hope(500, error("assembly failed")), Hope::OtherBlocks);
        assert_eq!(hope(200, error("assembly failed")), Hope::OtherBlocks);
        assert_eq!(hope(409, error("in use")), Hope::OtherBlocks);
        assert_eq!(hope(400, error("the Resource Block was not found")), Hope::None);
        assert_eq!(hope(405, Value::Null), Hope::None);
        assert!(matches!(answered(502, None, json!("bad gateway")), Asked::Unknown(_)));
        assert!(matches!(answered(200, None, json!("It works!")), Asked::Unknown(_)));
        assert_eq!(hope(200, json!(404)), Hope::None);
    }
}
