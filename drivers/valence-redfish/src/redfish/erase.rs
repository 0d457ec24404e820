//! Erasing the disks of a system before it is taken apart.
//!
//! Drive.SecureErase erases the whole drive, so it reaches `full`. RSD's EraseOnDetach does its work while the system is taken apart, and
//! what it writes is not said, so it counts as `quick`. A disk that offers neither reaches nothing, and the system is then not given back.

use super::Far;
use super::answer::{self, Monitored};
use super::block::Block;
use super::service::{is_true, path_of, status};
use moganite_driver::{Erase, Fault, fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One disk on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Target {
    /// Its drive; none where the service shows none.
    path: Option<String>,
    /// Its serial, or what else it is called.
    pub(super) name: String,
    /// The path of its block.
    pub(super) block: String,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// Whether it can be erased was not looked at yet.
    New,
    Ready(Way),
    /// With the task's monitor, where there is one.
    Running(Option<String>),
    Done,
    /// Set; it happens when the system is taken apart.
    OnDetach,
    Failed(String),
    /// No way reaches the level.
    Unable,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// With the action's target.
    SecureErase(String),
    OnDetach,
}

impl Way {
    /// What a drive offers.
    pub(super) fn of(drive: &Value, path: &str) -> Option<Self> {
        let action = &drive["Actions"]["#Drive.SecureErase"];
        if action.is_object() {
            let usual = || format!("{path}/Actions/Drive.SecureErase");
            return Some(Self::SecureErase(action["target"].as_str().and_then(path_of).unwrap_or_else(usual)));
        }
        drive["Oem"]["Intel_RackScale"].get("EraseOnDetach").map(|_| Self::OnDetach)
    }

    pub(super) fn reaches(&self, level: Erase) -> bool {
        matches!((self, level), (Self::SecureErase(_), _) | (Self::OnDetach, Erase::None | Erase::Quick))
    }
}

pub(super) fn targets(blocks: &[Block]) -> Vec<Target> {
    let target = |block: &Block, at: usize| {
        let disk = &block.disks[at];
        let name = disk.serial.clone().unwrap_or_else(|| format!("{}-disk-{at}", block.name()));
        Target { path: disk.path.clone(), name, block: block.path.clone(), state: State::New }
    };
    blocks.iter().flat_map(|block| (0..block.disks.len()).map(move |at| target(block, at))).collect()
}

/// Looks at every disk before the first is touched. False: the call has no more requests.
pub(super) fn look(far: &Far, targets: &mut [Target], level: Erase) -> Result<bool, Fault> {
    for target in targets.iter_mut().filter(|target| target.state == State::New) {
        if far.service.left() == 0 {
            return Ok(false);
        }
        let way = match &target.path {
            Some(path) => far.service.read(path)?.and_then(|drive| Way::of(&drive.body, path)),
            None => None,
        };
        target.state = way.filter(|way| way.reaches(level)).map_or(State::Unable, State::Ready);
    }
    Ok(true)
}

/// Begins what is ready, and looks at what runs. Repeatable: a drive that is being erased already is only watched.
pub(super) fn advance(far: &Far, targets: &mut [Target]) -> Result<(), Fault> {
    for target in targets {
        if far.service.left() < 3 {
            return Ok(());
        }
        let path = target.path.clone().unwrap_or_default();
        target.state = match target.state.clone() {
            State::Ready(Way::SecureErase(action)) => begin(far, &action)?,
            State::Ready(Way::OnDetach) => set_on_detach(far, &path)?,
            State::Running(Some(monitor)) => match answer::monitored(far.service.get(&monitor)?)? {
                Monitored::Running => State::Running(Some(monitor)),
                Monitored::Failed(why) => State::Failed(why),
                Monitored::Ended(_) => watch(far, &path)?,
                Monitored::Forgotten => State::Running(None),
            },
            State::Running(None) => watch(far, &path)?,
            other => other,
        };
    }
    Ok(())
}

/// What is to be tried again when a person says so.
pub(super) fn begin_again(targets: &mut [Target]) {
    for target in targets.iter_mut().filter(|target| matches!(target.state, State::Failed(_) | State::Unable)) {
        target.state = State::New;
    }
}

/// Whether a disk that was to be erased on detach is.
pub(super) fn was_erased(far: &Far, target: &Target) -> Result<bool, Fault> {
    let Some(path) = &target.path else { return Ok(false) };
    let drive = far.service.read(path)?;
    Ok(drive.is_some_and(|drive| is_true(&drive.body["Oem"]["Intel_RackScale"]["DriveErased"])))
}

fn begin(far: &Far, action: &str) -> Result<State, Fault> {
    let reply = far.service.post(action, &json!({}))?;
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Ok(match status(&reply) {
        202 => State::Running(answer::monitor(&reply, &body)),
        // In use: an earlier request of ours whose answer was lost.
        200..300 | 409 | 423 => State::Running(None),
        429 | 500..600 => return Err(fault::retry(reply.sentence())),
        _ => State::Failed(answer::sentence(&reply, &body)),
    })
}

/// Without a monitor, the drive says what is being done to it.
fn watch(far: &Far, path: &str) -> Result<State, Fault> {
    let Some(drive) = far.service.read(path)? else { return Ok(State::Failed("the drive vanished".into())) };
    let is_busy = drive.body["Operations"].as_array().is_some_and(|running| !running.is_empty());
    Ok(if is_busy { State::Running(None) } else { State::Done })
}

fn set_on_detach(far: &Far, path: &str) -> Result<State, Fault> {
    let Some(drive) = far.service.read(path)? else { return Ok(State::Failed("the drive vanished".into())) };
    let body = json!({ "Oem": { "Intel_RackScale": { "EraseOnDetach": true } } });
    let reply = far.service.patch(path, drive.etag.as_deref(), &body)?;
    let why: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Ok(match status(&reply) {
        200..300 => State::OnDetach,
        412 | 429 | 500..600 => return Err(fault::retry(reply.sentence())),
        _ => State::Failed(answer::sentence(&reply, &why)),
    })
}
