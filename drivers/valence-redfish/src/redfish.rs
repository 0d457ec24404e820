//! Composing without Valence: Redfish's specific composition (DSP2050), in which the client chooses the resource blocks. So this dialect can
//! ask for disks and network interfaces, and it must do what a pod manager does behind Valence: choose, reserve, and see that a block is in
//! one system only. Read `compose.rs`, then `release.rs`; `step.rs` says what outlives a call, `service.rs` what is tolerated of services.

mod answer;
mod ask;
mod block;
mod check;
mod clear;
mod compose;
mod decompose;
mod erase;
mod find;
mod free;
mod give_back;
mod known;
mod look;
mod node;
mod plan;
mod probe;
mod release;
mod reserve;
mod service;
mod step;
mod survey;
mod want;

pub(crate) use compose::compose;
pub(crate) use find::{find, list};
pub(crate) use probe::probe;
pub(crate) use release::release;

use crate::{BackLinks, Settings};
use moganite_driver::{Context, Endpoint};
use service::Service;
use std::time::Duration;

/// The far side, as one call sees it.
pub(crate) struct Far {
    pub(crate) service: Service,
    settle: Duration,
    gone_within: Duration,
    /// Whether blocks name the systems that they are in.
    has_back_links: bool,
}

impl Far {
    pub(crate) fn of(cx: &Context, settings: &Settings) -> Self {
        let limit = cx.budget().saturating_sub(Duration::from_secs(5)).max(Duration::from_secs(1));
        Self {
            service: Service::at(Endpoint::named("redfish").within(limit)),
            settle: Duration::from_secs(settings.settle_s),
            gone_within: Duration::from_secs(settings.gone_within_s),
            has_back_links: settings.back_links == BackLinks::Required,
        }
    }
}
