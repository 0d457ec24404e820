//! Taking a system apart. No answer of the DELETE is believed: it is gone when the service does not show it any more.

use super::Far;
use super::answer::{self, Monitored};
use super::service::status;
use moganite_driver::{Fault, fault};

pub(super) enum Gone {
    Yes,
    /// The service works on it, or does not take it now.
    Busy(String),
    /// Answered, and still to be seen.
    Held(String),
}

/// One step: repeatable, and only ever of a system that bears the mark. `monitor` outlives the call.
pub(super) fn step(
    far: &Far,
    path: &str,
    mark: &str,
    uuid: Option<&str>,
    monitor: &mut Option<String>,
) -> Result<Gone, Fault> {
    if let Some(link) = monitor.take() {
        match answer::monitored(far.service.get(&link)?)? {
            Monitored::Running => {
                *monitor = Some(link);
                return Ok(Gone::Busy(format!("the service is taking {path} apart")));
            }
            Monitored::Failed(why) => return Ok(Gone::Held(format!("{path} is still there: {why}"))),
            Monitored::Ended(_) | Monitored::Forgotten => {}
        }
    }
    if far.ours_at(path, mark, uuid)?.is_none() {
        return Ok(Gone::Yes);
    }
    let reply = far.service.delete(path)?;
    match status(&reply) {
        202 => {
            let body = serde_json::from_slice(&reply.body).unwrap_or_default();
            *monitor = answer::monitor(&reply, &body);
            return Ok(Gone::Busy(format!("the service is taking {path} apart")));
        }
        200..300 | 404 | 410 => {}
        409 | 412 | 423 | 429 | 503 => {
            let body = serde_json::from_slice(&reply.body).unwrap_or_default();
            return Ok(Gone::Busy(format!("{path} is not taken apart now: {}", answer::sentence(&reply, &body))));
        }
        405 | 501 => {
            return Err(fault::broken(format!("this service does not take systems apart: {}", reply.sentence())));
        }
        _ => return Err(fault::retry(reply.sentence())),
    }
    if far.ours_at(path, mark, uuid)?.is_none() {
        return Ok(Gone::Yes);
    }
    Ok(Gone::Held(format!("{path} is still there")))
}
