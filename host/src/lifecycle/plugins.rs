//! What operators decide about plugins as shipped: stop one in a call, keep one out for ever, and how old one may be.

use std::collections::BTreeMap;

use super::{Error, Lifecycle, rules};
use crate::driver::Plugin;
use crate::model::{By, Digest, EventKind, Floor, Flow, Name, PluginStop, Stopped, Version};
use crate::store::{Lane, LetGoOn, PutFloor, RemoveFloor, StopPlugin, TakeOverWaiting};

impl Lifecycle {
    /// Takes a plugin's file, unless somebody denied it.
    pub async fn add_plugin(&self, file: bytes::Bytes) -> Result<Plugin, Error> {
        let digest = Digest::of(&file);
        let stopped = self.store.stopped_plugins().await?.into_iter().find(|stopped| stopped.digest == digest);
        if let Some(denied) = stopped.and_then(|stopped| stopped.denied) {
            return Err(is_denied(&digest, &denied.why));
        }
        Ok(self.drivers.add(file).await?)
    }

    /// From the answer on it is not called: calls under way are cut, its flows wait with their clocks standing.
    pub async fn stop_plugin(&self, digest: &Digest, how: PluginStop, by: By) -> Result<(), Error> {
        let (digest, at) = (digest.clone(), self.clock.now());
        self.decide("plugin-not-stopped", StopPlugin { digest, how, by, at }).await?;
        self.stand().await
    }

    /// Its flows go on with the time that they had left.
    pub async fn let_plugin_go_on(&self, digest: &Digest, how: PluginStop, by: By) -> Result<(), Error> {
        let (digest, at) = (digest.clone(), self.clock.now());
        // The gate first, from what will be true: a flow that the commit wakes must find it open.
        let stop = LetGoOn { digest: digest.clone(), how, by, at };
        let mut stopped = self.stopped().await?;
        stopped.remove(&digest);
        let still = self.store.stopped_plugins().await?.into_iter().find(|it| it.digest == digest);
        let by_both = still.is_some_and(|it| it.disabled.is_some() && it.denied.is_some());
        if !by_both {
            self.drivers.set_stopped(stopped);
        }
        let decided = self.decide("plugin-not-stopped", stop).await;
        self.stand().await?;
        decided
    }

    /// No older version of this plugin is bound any more, but by a roll-back.
    pub async fn put_floor(&self, name: Name, version: Version, by: By) -> Result<(), Error> {
        let floor = Floor { name, version, why: by.reason.clone(), at: self.clock.now() };
        self.decide("refused", PutFloor { floor, by }).await
    }

    pub async fn remove_floor(&self, name: &Name, by: By) -> Result<(), Error> {
        let remove = RemoveFloor { name: name.clone(), by, at: self.clock.now() };
        if self.store.write(Lane::Interactive, remove).await? {
            return Ok(());
        }
        Err(Error::NotFound { what: "floor", name: name.to_string() })
    }

    /// A plugin is bound only when nobody denied or disabled it, and when it is not older than its floor.
    pub(super) async fn may_be_bound(&self, plugin: &Plugin) -> Result<(), Error> {
        self.may_be_called(&plugin.digest).await?;
        let floors = self.store.floors().await?;
        let Some(floor) = floors.into_iter().find(|floor| floor.name.as_str() == plugin.manifest.name) else {
            return Ok(());
        };
        let version: Version = plugin.manifest.version.parse()?;
        if version >= floor.version {
            return Ok(());
        }
        let (title, Floor { version, why, .. }) = (plugin.manifest.title(), floor);
        Err(Error::Refused {
            code: "plugin-below-floor",
            message: format!(
                "{title} is older than {version}, the floor of this plugin ({why}): take a newer one, or lower the floor"
            ),
        })
    }

    pub(super) async fn may_be_called(&self, digest: &Digest) -> Result<(), Error> {
        let stopped = self.store.stopped_plugins().await?.into_iter().find(|stopped| stopped.digest == *digest);
        let Some((how, paused)) = stopped.as_ref().and_then(|stopped| stopped.by()) else { return Ok(()) };
        let why = &paused.why;
        Err(match how {
            PluginStop::Denied => is_denied(digest, why),
            PluginStop::Disabled => Error::Refused {
                code: "plugin-disabled",
                message: format!("{digest} is disabled: {why}; enable it first with `moganite plugin enable`"),
            },
        })
    }

    /// An operation whose plugin is stopped goes on with another plugin of the same backend.
    pub(super) async fn hand_over_waiting(&self, flow: &Flow, plugin: &Digest, by: By) -> Result<(), Error> {
        let backend = flow.backend.clone().ok_or_else(|| Error::Refused {
            code: "flow-does-not-rest",
            message: "this flow neither rests nor waits for a plugin that is stopped".into(),
        })?;
        self.may_be_called(plugin).await?;
        let to = self.revision_of(&backend, plugin).await?;
        let roles = self.drivers.plugin(plugin).map(|plugin| plugin.roles).unwrap_or_default();
        let held = self.store.roles_held(&backend).await?;
        if let Some((role, _)) = held.iter().find(|(role, _)| !roles.contains(role)) {
            return Err(rules::wrong_role(&backend, *role));
        }
        let note = format!("{} handed it over to {}: {}", by.who, plugin.short(), by.reason);
        let event = self.wish(EventKind::HandedOver, &note);
        self.decide("flow-does-not-rest", TakeOverWaiting { flow: flow.id, to, event, by }).await
    }

    /// Why these are not called, in words that follow the plugin's name.
    pub(super) async fn stopped(&self) -> Result<BTreeMap<Digest, String>, Error> {
        let stopped = self.store.stopped_plugins().await?.into_iter();
        let why = |it: &Stopped| it.by().map(|(how, paused)| format!("is {}: {}", how.as_str(), paused.why));
        Ok(stopped.filter_map(|it| Some((it.digest.clone(), why(&it)?))).collect())
    }
}

fn is_denied(digest: &Digest, why: &str) -> Error {
    Error::Refused {
        code: "plugin-denied",
        message: format!("{digest} is denied: {why}; take another plugin, or allow it with `moganite plugin allow`"),
    }
}
