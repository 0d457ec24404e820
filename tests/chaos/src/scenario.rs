//! What is lived through, and which death it meets: `composed/create@17,3+outage` names one run, so that it can be repeated.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

/// How the machine is come by, which says which drivers are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// By Valence, then Ironic.
    Composed,
    /// By a Redfish composition service, then Ironic.
    Blocks,
    /// Claimed from Ironic.
    Preset,
    /// Claimed from CloudBoot.
    Discovered,
}

/// What the user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// For a claimed machine: the first one fails, so that another round is begun.
    Create,
    Delete,
    /// As soon as the create is seen at this task.
    DeleteDuring(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scenario {
    pub(crate) how: How,
    pub(crate) what: What,
}

/// What befalls the far sides at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    Well,
    /// With the service everything dies, and is back some time after it.
    Outage,
    /// This kind of fault strikes a changing request; so many pass first.
    Fault(&'static str, u64),
    /// Ironic is killed in its next transition and started again.
    Restart,
}

/// One life with its deaths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) scenario: Scenario,
    /// The place to die at, counted from each start of the service.
    pub(crate) deaths: Vec<u64>,
    pub(crate) far: Far,
}

const HOWS: [How; 4] = [How::Composed, How::Blocks, How::Preset, How::Discovered];
pub(crate) const FAULTS: [&str; 3] = ["lost-answer", "late-completion", "drop"];

impl Scenario {
    pub(crate) fn all() -> Vec<Self> {
        let whats = |how: How| {
            let during = how.tasks().iter().map(|task| What::DeleteDuring(task));
            [What::Create, What::Delete].into_iter().chain(during)
        };
        HOWS.into_iter().flat_map(|how| whats(how).map(move |what| Self { how, what })).collect()
    }

    /// The row of the table that it belongs to.
    pub(crate) fn flow(&self) -> String {
        let what = match self.what {
            What::Create => "create",
            What::Delete => "delete",
            What::DeleteDuring(_) => "delete during create",
        };
        let again = if self.what == What::Create && self.how.is_claimed() { ", rescheduled" } else { "" };
        format!("{what}, {}{again}", self.how.word())
    }
}

impl How {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Composed => "composed",
            Self::Blocks => "blocks",
            Self::Preset => "preset",
            Self::Discovered => "discovered",
        }
    }

    pub(crate) fn is_claimed(self) -> bool {
        matches!(self, Self::Preset | Self::Discovered)
    }

    pub(crate) fn flavor(self) -> &'static str {
        match self {
            Self::Composed => "small",
            Self::Blocks => "with-disk",
            Self::Preset => "gold",
            Self::Discovered => "discovered",
        }
    }

    pub(crate) fn image(self) -> &'static str {
        if self == Self::Discovered { "linux" } else { "cirros" }
    }

    /// Whom its drivers speak to.
    pub(crate) fn sides(self) -> &'static [&'static str] {
        match self {
            Self::Composed => &["valence", "ironic"],
            Self::Blocks => &["podm", "ironic"],
            Self::Preset => &["ironic"],
            Self::Discovered => &["cloudboot"],
        }
    }

    /// Where a delete comes in between.
    fn tasks(self) -> &'static [&'static str] {
        if self.is_claimed() { &["claim", "deploy"] } else { &["compose", "enroll", "deploy"] }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = self.how.word();
        match self.what {
            What::Create => write!(f, "{how}/create"),
            What::Delete => write!(f, "{how}/delete"),
            What::DeleteDuring(task) => write!(f, "{how}/delete-during-{task}"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deaths: Vec<_> = self.deaths.iter().map(u64::to_string).collect();
        write!(f, "{}@{}", self.scenario, deaths.join(","))?;
        match self.far {
            Far::Well => Ok(()),
            Far::Outage => write!(f, "+outage"),
            Far::Restart => write!(f, "+restart"),
            Far::Fault(kind, skip) => write!(f, "+{kind}:{skip}"),
        }
    }
}

impl FromStr for Run {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scenario, rest) = text.split_once('@').context("a run is SCENARIO@N[,M][+outage|+restart|+FAULT:N]")?;
        let (deaths, far) = rest.split_once('+').unwrap_or((rest, ""));
        let found = Scenario::all().into_iter().find(|known| known.to_string() == scenario);
        let far = match far.split_once(':') {
            None if far.is_empty() => Far::Well,
            None if far == "outage" => Far::Outage,
            None if far == "restart" => Far::Restart,
            Some((kind, skip)) => {
                let kind = FAULTS.into_iter().find(|known| *known == kind).with_context(|| format!("no {kind}"))?;
                Far::Fault(kind, skip.parse()?)
            }
            None => bail!("the far sides do not know {far}"),
        };
        Ok(Self {
            scenario: found.with_context(|| format!("no scenario {scenario}"))?,
            deaths: deaths.split(',').filter(|at| !at.is_empty()).map(str::parse).collect::<Result<_, _>>()?,
            far,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_run_reads_back_from_its_name() {
        for scenario in Scenario::all() {
            for far in [Far::Well, Far::Outage, Far::Restart, Far::Fault("drop", 3)] {
                let run = Run { scenario, deaths: vec![17, 3], far };
                assert_eq!(run.to_string().parse::<Run>().unwrap(), run);
            }
        }
        assert!("composed/create".parse::<Run>().is_err());
        assert!("composed/sell@1".parse::<Run>().is_err());
    }
}
