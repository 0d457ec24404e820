//! The driver for OpenStack Ironic: claims nodes that exist, enrolls composed ones with the Redfish hardware type, and deploys on both. This file is the table
//! of contents: each verb is one line here and one file. `api` sends requests, `said` reads answers, `node` is Ironic's record,
//! `provision` takes one verb to its end; what comes next is decided in each role's `next` from a record alone, without a request.

mod adopt;
mod allocation;
mod api;
mod claim;
mod create;
mod deploy;
mod deployment;
mod enroll;
mod erasing;
mod find;
mod history;
mod inspected;
mod login;
mod node;
mod order;
mod ports;
mod power;
mod probe;
mod provision;
mod receipt;
mod refresh;
mod said;
mod settings;
mod unclaim;
mod undeploy;
mod unenroll;
#[cfg(test)]
mod whole;
mod wish;

use moganite_driver::{
    Answer, Claim, Context, Deploy, DeployDoing, Driver, Enroll, Erase, Holding, Node, NodeDoing, Observed, Order,
    Page, PowerWish, Presence, Shape, Undoing,
};

/// Public for the native tests in `tests/`.
pub struct Ironic;

moganite_driver::export!(Ironic: claim, enroll, deploy);

impl Driver for Ironic {
    fn probe(cx: Context) -> Answer<String> {
        probe::probe(&cx)
    }
}

impl Claim for Ironic {
    fn claim(cx: Context, mark: String, want: Shape, exclude: Vec<String>) -> Answer<NodeDoing> {
        claim::claim(&cx, &mark, &want, &exclude)
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        find::claimed(&cx, &what)
    }

    fn list(cx: Context, site: String, after: Option<String>) -> Answer<Page> {
        find::list_claimed(&cx, &site, after.as_deref())
    }

    fn unclaim(cx: Context, what: Holding) -> Answer<Undoing> {
        unclaim::unclaim(&cx, &what)
    }
}

impl Enroll for Ironic {
    fn enroll(cx: Context, mark: String, made: Node) -> Answer<NodeDoing> {
        enroll::enroll(&cx, &mark, &made)
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        find::enrolled(&cx, &what)
    }

    fn list(cx: Context, site: String, after: Option<String>) -> Answer<Page> {
        find::list_enrolled(&cx, &site, after.as_deref())
    }

    fn refresh(cx: Context, what: Holding) -> Answer<Undoing> {
        refresh::refresh(&cx, &what)
    }

    fn unenroll(cx: Context, what: Holding) -> Answer<Undoing> {
        unenroll::unenroll(&cx, &what)
    }
}

impl Deploy for Ironic {
    fn deploy(cx: Context, mark: String, what: Order) -> Answer<DeployDoing> {
        deploy::deploy(&cx, &mark, &what)
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        find::deployed(&cx, &what)
    }

    fn list(cx: Context, site: String, after: Option<String>) -> Answer<Page> {
        find::list_deployed(&cx, &site, after.as_deref())
    }

    fn undeploy(cx: Context, what: Holding, level: Erase) -> Answer<Undoing> {
        undeploy::undeploy(&cx, &what, level)
    }

    fn set_power(cx: Context, handle: String, wish: PowerWish) -> Answer<Undoing> {
        power::set_power(&cx, &handle, wish)
    }

    fn observe(cx: Context, handles: Vec<String>) -> Answer<Vec<Observed>> {
        power::observe(&cx, &handles)
    }
}
