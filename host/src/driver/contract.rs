//! The functions of the contract, role by role, and whether a component has them as they are: asked of its type, before it is linked.
//!
//! The types are those that `roles.rs` calls with; `wit/driver.wit` has them in words.

use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentNamedList, Lift, Lower};

use super::bindings::deploy::exports::moganite::driver::deploy::{DeployDoing, Observed, Order};
use super::bindings::types::{
    Context, Erase, Fault, Holding, Node, NodeDoing, Page, PowerWish, Presence, Shape, Undoing,
};

/// Name, and what its type must be.
type Function = (&'static str, Check);
type Check = fn(&ComponentFunc, &Component) -> wasmtime::Result<()>;

type Answers<T> = (Result<T, Fault>,);

/// What is not as the contract has it, in one sentence; none when all is well. `role`: the name of the interface.
pub(super) fn differs(component: &Component, role: &str, interface: &ComponentInstance) -> Option<String> {
    let functions = functions(role);
    functions.iter().find_map(|(name, check)| {
        match interface.get_export(component.engine(), name).map(|export| export.ty) {
            Some(ComponentItem::ComponentFunc(function)) => {
                let wrong = check(&function, component).err()?;
                Some(format!("its function {name} has other types than the contract: {wrong:#}"))
            }
            Some(_) => Some(format!("its {name} is no function")),
            None => Some(format!("it has no function {name}")),
        }
    })
}

fn functions(role: &str) -> &'static [Function] {
    match role {
        "driver" => &[("probe", is::<(Context,), Answers<String>>)],
        "compose" => &[
            ("compose", is::<(Context, String, Shape), Answers<NodeDoing>>),
            ("find", is::<(Context, Holding), Answers<Presence>>),
            ("list", is::<(Context, String, Option<String>), Answers<Page>>),
            ("release", is::<(Context, Holding, Erase), Answers<Undoing>>),
        ],
        "claim" => &[
            ("claim", is::<(Context, String, Shape, Vec<String>), Answers<NodeDoing>>),
            ("find", is::<(Context, Holding), Answers<Presence>>),
            ("list", is::<(Context, String, Option<String>), Answers<Page>>),
            ("unclaim", is::<(Context, Holding), Answers<Undoing>>),
        ],
        "enroll" => &[
            ("enroll", is::<(Context, String, Node), Answers<NodeDoing>>),
            ("find", is::<(Context, Holding), Answers<Presence>>),
            ("list", is::<(Context, String, Option<String>), Answers<Page>>),
            ("refresh", is::<(Context, Holding), Answers<Undoing>>),
            ("unenroll", is::<(Context, Holding), Answers<Undoing>>),
        ],
        "deploy" => &[
            ("deploy", is::<(Context, String, Order), Answers<DeployDoing>>),
            ("find", is::<(Context, Holding), Answers<Presence>>),
            ("list", is::<(Context, String, Option<String>), Answers<Page>>),
            ("undeploy", is::<(Context, Holding, Erase), Answers<Undoing>>),
            ("set-power", is::<(Context, String, PowerWish), Answers<Undoing>>),
            ("observe", is::<(Context, Vec<String>), Answers<Vec<Observed>>>),
        ],
        _ => &[],
    }
}

fn is<P, R>(function: &ComponentFunc, component: &Component) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    function.typecheck::<P, R>(&component.component_type().instance_type())
}
