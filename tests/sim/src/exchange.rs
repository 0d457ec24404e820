//! One request and its answer, whoever sends it: it is logged, the switches are looked at, and the face does its work. Requests of one
//! face to another come through here too, so that a switch can break what Valence asks of the pod manager.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Call};
use crate::faults::{Fault, Kind};
use crate::wire::Answering;
use crate::world::World;
use crate::{cloudboot, ironic, podm, valence};

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Valence,
    Podm,
    Ironic,
    Cloudboot,
}

/// Runs one request to its end. None: the connection closed without an answer.
pub(crate) fn exchange(world: Arc<World>, side: Side, call: Call) -> Answering {
    Box::pin(async move {
        let entry = world.log.open(&world.clock, side, &call);
        let answer = misbehave(&world, side, call).await;
        world.log.close(entry, side, answer.as_ref().map(|answer| answer.status.as_u16()));
        answer
    })
}

async fn misbehave(world: &Arc<World>, side: Side, call: Call) -> Option<Answer> {
    let struck = world.faults.strike(side, &call);
    for delay in struck.iter().filter(|fault| fault.kind == Kind::Delay) {
        world.clock.sleep(delay.ms.unwrap_or(1_000)).await;
    }
    let Some(fault) = struck.into_iter().find(|fault| fault.kind != Kind::Delay) else {
        return Some(dispatch(world, side, call).await);
    };
    match fault.kind {
        Kind::Refuse => Some(side.refusal(&fault, fault.status.unwrap_or(503))),
        Kind::ErrorBody => Some(side.refusal(&fault, 200)),
        Kind::LostAnswer => {
            dispatch(world, side, call).await;
            None
        }
        Kind::SlowAnswer => {
            let answer = dispatch(world, side, call).await;
            world.clock.sleep(fault.ms.unwrap_or(1_000)).await;
            Some(answer)
        }
        Kind::Garbage => {
            if fault.work.unwrap_or(true) {
                dispatch(world, side, call).await;
            }
            Some(Answer::text(StatusCode::OK, "text/html", "<html><body>It works!</body></html>".to_owned()))
        }
        Kind::LateCompletion => {
            let world = world.clone();
            tokio::spawn(async move {
                world.clock.sleep(fault.ms.unwrap_or(1_000)).await;
                dispatch(&world, side, call).await;
            });
            None
        }
        _ => None,
    }
}

async fn dispatch(world: &Arc<World>, side: Side, call: Call) -> Answer {
    match side {
        Side::Valence => valence::answer(world, &call).await,
        Side::Podm => podm::answer(world, &call).await,
        Side::Ironic => ironic::answer(world, &call).await,
        Side::Cloudboot => cloudboot::answer(world, &call).await,
    }
}

impl Side {
    fn refusal(self, fault: &Fault, status: u16) -> Answer {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let message = fault.message.as_deref().unwrap_or("refused by a switch of the simulator");
        match self {
            Self::Valence => valence::errors::from_pod_manager(status, "Base.1.0.GeneralError", message, message),
            Self::Podm => podm::error(status, message),
            Self::Ironic => ironic::errors::client(status, message),
            // Every refusal is a 200 here, unless a crash is asked for.
            Self::Cloudboot if fault.status.is_some_and(|status| status >= 500) => cloudboot::panicked(status),
            Self::Cloudboot => cloudboot::refused(message),
        }
    }
}
