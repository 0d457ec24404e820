//! A far side that a test scripts, for native unit tests of a driver: no component, no socket. What the sandbox does to
//! a driver is tested by the host, with the real component.

use crate::{Context, Fault, Reply, Request, fault};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::time::Duration;

type FarSide = Box<dyn FnMut(&Request) -> Result<Reply, Fault>>;

thread_local! {
    static FAR_SIDE: RefCell<Option<FarSide>> = const { RefCell::new(None) };
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// From now on this thread's endpoints are answered by `answer`. Use [`reply`] for an answer and [`fault::retry`] for a
/// lost one.
pub fn far_side(answer: impl FnMut(&Request) -> Result<Reply, Fault> + 'static) {
    FAR_SIDE.with_borrow_mut(|slot| *slot = Some(Box::new(answer)));
}

/// An answer with a JSON body.
pub fn reply(status: u16, body: Value) -> Result<Reply, Fault> {
    Ok(Reply { status, headers: Vec::new(), body: body.to_string().into_bytes(), asked: String::new() })
}

/// The first call of an operation `op-1`, with these settings and half a minute.
pub fn context(settings: impl Into<String>) -> Context {
    Context { operation: "op-1".into(), attempt: 1, budget: 30_000, settings: settings.into(), checkpoint: None }
}

/// Sets this thread's time, counted from 1970.
pub fn set_now(now: Duration) {
    NOW.set(now);
}

pub(crate) fn clock() -> Duration {
    NOW.get()
}

pub(crate) fn send(request: &Request) -> Result<Reply, Fault> {
    FAR_SIDE.with_borrow_mut(|slot| match slot {
        Some(answer) => answer(request),
        None => Err(fault::broken("this test has no far side: call testing::far_side first")),
    })
}
