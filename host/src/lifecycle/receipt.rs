//! The receipt: what was given back, read from the timelines. It is made from what the gate saw; the driver's word stands beside it.

use super::{Error, Lifecycle};
use crate::model::{
    Erased, Event, EventKind, Exchange, Flow, FlowId, GivenBack, Holding, InstanceId, Millis, Role, Verdict,
};
use crate::store::HoldingFilter;

/// What one flow, or all flows of an instance, gave back, and what the instance still holds.
#[derive(Debug)]
pub struct Receipt {
    pub instance: InstanceId,
    /// In the order in which it was given back.
    pub lines: Vec<Line>,
    pub left: Vec<Holding>,
    /// What must not be overlooked: disks that may hold data, and what a person decided in place of an undo.
    pub warnings: Vec<String>,
}

/// One thing that was given back.
#[derive(Debug)]
pub struct Line {
    pub flow: FlowId,
    pub task: String,
    pub at: Millis,
    pub plugin: Option<String>,
    pub given_back: GivenBack,
    /// What all calls of the undo sent beside mere reads: the last of each method and path.
    pub sent: Vec<Exchange>,
    /// None for a role that touches no disk.
    pub erased: Option<Erased>,
}

impl Lifecycle {
    /// What this flow gave back.
    pub async fn receipt(&self, flow: FlowId, instance: InstanceId) -> Result<Receipt, Error> {
        self.made(instance, |of| of == flow).await
    }

    /// What all flows of the instance gave back, also of one that is gone.
    pub async fn receipt_of(&self, instance: InstanceId) -> Result<Receipt, Error> {
        self.made(instance, |_| true).await
    }

    /// Whoever erases last has to know what the flows before wrote: all are read, and those that are not wanted left out.
    async fn made(&self, instance: InstanceId, wanted: impl Fn(FlowId) -> bool + Send) -> Result<Receipt, Error> {
        let (mut lines, mut warnings) = (Vec::new(), Vec::new());
        for Flow { id, .. } in self.store.flows_of(instance).await? {
            let events = self.store.events(id, 0).await?;
            lines.extend(lines_of(id, &events));
            warnings.extend(events.into_iter().filter(|event| wanted(id) && is_decided(event)).map(|event| event.note));
        }
        lines.sort_by_key(|line| line.at);
        let mut deployed = false;
        for line in &mut lines {
            let given_back = &line.given_back;
            deployed |= given_back.role == Role::Deploy && given_back.began;
            line.erased = given_back.erased(deployed);
        }
        let left = self.store.holdings(HoldingFilter { project: None, instance: Some(instance) }).await?;
        lines.retain(|line| wanted(line.flow));
        warnings.extend(lines.iter().filter_map(Line::warning));
        Ok(Receipt { instance, lines, left, warnings })
    }
}

impl Line {
    fn warning(&self) -> Option<String> {
        let erased = self.erased.as_ref().filter(|erased| erased.verdict == Verdict::Below)?;
        let GivenBack { backend, mark, .. } = &self.given_back;
        let (asked, reached) = (erased.asked.as_str(), erased.reached.as_str());
        Some(format!(
            "{} of {mark} at {backend}: erasing to {asked} was asked for and {reached} was reached: its disks may hold data",
            self.task
        ))
    }
}

/// A person's word stands in place of a proof.
fn is_decided(event: &Event) -> bool {
    matches!(event.kind, EventKind::Skipped | EventKind::Abandoned)
}

fn lines_of(flow: FlowId, events: &[Event]) -> Vec<Line> {
    let line = |event: &Event| {
        let given_back = event.given_back.clone()?;
        let same =
            |other: &&Event| (&other.task, other.direction, other.round) == (&event.task, event.direction, event.round);
        let calls = events.iter().filter(same).filter(|other| other.seq <= event.seq);
        Some(Line {
            flow,
            task: event.task.clone(),
            at: event.at,
            plugin: event.plugin.clone(),
            given_back,
            sent: sent(calls.flat_map(|call| &call.exchanges)),
            erased: None,
        })
    };
    events.iter().filter_map(line).collect()
}

fn sent<'e>(exchanges: impl Iterator<Item = &'e Exchange>) -> Vec<Exchange> {
    let mut sent: Vec<Exchange> = Vec::new();
    for exchange in exchanges.filter(|exchange| !matches!(exchange.method.as_str(), "GET" | "HEAD" | "OPTIONS")) {
        sent.retain(|earlier| (&earlier.method, &earlier.path) != (&exchange.method, &exchange.path));
        sent.push(exchange.clone());
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_repeated_requests_the_last_answer_counts_and_reads_are_left_out() {
        let exchange = |method: &str, path: &str, status: Option<u16>| Exchange {
            at: 0,
            endpoint: "far".into(),
            method: method.into(),
            path: path.into(),
            status,
            body_sha256: None,
            bytes: 0,
            took_ms: 0,
        };
        let all = [
            exchange("DELETE", "/nodes/1", None),
            exchange("GET", "/nodes/1", Some(200)),
            exchange("DELETE", "/nodes/1", Some(204)),
        ];
        assert_eq!(sent(all.iter()), [exchange("DELETE", "/nodes/1", Some(204))]);
    }
}
