//! How a flow begins.

use super::list::Book;
use super::task::Begin;
use crate::model::{
    Direction, Event, EventKind, Flow, FlowId, InstanceId, Millis, Name, Phase, Position, Progress, Site,
};
use crate::store::Effect;

/// The row, the first line and the first effects of a new flow, for the commit that makes it.
pub fn first(
    book: &Book,
    site: &Site,
    flow: (FlowId, &str, u32),
    of: (Name, InstanceId),
    state: Vec<u8>,
    now: Millis,
) -> (Flow, Event, Vec<Effect>) {
    let (id, kind, version) = flow;
    let (project, instance) = of;
    let begin = Begin { flow: id, instance, direction: Direction::Execute, task: 0, round: 1, site: site.clone() };
    let effects = book.page(kind, version).map(|page| page.begin(&begin, &state)).unwrap_or_default();
    let task = book.tasks(kind, version, 1).first().copied().unwrap_or_default();
    let flow = Flow {
        id,
        row: 0,
        kind: kind.to_owned(),
        version,
        project,
        instance,
        position: Position { phase: Phase::Forward, task: 0, attempt: 1, round: 1 },
        revision: 1,
        state,
        checkpoint: None,
        task_since: now,
        wake: Some(now),
        shown: false,
        cancel: false,
        fault: None,
        progress: Progress::default(),
        exclusive: None,
        place: None,
        follows: None,
        backend: None,
        paused: None,
        created_at: now,
        updated_at: now,
    };
    let event = Event {
        seq: 0,
        at: now,
        task: task.to_owned(),
        direction: Direction::Execute,
        round: 1,
        attempt: 1,
        kind: EventKind::Created,
        note: kind.to_owned(),
        backend: None,
        plugin: None,
        exchanges: Vec::new(),
        given_back: None,
        evidence: None,
    };
    (flow, event, effects)
}
