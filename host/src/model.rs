//! Data and rules: ids, flavors, nodes, instances, backends, plugins, holdings, the record of a flow.
//!
//! Nothing here waits, asks the time, speaks SQL or HTTP. serde is derived because a flow's state is stored and records are shown.

mod asks;
mod audit;
mod backend;
mod budgets;
mod cause;
mod characters;
mod debt;
mod fault;
mod flavor;
mod flow;
mod given_back;
mod holding;
mod id;
mod image;
mod instance;
mod limits;
mod name;
mod network;
mod node;
mod orphan;
mod place;
mod plugin;
mod plugin_stop;
mod project;
mod quota;
mod trial;

pub use asks::{Ask, Asks, Granted, More, covers};
pub use audit::{Audit, By};
pub use backend::{Access, Auth, Backend, Endpoint, Grant, Revision, Tls};
pub use budgets::Budgets;
pub use cause::Cause;
pub use characters::Characters;
pub use debt::{Debt, DebtKind};
pub use fault::{Fault, FaultKind};
pub use flavor::{Device, Erase, Eraser, Erasure, Flavor, Route, Shape};
pub use flow::{Direction, Ending, Event, EventKind, Evidence, Flow, Paused, Phase, Position, Progress};
pub use given_back::{Erased, GivenBack, Verdict};
pub use holding::{Exchange, Holding, HoldingState, Quarantined, Role};
pub use id::{Digest, FlowId, HoldingId, InstanceId, Mark, OperationId, RevisionId, Site};
pub use image::Image;
pub use instance::{Instance, InstanceState, Order};
pub use limits::Limits;
pub use name::{Invalid, Name};
pub use network::Network;
pub use node::{Identity, Machine, Node, Part, PartKind};
pub use orphan::{Missing, Orphan, OrphanId, OrphanState, SweepPolicy, Swept, brake, stacks};
pub use place::{Place, Session, Value};
pub use plugin::{EndpointNeed, Manifest, Proof, Proofs, Read};
pub use plugin_stop::{Broken, Floor, PluginStop, Stopped, Version};
pub use project::{Project, Projects, Role as ProjectRole};
pub use quota::Quota;
pub use trial::{Canary, Trial};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;
