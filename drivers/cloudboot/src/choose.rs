//! Which server of the pool is claimed: the smallest that fits. What CloudBoot cannot tell of a server is rejected by name, before anything
//! is asked.

use crate::bmc::Bmc;
use crate::discovered::Discovered;
use crate::far::Far;
use crate::parts::{Size, size};
use crate::words;
use moganite_driver::{Answer, Shape, fault};
use serde_json::Value;
use std::cmp::Reverse;

/// The keys of a shape's properties that are read.
const PROPERTIES: [&str; 4] = ["company", "product", "model", "node"];

/// The next server; `without` names those that must not be taken. None left: `capacity`, with `why_not` of those that were tried.
pub(crate) fn choose(far: &Far, want: &Shape, without: &[&str], why_not: &str) -> Answer<Discovered> {
    let properties = check(want)?;
    let mut fitting: Vec<(Size, Discovered)> = Vec::new();
    let (mut free, mut from) = (0, 0);
    loop {
        // Entered and hidden servers are left out by CloudBoot itself.
        let (rows, more) = far.page::<Discovered>("device/scan/list", serde_json::json!({}), from)?;
        from += rows.len();
        for row in rows.into_iter().filter(|row| is_lendable(row, far.settings.pool_user)) {
            free += 1;
            let size = size(&row, &far.settings);
            let is_excluded = without.iter().any(|sn| sn.eq_ignore_ascii_case(&row.sn));
            if !is_excluded && fits(&size, want) && is_of(&row, want, &properties) {
                fitting.push((size, row));
            }
        }
        if !more {
            break;
        }
    }
    fitting.sort_by_cached_key(|(size, row)| {
        (size.cores, size.memory_mib, size.disks.iter().sum::<u64>(), row.sn.clone())
    });
    let mut unreachable = String::new();
    for (_, row) in fitting {
        match Bmc::of(&far.settings, &row) {
            Ok(_) => return Ok(row),
            Err(why) => unreachable = format!("; {why}"),
        }
    }
    Err(fault::capacity(format!("of {free} free servers in CloudBoot's pool none fits{unreachable}{why_not}")))
}

/// The properties, if all of the shape can be told of a server of the pool.
fn check(want: &Shape) -> Answer<Value> {
    let properties: Value = serde_json::from_str(&want.properties)
        .map_err(|error| fault::rejected(format!("the properties of the shape are no JSON: {error}")))?;
    if properties.get("adopt").is_some() {
        return Err(fault::rejected(
            "CloudBoot has no safe place for the mark of a server that runs: its one call that changes a device writes the whole row anew, \
             resets its progress, and puts away the log of its install",
        ));
    }
    for (key, value) in properties.as_object().into_iter().flatten() {
        if !PROPERTIES.contains(&key.as_str()) || !value.is_string() {
            let known = PROPERTIES.join(", ");
            return Err(fault::rejected(format!(
                "the shape has the property {key:?}; this driver reads the texts {known}"
            )));
        }
    }
    let cannot = |what: &str| fault::rejected(format!("CloudBoot's inventory does not tell {what} of a server"));
    if let Some(device) = want.devices.first() {
        return Err(cannot(&format!("devices ({:?})", device.kind)));
    }
    if let Some(name) = want.traits.first() {
        return Err(cannot(&format!("traits ({name})")));
    }
    if want.nics_mbps.iter().any(|mbps| *mbps > 0) {
        return Err(cannot("the speed of an interface"));
    }
    Ok(properties)
}

fn is_lendable(row: &Discovered, pool_user: u64) -> bool {
    row.device_id == 0 && row.user_id == pool_user && row.is_vm != "Yes" && words::is_word(&row.sn)
}

fn fits(size: &Size, want: &Shape) -> bool {
    size.cores >= u64::from(want.cores)
        && size.memory_mib >= want.memory_mib
        && size.nics >= want.nics_mbps.len()
        && has_disks(&size.disks, &want.disks_gib)
}

/// Whether each wish has a disk of its own: the largest wish gets the largest disk.
fn has_disks(disks: &[u64], wanted: &[u64]) -> bool {
    let descending = |sizes: &[u64]| {
        let mut sizes = sizes.to_vec();
        sizes.sort_by_key(|size| Reverse(*size));
        sizes
    };
    let (disks, wanted) = (descending(disks), descending(wanted));
    wanted.len() <= disks.len() && wanted.iter().zip(disks).all(|(wanted, disk)| disk >= *wanted)
}

fn is_of(row: &Discovered, want: &Shape, properties: &Value) -> bool {
    let is = |key: &str, told: &str| properties[key].as_str().is_none_or(|wanted| wanted.eq_ignore_ascii_case(told));
    is("company", &row.company)
        && is("product", &row.product)
        && is("model", &row.model_name)
        && is("node", &row.sn)
        && want.class.as_deref().is_none_or(|class| class.eq_ignore_ascii_case(&row.class()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::{Device, Fault, PartKind};

    fn shape() -> Shape {
        Shape {
            cores: 0,
            memory_mib: 0,
            disks_gib: Vec::new(),
            nics_mbps: Vec::new(),
            devices: Vec::new(),
            class: None,
            traits: Vec::new(),
            properties: "{}".into(),
        }
    }

    #[test]
    fn each_disk_that_is_wished_for_needs_one_of_its_own() {
        assert!(has_disks(&[100, 500], &[400, 100]));
        assert!(!has_disks(&[100, 500], &[400, 200]));
        assert!(!has_disks(&[500], &[100, 100]));
        assert!(has_disks(&[], &[]));
    }

    #[test]
    fn what_the_inventory_does_not_tell_is_rejected_by_name() {
        let gpu = Device { kind: PartKind::Gpu, count: 1, properties: "{}".into() };
        for (word, want) in [
            ("devices", Shape { devices: vec![gpu], ..shape() }),
            ("CUSTOM_X", Shape { traits: vec!["CUSTOM_X".into()], ..shape() }),
            ("speed", Shape { nics_mbps: vec![0, 10_000], ..shape() }),
            ("safe place", Shape { properties: r#"{"node":"S1","adopt":true}"#.into(), ..shape() }),
            ("colour", Shape { properties: r#"{"colour":"red"}"#.into(), ..shape() }),
        ] {
            assert!(matches!(check(&want), Err(Fault::Rejected(why)) if why.contains(word)), "{word}");
        }
        assert!(check(&Shape { properties: r#"{"model":"R730"}"#.into(), ..shape() }).is_ok());
    }

    #[test]
    fn a_server_that_is_entered_owned_or_virtual_is_never_lent() {
        let row = Discovered { sn: "S".into(), ..Discovered::default() };
        assert!(is_lendable(&row, 0));
        assert!(!is_lendable(&Discovered { device_id: 1, ..row.clone() }, 0));
        assert!(!is_lendable(&Discovered { user_id: 2, ..row.clone() }, 0));
        assert!(!is_lendable(&Discovered { is_vm: "Yes".into(), ..row.clone() }, 0));
        assert!(!is_lendable(&Discovered { sn: "To be filled".into(), ..row }, 0));
    }
}
