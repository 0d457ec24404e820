//! A flow as it goes: each event one line, from the service's stream, taken up again where a broken connection left it.

use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::client::{Client, is_passing};
use super::output::{Format, say};
use crate::clock::Clock;

/// Between two tries to reach the service.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a service that does not answer is waited for: it may be starting again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prints the events until the flow rests or ends, and answers it as it is then.
pub(super) async fn follow(client: &Client, flow: &str, output: Format) -> anyhow::Result<Value> {
    let clock = Clock::system();
    let mut seen = "0".to_owned();
    let mut since = clock.now();
    loop {
        match read(client, flow, &mut seen, output).await {
            Ok(Some(flow)) => return Ok(flow),
            Ok(None) => since = clock.now(),
            Err(error) if is_passing(&error) && clock.now() - since < millis(PATIENCE) => {}
            Err(error) => return Err(error),
        }
        clock.until(clock.now() + millis(PAUSE)).await;
    }
}

/// One event as one line.
pub(super) fn line(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    let reverts = text("direction") == "revert";
    let word = match text("kind") {
        "done" if reverts => "undone",
        "pending" if reverts => "undoing",
        "pending" => "waits",
        other => other,
    };
    let time = text("at").get(11..23).unwrap_or_default();
    let by =
        [text("backend"), text("plugin")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let by = if by.is_empty() { by } else { format!("  [{by}]") };
    let alone = if text("evidence") == "driver" { " (reported by driver only)" } else { "" };
    format!("{time}  {:<9} {word:<14} {}{alone}{by}", text("task"), text("note"))
}

/// One connection's worth. None: it ended before the flow did.
async fn read(client: &Client, flow: &str, seen: &mut String, output: Format) -> anyhow::Result<Option<Value>> {
    if let Some(response) = client.events(flow, seen).await? {
        let mut events = response.bytes_stream().eventsource();
        // A connection that breaks ends the stream; the next one goes on after `seen`.
        while let Some(Ok(event)) = events.next().await {
            let data: Value = serde_json::from_str(&event.data)?;
            say(&if output == Format::Json { event.data.clone() } else { line(&data) });
            *seen = event.id;
        }
    }
    let flow = client.get(&format!("/v1/flows/{flow}")).await?;
    let rests = matches!(flow["phase"].as_str(), Some("done" | "reverted" | "needs-operator"));
    // What came between the end of the stream and the question is read by the next connection.
    let newest = flow["events"].as_array().and_then(|events| events.last()).and_then(|event| event["seq"].as_i64());
    let all = newest.is_none_or(|newest| newest.to_string() == *seen);
    Ok((rests && all).then_some(flow))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_driver_says_is_said_so() {
        let event = |evidence: &str| {
            let at = "2026-01-02T03:04:05.678Z";
            line(
                &serde_json::json!({"at": at, "task": "compose", "kind": "done", "note": "composed as n1", "evidence": evidence}),
            )
        };
        assert!(event("driver").ends_with("composed as n1 (reported by driver only)"));
        assert!(event("gate").ends_with("composed as n1"));
    }

    #[test]
    fn an_undone_task_says_so_in_its_line() {
        let event = serde_json::json!({
            "at": "2026-01-02T03:04:05.678Z", "task": "enroll", "direction": "revert", "kind": "done", "note": "removed node n1",
            "backend": "ironic", "plugin": "ironic@0.1.0"
        });
        assert_eq!(line(&event), "03:04:05.678  enroll    undone         removed node n1  [ironic, ironic@0.1.0]");
    }
}
