//! A bare script: the requests of one life of ours, as they passed in front of the far sides, sent again one after the other with the
//! same pauses. It keeps nothing, decides nothing, and looks at a node until Ironic is done with it.

use anyhow::{Context, Result, ensure};
use real::Exchange;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use serde_json::Value;

use crate::clock::pause;

/// Looks at one pause; then it is doubled, as the driver does.
const LOOKS: u32 = 8;

#[derive(Default)]
pub(super) struct Script {
    pub(super) compose: Vec<Call>,
    pub(super) ironic: Vec<Call>,
    pub(super) release: Vec<Call>,
}

pub(super) struct Call {
    exchange: Exchange,
    /// It was a look after a pause.
    paused: bool,
}

/// What the calls of one far side were. Where at least nearly `poll` seconds passed before a read, it was waited for.
pub(super) fn calls(exchanges: &[Exchange], poll: f64) -> Vec<Call> {
    let mut before = None;
    let call = |exchange: &Exchange| {
        let gap = before.map_or(0.0, |before| exchange.asked.saturating_sub(before).as_secs_f64());
        before = exchange.answered;
        Call { exchange: exchange.clone(), paused: exchange.method == "GET" && gap >= poll * 0.9 }
    };
    exchanges.iter().map(call).collect()
}

/// What passed between two requests beyond the pauses: the part of whoever sent them. Seconds.
pub(super) fn between(exchanges: &[Exchange], poll: f64) -> f64 {
    let gaps = exchanges.windows(2).filter_map(|pair| {
        let gap = pair[1].asked.saturating_sub(pair[0].answered?).as_secs_f64();
        Some(if gap >= poll * 0.9 { gap - poll } else { gap })
    });
    gaps.sum()
}

/// Sends everything again. Every answer must be of the status that it was of, but where it waits.
pub(super) async fn run(script: &Script, valence: &str, ironic: &str, poll: f64) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut uuid = None;
    for call in &script.compose {
        let answer = send(&client, valence, call, uuid.as_ref()).await?;
        if call.exchange.method == "POST" {
            let old =
                script.compose.iter().find_map(Call::last_segment).context("nothing was read of what was made")?;
            uuid = Some((old, answer["uuid"].as_str().context("a node without uuid")?.to_owned()));
        }
    }
    let mut looking = false;
    for call in &script.ironic {
        match (call.paused, looking) {
            (true, false) => wait(&client, ironic, call, poll).await?,
            (true, true) => {}
            (false, _) => drop(send(&client, ironic, call, None).await?),
        }
        looking = call.paused;
    }
    for call in &script.release {
        send(&client, valence, call, uuid.as_ref()).await?;
    }
    Ok(())
}

impl Call {
    /// Of a path such as `/v1/nodes/UUID`.
    fn last_segment(&self) -> Option<String> {
        let segments: Vec<_> = self.exchange.path.trim_matches('/').split('/').collect();
        (segments.len() == 3).then(|| segments[2].to_owned())
    }
}

/// Looks until Ironic has no further state to go to and gave the lock back.
async fn wait(client: &reqwest::Client, base: &str, call: &Call, poll: f64) -> Result<()> {
    for look in 0.. {
        pause(poll * f64::from(2_u32.pow((look / LOOKS).min(8)))).await;
        let node = send(client, base, call, None).await?;
        if node["reservation"].is_null() && node["target_provision_state"].is_null() {
            break;
        }
    }
    Ok(())
}

async fn send(client: &reqwest::Client, base: &str, call: &Call, uuid: Option<&(String, String)>) -> Result<Value> {
    let Exchange { method, path, headers, body, status, .. } = &call.exchange;
    let path = uuid.map_or_else(|| path.clone(), |(old, new)| path.replace(old, new));
    let request =
        client.request(method.clone(), format!("{base}{path}")).headers(end_to_end(headers)).body(body.clone());
    let answer = request.send().await?;
    let now = answer.status();
    ensure!(Some(now) == *status, "{method} {path} was answered {status:?} and is now answered {now}");
    Ok(serde_json::from_slice(&answer.bytes().await?).unwrap_or_default())
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}
