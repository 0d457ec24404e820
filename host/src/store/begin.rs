//! A flow that no request for an instance begins.

use rusqlite::Connection;

use super::effects::{self, Effect};
use super::{Operation, Result, Wakes, flows};
use crate::model::{Event, Flow, FlowId};

/// The flow as it stands, its first line and what its first task may take. One transaction.
#[derive(Debug, Clone)]
pub struct BeginFlow {
    pub flow: Flow,
    pub event: Event,
    pub effects: Vec<Effect>,
}

impl Operation for BeginFlow {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        flows::insert(db, &self.flow, &self.event)?;
        for effect in &self.effects {
            effects::apply(db, self.flow.id, effect, self.event.at)?;
        }
        Ok(())
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow.id)
    }

    fn wakes(&self, (): &()) -> Wakes {
        Wakes::Only(self.flow.id)
    }
}
