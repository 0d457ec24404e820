//! Why a verb failed. `last_error` alone does not say: after a failed deploy step Ironic powers the node off, and the start of a power
//! action clears it about 50 ms later (Ironic 39.0.0, seen on the wire). The history keeps the cause until the node is deleted.

use crate::api::{Ironic, Said, read};
use crate::node::Record;
use moganite_driver::Fault;
use serde::Deserialize;

/// How many of the latest errors are looked at: those of a power action may follow the one that matters.
const LOOKED_AT: usize = 4;

/// What a conductor writes of what it was doing when it was killed; the `event_type` of it is not the verb's. Ironic 39.0.0, seen on
/// the wire.
const RESTARTED: &str = "can't be resumed by conductor";

#[derive(Deserialize)]
struct List {
    history: Vec<Entry>,
}

/// In a list `event` is cut to 255 characters and `event_type` is absent; the entry itself has both.
#[derive(Clone, Deserialize)]
struct Entry {
    uuid: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    event_type: Option<String>,
}

/// The cause of the last failure of this kind of event: from the history, else `last_error`, else words that say so. An Ironic that
/// does not answer the history does not hide the failure.
pub(crate) fn cause(ironic: &Ironic, record: &Record, kind: &str) -> Result<String, Fault> {
    let errors = errors(ironic, &record.uuid)?;
    let latest = errors.last().and_then(|entry| entry.event.clone());
    for entry in errors.iter().rev().take(LOOKED_AT) {
        if let Some(Entry { event: Some(event), event_type: Some(of), .. }) = whole(ironic, &record.uuid, &entry.uuid)?
            && (of == kind || event.contains(RESTARTED))
        {
            return Ok(event);
        }
    }
    Ok(record.last_error.clone().or(latest).unwrap_or_else(|| "ironic kept no cause".into()))
}

/// The errors of a node's history, oldest first.
fn errors(ironic: &Ironic, node: &str) -> Result<Vec<Entry>, Fault> {
    let Said::Done(body) = ironic.get(&format!("/v1/nodes/{node}/history"))? else {
        return Ok(Vec::new());
    };
    let mut list: List = read(body)?;
    list.history.retain(|entry| entry.severity.as_deref() == Some("ERROR"));
    Ok(list.history)
}

fn whole(ironic: &Ironic, node: &str, entry: &str) -> Result<Option<Entry>, Fault> {
    match ironic.get(&format!("/v1/nodes/{node}/history/{entry}"))? {
        Said::Done(body) => read(body).map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;
    use serde_json::json;

    #[test]
    fn the_deployment_s_own_error_is_found_behind_the_power_action_s() {
        testing::far_side(|request| match request.path.rsplit('/').next().unwrap() {
            "history" => testing::reply(
                200,
                json!({ "history": [
                    { "uuid": "h1", "severity": "INFO", "event": "started" },
                    { "uuid": "h2", "severity": "ERROR", "event": "Virtual media mou" },
                    { "uuid": "h3", "severity": "ERROR", "event": "power" },
                ] }),
            ),
            "h2" => testing::reply(
                200,
                json!({ "uuid": "h2", "severity": "ERROR", "event": "Virtual media mount failed", "event_type": "deploying" }),
            ),
            "h3" => testing::reply(200, json!({ "uuid": "h3", "event": "power", "event_type": "monitoring" })),
            other => panic!("nobody asked for {other}"),
        });
        let record = Record { uuid: "n".into(), ..Record::default() };
        let said = cause(&Ironic::new(), &record, "deploying");
        assert_eq!(said, Ok("Virtual media mount failed".into()));
    }

    #[test]
    fn without_a_history_the_last_error_speaks() {
        testing::far_side(|_| testing::reply(404, json!({})));
        let record = Record { uuid: "n".into(), last_error: Some("401".into()), ..Record::default() };
        assert_eq!(cause(&Ironic::new(), &record, "verify"), Ok("401".into()));
    }
}
