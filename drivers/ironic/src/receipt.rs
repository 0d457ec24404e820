//! What an undeploy answers at its end: the level that was reached, how, and on which disks; or, with the machine down all the same, that
//! the level that was asked for was not.

use crate::api::Ironic;
use crate::erasing::Plan;
use crate::node::Record;
use crate::settings::Reach;
use moganite_driver::{Answer, Fault, Undoing, fault};
use serde_json::json;

/// Whether the user's data may have been written, and whether Ironic has cleaned since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Never,
    /// By clean steps, which reach this.
    Erased(Reach),
    Cleaned,
    CleanFailed,
}

/// The end, with the machine down: done when the level is reached.
pub(crate) fn receipt(record: &Record, level: Reach, data: Data, plan: &Plan, disks: &[String]) -> Answer<Undoing> {
    let reach = match (data, plan) {
        (Data::Erased(reached), _) => reached,
        (Data::Cleaned, Plan::Automated(reach) | Plan::OutOfReach(reach)) => *reach,
        _ => Reach::None,
    };
    match data {
        Data::Never => done(level, "nothing was written: the deployment never began", &[]),
        _ if reach == Reach::None && level == Reach::None => done(reach, "no erasure was asked for", &[]),
        _ if level <= reach => done(reach, &plan.method(), disks),
        _ => Err(short_of(level, reach, &format!("node {} is torn down and off", record.uuid))),
    }
}

/// No node has the instance and none is known to have had it. The read closes the proof: Ironic knows no node by that id.
pub(crate) fn nowhere(ironic: &Ironic, instance: &str, level: Reach) -> Answer<Undoing> {
    ironic.node(instance)?;
    done(level, "nothing was written: no node ever had the instance", &[])
}

pub(crate) fn gone(node: &str, level: Reach) -> Answer<Undoing> {
    match level {
        Reach::None => done(level, "ironic no longer knows the node", &[]),
        _ => Err(short_of(level, Reach::None, &format!("node {node} is gone from ironic"))),
    }
}

fn short_of(level: Reach, reach: Reach, state: &str) -> Fault {
    fault::broken(format!(
        "{state}; level {} was asked for and this ironic's cleaning reached {} (settings `erases`, `automated_clean` and `clean_steps`): its \
         disks may still hold data",
        level.word(),
        reach.word()
    ))
}

/// `disks`: serials, as the inventory tells them.
fn done(erased: Reach, method: &str, disks: &[String]) -> Answer<Undoing> {
    let receipt = json!({ "erased": erased.word(), "method": method, "disks": disks });
    Ok(Undoing::Done(receipt.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(data: Data, level: Reach, reach: Reach) -> Answer<Undoing> {
        let plan = if level <= reach { Plan::Automated(reach) } else { Plan::OutOfReach(reach) };
        receipt(&Record::default(), level, data, &plan, &[])
    }

    #[test]
    fn a_level_beyond_what_the_cleaning_reaches_is_never_done() {
        for (level, reach, erased) in [
            (Reach::None, Reach::None, Some("none")),
            (Reach::None, Reach::Quick, Some("quick")),
            (Reach::Quick, Reach::Quick, Some("quick")),
            (Reach::Quick, Reach::Full, Some("full")),
            (Reach::Quick, Reach::None, None),
            (Reach::Full, Reach::Quick, None),
        ] {
            match (said(Data::Cleaned, level, reach), erased) {
                (Ok(Undoing::Done(receipt)), Some(erased)) => {
                    assert!(receipt.contains(&format!("\"erased\":\"{erased}\"")), "{receipt}");
                }
                (Err(Fault::Broken(why)), None) => assert!(why.contains(level.word()), "{why}"),
                (other, _) => panic!("{level:?} of {reach:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_deployment_that_never_began_reaches_every_level_and_a_failed_cleaning_none() {
        assert!(matches!(said(Data::Never, Reach::Full, Reach::None), Ok(Undoing::Done(_))));
        let failed = receipt(&Record::default(), Reach::None, Data::CleanFailed, &Plan::Automated(Reach::Full), &[]);
        assert!(matches!(failed, Ok(Undoing::Done(receipt)) if receipt.contains("\"none\"")));
        let full = receipt(&Record::default(), Reach::Full, Data::CleanFailed, &Plan::Automated(Reach::Full), &[]);
        assert!(matches!(full, Err(Fault::Broken(_))));
    }
}
