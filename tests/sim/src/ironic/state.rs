//! The provision states, and what each verb does in which state. A transition goes through a passing state to its end; when it fails it
//! goes elsewhere, and a failed deployment keeps its target.

/// The name of the one conductor, which is what a lock shows.
pub(crate) const CONDUCTOR: &str = "sim-conductor";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provision {
    Enroll,
    Verifying,
    Manageable,
    Cleaning,
    CleanFailed,
    Available,
    Deploying,
    Active,
    DeployFailed,
    Deleting,
    Error,
    Inspecting,
    InspectFailed,
    Adopting,
    AdoptFailed,
}

/// What a verb sets off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// `manage` of an enrolled node: looks whether the BMC answers.
    Verify,
    /// `manage` of another: nothing is looked at.
    Manage,
    /// `provide`: cleans, as far as automated cleaning is on.
    Provide,
    Clean,
    Deploy,
    Undeploy,
    Adopt,
    Inspect,
}

impl Provision {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Verifying => "verifying",
            Self::Manageable => "manageable",
            Self::Cleaning => "cleaning",
            Self::CleanFailed => "clean failed",
            Self::Available => "available",
            Self::Deploying => "deploying",
            Self::Active => "active",
            Self::DeployFailed => "deploy failed",
            Self::Deleting => "deleting",
            Self::Error => "error",
            Self::Inspecting => "inspecting",
            Self::InspectFailed => "inspect failed",
            Self::Adopting => "adopting",
            Self::AdoptFailed => "adopt failed",
        }
    }

    /// What this verb does here; none: the state does not allow it, or there is no such verb.
    pub(super) fn allows(self, verb: &str) -> Option<Work> {
        match (verb, self) {
            ("manage", Self::Enroll) => Some(Work::Verify),
            ("manage", Self::Available | Self::InspectFailed | Self::CleanFailed | Self::AdoptFailed) => {
                Some(Work::Manage)
            }
            ("provide", Self::Manageable) => Some(Work::Provide),
            ("clean", Self::Manageable) => Some(Work::Clean),
            ("active" | "deploy", Self::Available | Self::DeployFailed) => Some(Work::Deploy),
            ("deleted" | "undeploy", Self::Active | Self::DeployFailed | Self::Error) => Some(Work::Undeploy),
            ("adopt", Self::Manageable | Self::AdoptFailed) => Some(Work::Adopt),
            ("inspect", Self::Manageable | Self::InspectFailed) => Some(Work::Inspect),
            _ => None,
        }
    }

    /// Whether DELETE of the node is allowed here.
    pub(super) fn may_be_deleted(self) -> bool {
        matches!(self, Self::Enroll | Self::Manageable | Self::Available | Self::AdoptFailed)
    }
}

impl Work {
    pub(super) fn passing(self) -> Provision {
        match self {
            Self::Verify => Provision::Verifying,
            Self::Manage => Provision::Manageable,
            Self::Provide | Self::Clean => Provision::Cleaning,
            Self::Deploy => Provision::Deploying,
            Self::Undeploy => Provision::Deleting,
            Self::Adopt => Provision::Adopting,
            Self::Inspect => Provision::Inspecting,
        }
    }

    pub(super) fn end(self) -> Provision {
        match self {
            Self::Verify | Self::Manage | Self::Clean | Self::Inspect => Provision::Manageable,
            Self::Provide | Self::Undeploy => Provision::Available,
            Self::Deploy | Self::Adopt => Provision::Active,
        }
    }

    pub(super) fn failure(self) -> Provision {
        match self {
            Self::Verify => Provision::Enroll,
            Self::Manage => Provision::Manageable,
            Self::Provide | Self::Clean => Provision::CleanFailed,
            Self::Deploy => Provision::DeployFailed,
            Self::Undeploy => Provision::Error,
            Self::Adopt => Provision::AdoptFailed,
            Self::Inspect => Provision::InspectFailed,
        }
    }

    /// What the history calls it.
    pub(super) fn event_type(self) -> &'static str {
        match self {
            Self::Verify | Self::Manage => "verify",
            Self::Deploy => "deploying",
            Self::Provide | Self::Clean | Self::Undeploy | Self::Adopt | Self::Inspect => "UNKNOWN",
        }
    }
}
