//! How each kind of flow begins. A kind that has none here fails the suite, and the sentence says what to add.

use moganite::driver::PowerWish;
use moganite::flow::testing::Act;
use moganite::lifecycle::{Adoption, Request};
use moganite::model::{InstanceId, InstanceState};

use crate::bind::{self, by, name};
use crate::play::until_ended;
use crate::world::World;

/// One way to come to a flow of this kind.
#[derive(Clone, Copy)]
pub(crate) struct Beginning {
    pub(crate) kind: &'static str,
    pub(crate) of: &'static str,
    /// What must be there before: an active instance, or nothing.
    before: Option<(&'static str, &'static str)>,
    start: Start,
}

#[derive(Clone, Copy)]
enum Start {
    Create(&'static str, &'static str),
    Delete,
    Power(PowerWish),
    Rebuild,
    /// The password of what composed it was changed.
    Refresh,
    /// Of a machine that runs already.
    Adopt,
    /// A delete that rests is abandoned: what is held then are debts.
    Settle,
}

const fn begin(
    kind: &'static str,
    of: &'static str,
    before: Option<(&'static str, &'static str)>,
    start: Start,
) -> Beginning {
    Beginning { kind, of, before, start }
}

const VALENCE: (&str, &str) = ("small", "cirros");
const REDFISH: (&str, &str) = ("with-disk", "cirros");
const PRESET: (&str, &str) = ("gold", "cirros");
const CLOUDBOOT: (&str, &str) = ("discovered", "linux");

const ALL: &[Beginning] = &[
    begin("instance.create-composed", "Valence", None, Start::Create(VALENCE.0, VALENCE.1)),
    begin("instance.create-composed", "Redfish", None, Start::Create(REDFISH.0, REDFISH.1)),
    begin("instance.create-preset", "Ironic", None, Start::Create(PRESET.0, PRESET.1)),
    begin("instance.create-preset", "CloudBoot", None, Start::Create(CLOUDBOOT.0, CLOUDBOOT.1)),
    begin("instance.adopt", "Ironic", None, Start::Adopt),
    begin("instance.delete", "Valence", Some(VALENCE), Start::Delete),
    begin("instance.delete", "Redfish", Some(REDFISH), Start::Delete),
    begin("instance.delete", "Ironic", Some(PRESET), Start::Delete),
    begin("instance.delete", "CloudBoot", Some(CLOUDBOOT), Start::Delete),
    begin("instance.power", "Ironic", Some(PRESET), Start::Power(PowerWish::Off)),
    begin("instance.power", "CloudBoot", Some(CLOUDBOOT), Start::Power(PowerWish::Off)),
    begin("instance.rebuild", "Ironic", Some(PRESET), Start::Rebuild),
    begin("instance.refresh", "Valence", Some(VALENCE), Start::Refresh),
    begin("instance.settle", "Valence", Some(VALENCE), Start::Settle),
    begin("instance.settle", "CloudBoot", Some(CLOUDBOOT), Start::Settle),
];

/// Every way to come to each of these kinds.
pub(crate) fn of(kinds: &[(String, u32)]) -> Vec<Beginning> {
    let missing: Vec<_> =
        kinds.iter().filter(|(kind, _)| !ALL.iter().any(|it| it.kind == kind)).map(|(kind, _)| kind.as_str()).collect();
    assert!(
        missing.is_empty(),
        "the checks have no way to begin {}: add one to ALL in host/tests/checks/begin.rs, and every check is made of it",
        missing.join(", ")
    );
    ALL.to_vec()
}

impl Beginning {
    pub(crate) fn is_a_create(&self) -> bool {
        matches!(self.start, Start::Create(..))
    }

    /// What must be there before.
    pub(crate) fn prepare(&self, world: &World) -> Result<Option<InstanceId>, String> {
        if matches!(self.start, Start::Adopt) {
            bind::deploy_by_hand(world);
        }
        let Some((flavor, image)) = self.before else { return Ok(None) };
        let id = create(world, flavor, image)?;
        world.run("the instance that it is about", until_ended(world.store(), id))?;
        let instance = world.run("a look", world.store().instance(None, id))?.unwrap().unwrap().0;
        if instance.state != InstanceState::Active {
            return Err(format!("the instance that it is about is {:?}: {:?}", instance.state, instance.reason));
        }
        if matches!(self.start, Start::Settle) {
            world.stage.arm_every("instance.delete", Act::FailBefore);
            world.run("delete", world.lifecycle().delete(None, id))?.map_err(|error| error.to_string())?;
            world.run("the delete", until_ended(world.store(), id))?.ok_or("the delete does not rest")?;
            world.stage.disarm();
        }
        Ok(Some(id))
    }

    /// The flow itself.
    pub(crate) fn start(&self, world: &World, before: Option<InstanceId>) -> Result<InstanceId, String> {
        let lifecycle = world.lifecycle();
        let started = match (self.start, before) {
            (Start::Create(flavor, image), _) => return create(world, flavor, image),
            (Start::Adopt, _) => {
                let node = world.by_hand.borrow().first().cloned().ok_or("no machine runs")?;
                let adopted = world.run("adopt", lifecycle.adopt(name("default"), adoption(node), None))?;
                return adopted.map_err(|error| format!("it did not begin: {error}"));
            }
            (Start::Delete, Some(id)) => world.run("delete", lifecycle.delete(None, id))?.map(|_| id),
            (Start::Power(wish), Some(id)) => world.run("power", lifecycle.power(None, id, wish, None))?.map(|_| id),
            (Start::Rebuild, Some(id)) => world.run("rebuild", lifecycle.rebuild(None, id, None, None))?.map(|_| id),
            (Start::Refresh, Some(id)) => {
                let refreshed = world.run("refresh", lifecycle.refresh(&name("bmc-password")))?;
                let flows = refreshed.map(|all| all.into_iter().map(|one| one.flow).collect::<Result<Vec<_>, _>>());
                flows.and_then(|flows| flows).map(|_| id)
            }
            (Start::Settle, Some(id)) => {
                let rests =
                    world.run("the delete", until_ended(world.store(), id))?.ok_or("the delete does not rest")?;
                world.run("abandon", lifecycle.abandon(rests, by()))?.map(|_| id)
            }
            (_, None) => return Err("nothing was prepared for it".into()),
        };
        started.map_err(|error| format!("it did not begin: {error}"))
    }
}

pub(crate) fn create(world: &World, flavor: &str, image: &str) -> Result<InstanceId, String> {
    let created = world.lifecycle().create(name("default"), request(flavor, image), None);
    world.run("create", created)?.map_err(|error| format!("it did not begin: {error}"))
}

fn adoption(node: String) -> Adoption {
    Adoption {
        name: name("old"),
        flavor: name(PRESET.0),
        image: name(PRESET.1),
        backend: name("ironic-1"),
        node,
        hostname: None,
        metadata: serde_json::Map::new(),
    }
}

pub(crate) fn request(flavor: &str, image: &str) -> Request {
    Request {
        name: name("web"),
        flavor: name(flavor),
        image: name(image),
        hostname: None,
        ssh_keys: Vec::new(),
        user_data: None,
        networks: Vec::new(),
        node: None,
        metadata: serde_json::Map::new(),
    }
}
