//! An order in Ironic's words: the image becomes `instance_info`, hostname, keys and user data become a config drive. Pure; what
//! Ironic cannot be given is rejected here, before anything is touched.

use crate::node::Record;
use crate::settings::Settings;
use moganite_driver::{Answer, Order, fault};
use serde_json::{Map, Value, json};

/// What an image may say, each a key of Ironic's `instance_info`. Source: `ironic/drivers/modules` of 39.0.0. Left out on purpose:
/// `configdrive` (made here), credentials of image servers, rescue passwords, and what Ironic writes itself.
const IMAGE_KEYS: [&str; 17] = [
    "boot_iso",
    "boot_mode",
    "boot_option",
    "capabilities",
    "image_checksum",
    "image_container_format",
    "image_disk_format",
    "image_download_source",
    "image_os_hash_algo",
    "image_os_hash_value",
    "image_source",
    "image_type",
    "kernel",
    "kernel_append_params",
    "ramdisk",
    "root_device",
    "root_gb",
];

/// Rejects an order that Ironic cannot be given.
pub(crate) fn check(settings: &Settings, order: &Order) -> Answer<()> {
    image(order)?;
    configdrive(settings, "", order).map(|_| ())
}

/// What the node's `instance_info` becomes. The traits that an allocation wrote there stay: Ironic chooses deploy templates by them.
pub(crate) fn instance_info(record: &Record, mark: &str, claim: Option<&str>, order: &Order) -> Answer<Value> {
    let mut info = image(order)?;
    info.insert("display_name".into(), order.hostname.as_str().into());
    info.insert("moganite_mark".into(), mark.into());
    if let Some(claim) = claim {
        info.insert("moganite_claim".into(), claim.into());
        info.extend(record.allocated_traits());
    }
    Ok(info.into())
}

/// None where the settings say that Ironic's host cannot make one.
pub(crate) fn configdrive(settings: &Settings, instance_uuid: &str, order: &Order) -> Answer<Option<Value>> {
    let network_data = network_data(&order.networks)?;
    if settings.configdrive {
        return Ok(Some(drive(instance_uuid, order, network_data)));
    }
    without_configdrive(order, network_data.as_ref())?;
    Ok(None)
}

fn image(order: &Order) -> Answer<Map<String, Value>> {
    let image = object(&order.image, "image")?;
    if let Some(key) = image.keys().find(|key| !IMAGE_KEYS.contains(&key.as_str())) {
        return Err(fault::rejected(format!(
            "the image has {key:?}, which this driver does not pass on; it takes {}",
            IMAGE_KEYS.join(", ")
        )));
    }
    Ok(image)
}

/// The object form, of which Ironic itself makes an ISO. It takes `meta_data`, `network_data`, `user_data` and `vendor_data` only.
fn drive(instance_uuid: &str, order: &Order, network_data: Option<Value>) -> Value {
    let keys: Map<String, Value> =
        order.ssh_keys.iter().enumerate().map(|(at, key)| (format!("key-{at}"), key.as_str().into())).collect();
    let mut drive = json!({
        "meta_data": {
            "uuid": instance_uuid,
            "hostname": order.hostname,
            "name": order.hostname,
            "public_keys": keys,
        },
    });
    if let Some(user_data) = &order.user_data {
        drive["user_data"] = user_data.as_str().into();
    }
    if let Some(network_data) = network_data {
        drive["network_data"] = network_data;
    }
    drive
}

fn without_configdrive(order: &Order, network_data: Option<&Value>) -> Answer<()> {
    for (what, wanted) in [
        ("user data", order.user_data.is_some()),
        ("ssh keys", !order.ssh_keys.is_empty()),
        ("network data", network_data.is_some()),
    ] {
        if wanted {
            return Err(fault::rejected(format!(
                "the order has {what}, which a machine reads from its config drive, and the settings say that this ironic's host \
                 cannot make one (`configdrive: false`)"
            )));
        }
    }
    Ok(())
}

