//! Probe: which CloudBoot this is, whether it can be logged in to, and what is wrong with the settings. Changes nothing, but for a login
//! where there is no session.

use crate::enter::{Kind, any_template, template};
use crate::far::Far;
use crate::network;
use crate::said::Said;
use moganite_driver::{Answer, Fault, fault};
use serde_json::json;

pub(crate) fn probe(far: &Far) -> Answer<String> {
    let version = far.read("platformConfig/viewByName", &json!({ "Name": "Version" }))?;
    let version = version["Content"].as_str().unwrap_or("unknown");
    let mut problems = Vec::new();
    let mut note = |checked: Answer<()>| {
        if let Err(refused) = checked {
            problems.push(fault::sentence(&refused).to_owned());
        }
    };
    note(log_in(far));
    note(network::named(far, &far.settings.network).map(drop));
    match &far.settings.park {
        Some(park) => {
            note(template(far, Kind::Os, &json!(park.os)).map(drop));
            note(template(far, Kind::System, &json!(park.system)).map(drop));
        }
        None => {
            note(any_template(far, Kind::Os).map(drop));
            note(any_template(far, Kind::System).map(drop));
        }
    }
    Ok(json!({
        "version": version,
        "problems": problems,
        "abilities": { "shape": ["cpu", "memory", "disk", "nic"], "erase": ["none"] },
    })
    .to_string())
}

/// A read that needs an Administrator's token and, without a limit, answers no user.
fn log_in(far: &Far) -> Result<(), Fault> {
    match far.change_object("user/list", json!({}))? {
        Said::Done(_) => Ok(()),
        refused => Err(fault::broken(format!(
            "user {} is no Administrator of CloudBoot, so only servers that it owns can be lent (setting `pool_user`): {}",
            far.settings.username,
            refused.why()
        ))),
    }
}
