//! Compares the machine with what was asked for. A far side's word is a claim: the managing side's own eyes come first.

use async_trait::async_trait;

use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::create::Create;
use crate::model::{Evidence, Fault, FaultKind, Node, PartKind};
use crate::store::{Effect, InstanceChange};

pub(in crate::lifecycle) struct Verify;

#[async_trait]
impl Task<Create> for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn begin(&self, _: &Begin, _: &Create) -> Vec<Effect> {
        Vec::new()
    }

    async fn execute(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        let Some(enrolled) = &create.enrolled else {
            return Outcome::Fail(Fault::new(FaultKind::Broken, "there is no node to verify"));
        };
        // Of a pre-set node there is one who tells.
        let made = create.node.as_ref().unwrap_or(enrolled);
        match compare(&create.order.shape, made, enrolled) {
            Ok(unverified) => {
                cx.note(if unverified.is_empty() {
                    "all of it was seen".into()
                } else {
                    format!("unverified: {}", unverified.join(", "))
                });
                // Who composed it told of it, and who manages it saw it. Of a pre-set one there is one word for both.
                cx.rests_on(if create.node.is_some() { Evidence::Witness } else { Evidence::Driver });
                cx.also(Effect::Instance(InstanceChange {
                    unverified: Some(unverified),
                    ..InstanceChange::of(cx.at.instance)
                }));
                Outcome::Done
            }
            Err(message) => Outcome::Fail(Fault::new(FaultKind::Mismatch, message)),
        }
    }

    /// It changed nothing.
    async fn revert(&self, _: &mut Cx, _: &mut Create) -> Outcome {
        Outcome::Done
    }
}

/// What nobody could see, or in one sentence what is wrong.
///
/// A kind that the managing side saw itself must reach what was asked; where only the composer tells, its word is compared and the
/// kind is listed as unverified.
fn compare(shape: &crate::model::Shape, made: &Node, enrolled: &Node) -> Result<Vec<String>, String> {
    let mut unverified = Vec::new();
    let asked = [
        ("cores", PartKind::Cpu, u64::from(shape.cores), "cores"),
        ("memory", PartKind::Memory, shape.memory_mib, "MiB of memory"),
        ("disks", PartKind::Disk, shape.disks_gib.iter().sum(), "GiB of disk"),
    ];
    for (word, kind, wanted, unit) in asked {
        let (seen, told) = (enrolled.total(kind), made.total(kind));
        if wanted > 0 {
            for (side, size) in [("the managing side sees", seen), ("the composer made", told)] {
                if let Some(size) = size.filter(|size| *size < wanted) {
                    return Err(format!("{wanted} {unit} were asked for and {side} {size}"));
                }
            }
        }
        if seen.is_none() && (wanted > 0 || told.is_some()) {
            unverified.push(word.to_owned());
        }
    }
    let other =
        |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b));
    if other(&made.identity.system_uuid, &enrolled.identity.system_uuid)
        || other(&made.identity.serial, &enrolled.identity.serial)
    {
        return Err(
            "the managing side sees another machine than the one that was composed: uuid or serial differ".into()
        );
    }
    let foreign =
        enrolled.identity.macs.iter().find(|mac| !made.identity.macs.is_empty() && !made.identity.macs.contains(mac));
    if let Some(mac) = foreign {
        return Err(format!("the managing side sees the interface {mac}, which the composed machine does not have"));
    }
    Ok(unverified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, Part, Shape};

    fn node(cores: Option<u64>, memory: Option<u64>) -> Node {
        let part = |kind, size| Part { id: "1".into(), kind, size, serial: None, properties: serde_json::Map::new() };
        let cores = cores.map(|size| part(PartKind::Cpu, size));
        let memory = memory.map(|size| part(PartKind::Memory, size));
        Node {
            handle: "n".into(),
            identity: Identity { system_uuid: None, serial: None, macs: vec!["52:54:00:00:00:01".into()] },
            parts: cores.into_iter().chain(memory).collect(),
            place: None,
            access: None,
            facts: serde_json::Map::new(),
        }
    }

    fn asked() -> Shape {
        Shape { cores: 4, memory_mib: 8192, ..Shape::default() }
    }

    #[test]
    fn half_the_memory_is_found_by_whoever_tells_of_it() {
        let full = node(Some(4), Some(8192));
        let half = node(Some(4), Some(4096));
        assert_eq!(
            compare(&asked(), &half, &node(None, None)),
            Err("8192 MiB of memory were asked for and the composer made 4096".into())
        );
        assert_eq!(
            compare(&asked(), &full, &half),
            Err("8192 MiB of memory were asked for and the managing side sees 4096".into())
        );
        assert_eq!(compare(&asked(), &full, &full), Ok(vec![]));
    }

    #[test]
    fn what_the_managing_side_cannot_see_is_said() {
        let told = node(Some(4), Some(8192));
        assert_eq!(compare(&asked(), &told, &node(Some(4), None)), Ok(vec!["memory".to_owned()]));
    }

    #[test]
    fn another_machine_is_refused() {
        let made = node(Some(4), Some(8192));
        let mut other = made.clone();
        other.identity.macs = vec!["52:54:00:00:00:99".into()];
        assert!(compare(&asked(), &made, &other).is_err());
        let (mut a, mut b) = (made.clone(), made);
        a.identity.serial = Some("A1".into());
        b.identity.serial = Some("B2".into());
        assert!(compare(&asked(), &a, &b).is_err());
    }
}
