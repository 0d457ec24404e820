//! `receipt`: what was given back, with its proof.

use serde_json::Value;

use super::client::{Client, segment};
use super::output::{Format, say};

/// Of a flow, or of an instance by its id, also of one that is gone.
pub(super) async fn run(id: &str, client: &Client, output: Format) -> anyhow::Result<()> {
    let path = format!("/v1/flows/{}/receipt", segment(id));
    let receipt = match client.get(&path).await {
        Ok(receipt) => receipt,
        // An id of an instance is none of a flow.
        Err(of_flow) => match client.get(&format!("/v1/instances/{}/receipt", segment(id))).await {
            Ok(receipt) => receipt,
            Err(_) => return Err(of_flow),
        },
    };
    show(&receipt, output);
    Ok(())
}

pub(super) fn show(receipt: &Value, output: Format) {
    if output == Format::Json {
        return output.one(receipt);
    }
    lines(receipt).iter().for_each(|line| say(line));
}

fn lines(receipt: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for line in items(&receipt["given_back"]) {
        let text = |field: &str| line[field].as_str().unwrap_or_default();
        let handle = line["handle"].as_str().map_or_else(String::new, |handle| format!("  ({handle})"));
        lines.push(format!("{}  {:<9} {}  {}{handle}", time(text("at")), text("task"), text("backend"), text("mark")));
        items(&line["sent"]).iter().for_each(|sent| lines.push(format!("    sent    {}", exchange(sent))));
        for word in ["undone", "off", "gone"] {
            let evidence = &line[word];
            let Some(by) = evidence["evidence"].as_str() else { continue };
            let seen = items(&evidence["exchanges"]);
            if seen.is_empty() {
                let words = if by == "driver" { "the driver's word alone" } else { "seen by the gate" };
                lines.push(format!("    {word:<7} {words}"));
            }
            seen.iter().for_each(|seen| lines.push(format!("    {word:<7} {}", exchange(seen))));
        }
        if let Some(erased) = line["erased"].as_object() {
            let text = |field: &str| erased.get(field).and_then(Value::as_str).unwrap_or_default();
            let disks: Vec<_> = erased.get("disks").map(items).unwrap_or_default();
            let disks: Vec<_> = disks.iter().filter_map(Value::as_str).collect();
            let disks = if disks.is_empty() { String::new() } else { format!(", disks {}", disks.join(", ")) };
            lines.push(format!(
                "    data    {} asked, {} reached ({}): {}{disks}; the {}'s word",
                text("asked"),
                text("reached"),
                text("verdict"),
                text("method"),
                text("evidence")
            ));
        }
    }
    for left in items(&receipt["left"]) {
        let text = |field: &str| left[field].as_str().unwrap_or_default();
        let why = left["fault"].as_str().map_or_else(String::new, |why| format!("  {why}"));
        lines.push(format!("still held: {} at {}, {}{why}", text("role"), text("backend"), text("mark")));
    }
    items(&receipt["warnings"])
        .iter()
        .for_each(|warning| lines.push(format!("WARNING: {}", warning.as_str().unwrap_or_default())));
    if receipt["complete"] == true {
        lines.push("nothing is held any more".into());
    }
    lines
}

/// `12:00:01.250  DELETE /v1/nodes/1 -> 204  sha256:0123456789ab`.
fn exchange(seen: &Value) -> String {
    let text = |field: &str| seen[field].as_str().unwrap_or_default();
    let status = seen["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let hash = text("body_sha256").get(..12).map_or_else(String::new, |hash| format!("  sha256:{hash}"));
    format!("{}  {} {} -> {status}{hash}", time(text("at")), text("method"), text("path"))
}

fn time(at: &str) -> &str {
    at.get(11..23).unwrap_or(at)
}

fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rests_on_a_drivers_word_says_so_and_a_warning_stands_out() {
        let receipt = serde_json::json!({
            "complete": false, "warnings": ["its disks may hold data"], "left": [],
            "given_back": [{
                "at": "2026-01-02T03:04:05.678Z", "task": "undeploy", "backend": "b", "mark": "m", "handle": null, "sent": [],
                "undone": {"evidence": "driver", "exchanges": []},
                "gone": {"evidence": "gate", "exchanges": [
                    {"at": "2026-01-02T03:04:05.600Z", "method": "GET", "path": "/n/1", "status": 404, "body_sha256": "0123456789abcdef"}]},
                "erased": {"asked": "quick", "reached": "none", "verdict": "below", "method": "luck", "disks": ["S1"], "evidence": "driver"},
            }],
        });
        assert_eq!(
            lines(&receipt),
            [
                "03:04:05.678  undeploy  b  m",
                "    undone  the driver's word alone",
                "    gone    03:04:05.600  GET /n/1 -> 404  sha256:0123456789ab",
                "    data    quick asked, none reached (below): luck, disks S1; the driver's word",
                "WARNING: its disks may hold data",
            ]
        );
    }
}
