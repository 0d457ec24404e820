//! Lends the servers that CloudBoot discovered, and installs them. Two roles and no enrolling: a server is in CloudBoot from the
//! first. This file is the table of contents: each verb is one line here and one file. `far` sends requests, `said` reads answers,
//! `device` is the row that bears our marks, `discovered` the row of the pool, `step` what outlives a call.

mod bmc;
mod choose;
mod claim;
mod deploy;
mod device;
mod discovered;
mod enter;
mod far;
mod find;
mod network;
mod order;
mod parts;
mod power;
mod probe;
mod restore;
mod said;
mod settings;
mod step;
mod unclaim;
mod undeploy;
mod words;

use far::Far;
use moganite_driver::{
    Answer, Claim, Context, Deploy, DeployDoing, Driver, Erase, Holding, NodeDoing, Observed, Order, Page, PowerWish,
    Presence, Shape, Undoing,
};

pub struct CloudBoot;

moganite_driver::export!(CloudBoot: claim, deploy);

impl Driver for CloudBoot {
    fn probe(cx: Context) -> Answer<String> {
        probe::probe(&Far::of(&cx)?)
    }
}

impl Claim for CloudBoot {
    fn claim(cx: Context, mark: String, want: Shape, exclude: Vec<String>) -> Answer<NodeDoing> {
        claim::claim(&cx, &Far::of(&cx)?, &mark, &want, &exclude)
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        find::claimed(&Far::of(&cx)?, &what)
    }

    fn list(cx: Context, site: String, after: Option<String>) -> Answer<Page> {
        find::list_claimed(&Far::of(&cx)?, &site, after.as_deref())
    }

    fn unclaim(cx: Context, what: Holding) -> Answer<Undoing> {
        unclaim::unclaim(&cx, &Far::of(&cx)?, &what)
    }
}

impl Deploy for CloudBoot {
    fn deploy(cx: Context, mark: String, what: Order) -> Answer<DeployDoing> {
        deploy::deploy(&cx, &Far::of(&cx)?, &mark, &what)
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        find::deployed(&Far::of(&cx)?, &what)
    }

    fn list(cx: Context, site: String, after: Option<String>) -> Answer<Page> {
        find::list_deployed(&Far::of(&cx)?, &site, after.as_deref())
    }

    fn undeploy(cx: Context, what: Holding, level: Erase) -> Answer<Undoing> {
        undeploy::undeploy(&cx, &Far::of(&cx)?, &what, level)
    }

    fn set_power(cx: Context, handle: String, wish: PowerWish) -> Answer<Undoing> {
        power::set_power(&cx, &Far::of(&cx)?, &handle, wish)
    }

    fn observe(cx: Context, handles: Vec<String>) -> Answer<Vec<Observed>> {
        find::observe(&Far::of(&cx)?, &handles)
    }
}