/// What this backend calls the networks: `{}`, or `{"network_data": {...}}` as the metadata service of OpenStack has it.
fn network_data(networks: &str) -> Answer<Option<Value>> {
    let mut networks = object(networks, "networks")?;
    let data = networks.remove("network_data");
    match networks.keys().next() {
        Some(key) => Err(fault::rejected(format!("the networks have {key:?}; this driver takes network_data"))),
        None => Ok(data),
    }
}

fn object(text: &str, what: &str) -> Answer<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(fault::rejected(format!("the {what} of the order is no JSON object"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::Fault;

    fn order() -> Order {
        Order {
            node: "n".into(),
            image: json!({ "boot_iso": "http://images/a.iso" }).to_string(),
            hostname: "web-1".into(),
            user_data: None,
            ssh_keys: Vec::new(),
            networks: "{}".into(),
        }
    }

    fn settings(configdrive: bool) -> Settings {
        Settings { configdrive, ..Settings::default() }
    }

    #[test]
    fn hostname_keys_and_user_data_go_on_the_config_drive() {
        let order = Order {
            user_data: Some("#cloud-config".into()),
            ssh_keys: vec!["ssh-ed25519 AAAA a".into()],
            networks: json!({ "network_data": { "links": [] } }).to_string(),
            ..order()
        };
        assert_eq!(
            instance_info(&Record::default(), "mg-a-2", None, &order).unwrap(),
            json!({ "boot_iso": "http://images/a.iso", "display_name": "web-1", "moganite_mark": "mg-a-2" })
        );
        assert_eq!(
            configdrive(&settings(true), "u", &order).unwrap().unwrap(),
            json!({
                "meta_data": {
                    "uuid": "u", "hostname": "web-1", "name": "web-1",
                    "public_keys": { "key-0": "ssh-ed25519 AAAA a" },
                },
                "user_data": "#cloud-config",
                "network_data": { "links": [] },
            })
        );
    }

    #[test]
    fn on_a_claimed_node_the_allocation_s_traits_stay_and_the_claim_is_named() {
        let info = json!({ "traits": ["CUSTOM_A"], "kernel": "of somebody before" });
        let record: Record = serde_json::from_value(json!({ "instance_info": info })).unwrap();
        let info = instance_info(&record, "mg-a-2", Some("mg-a-1"), &order()).unwrap();
        assert_eq!((&info["moganite_claim"], &info["traits"]), (&json!("mg-a-1"), &json!(["CUSTOM_A"])));
        assert!(info["kernel"].is_null());
    }

    #[test]
    fn what_needs_a_config_drive_is_rejected_where_none_can_be_made() {
        assert_eq!(configdrive(&settings(false), "u", &order()), Ok(None));
        for (word, order) in [
            ("user data", Order { user_data: Some(String::new()), ..order() }),
            ("ssh keys", Order { ssh_keys: vec!["k".into()], ..order() }),
            ("network data", Order { networks: json!({ "network_data": {} }).to_string(), ..order() }),
        ] {
            let refused = check(&settings(false), &order);
            assert!(matches!(refused, Err(Fault::Rejected(why)) if why.contains(word)), "{word}");
        }
    }

    #[test]
    fn an_image_key_that_is_not_passed_on_is_rejected_by_name() {
        for key in ["configdrive", "image_pull_secret", "rescue_password", "moganite_mark"] {
            let order = Order { image: json!({ key: "x" }).to_string(), ..order() };
            let refused = check(&settings(true), &order);
            assert!(matches!(refused, Err(Fault::Rejected(why)) if why.contains(key)), "{key}");
        }
    }

    #[test]
    fn an_image_that_is_no_object_is_rejected() {
        let order = Order { image: "[]".into(), ..order() };
        assert!(matches!(check(&settings(true), &order), Err(Fault::Rejected(_))));
    }
}
