//! An order in CloudBoot's words. Pure; what CloudBoot cannot be given is rejected here, before anything is touched.

use crate::words;
use moganite_driver::{Answer, Order, fault};
use serde::Deserialize;
use serde_json::Value;

/// What an image says: names or ids of CloudBoot's templates. OS and system are a pair that nothing in CloudBoot links.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    /// `OsName`, the PXE template.
    pub(crate) os: Value,
    /// `SystemName`, the answer file.
    pub(crate) system: Value,
    /// `HardwareName` (`Company-ModelName`): RAID, BIOS and BMC are set up before the install.
    #[serde(default)]
    pub(crate) hardware: Option<Value>,
}

/// What this backend calls the networks: `{}`, or one network and perhaps an address in it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Networks {
    pub(crate) network: Option<String>,
    pub(crate) ip: Option<String>,
}

pub(crate) fn read(order: &Order) -> Answer<(Image, Networks)> {
    let image: Image = serde_json::from_str(&order.image).map_err(|error| {
        fault::rejected(format!(
            "the image is not what this driver takes, {{\"os\", \"system\", \"hardware\"?}}: {error}"
        ))
    })?;
    let networks: Networks = serde_json::from_str(&order.networks).map_err(|error| {
        fault::rejected(format!("the networks are not what this driver takes, {{\"network\"?, \"ip\"?}}: {error}"))
    })?;
    words::word("the host name", &order.hostname)?;
    for (what, given) in [("user data", order.user_data.is_some()), ("ssh keys", !order.ssh_keys.is_empty())] {
        if given {
            return Err(fault::rejected(format!(
                "the order has {what}, which CloudBoot cannot give to one server: its answer files are shared by all"
            )));
        }
    }
    if networks.ip.is_some() && networks.network.is_none() {
        return Err(fault::rejected("the networks have an address and do not say of which network"));
    }
    Ok((image, networks))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::Fault;
    use serde_json::json;

    fn order() -> Order {
        Order {
            node: "S".into(),
            image: json!({ "os": "centos6u7-x86_64", "system": 1 }).to_string(),
            hostname: "web-1".into(),
            user_data: None,
            ssh_keys: Vec::new(),
            networks: "{}".into(),
        }
    }

    #[test]
    fn an_image_names_its_templates_or_gives_their_ids() {
        let (image, networks) = read(&order()).unwrap();
        assert_eq!((image.os, image.system, image.hardware), (json!("centos6u7-x86_64"), json!(1), None));
        assert_eq!(networks, Networks::default());
    }

    #[test]
    fn what_cloudboot_cannot_be_given_is_rejected_by_name() {
        for (word, order) in [
            ("ssh keys", Order { ssh_keys: vec!["k".into()], ..order() }),
            ("user data", Order { user_data: Some(String::new()), ..order() }),
            (
                "callback",
                Order { image: json!({ "os": 1, "system": 1, "callback": "#!/bin/sh" }).to_string(), ..order() },
            ),
            ("missing field", Order { image: "{}".into(), ..order() }),
            ("of which network", Order { networks: json!({ "ip": "10.9.0.5" }).to_string(), ..order() }),
        ] {
            let refused = read(&order);
            assert!(matches!(&refused, Err(Fault::Rejected(why)) if why.contains(word)), "{word}: {refused:?}");
        }
    }
}
