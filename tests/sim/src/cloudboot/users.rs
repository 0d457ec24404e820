//! Login and tokens: a new token for each login, valid for ever; it comes in the body of what changes something.

use serde_json::json;
use uuid::Uuid;

use super::body::{self, Item};
use super::{Answered, content, done, refused};
use crate::call::{Answer, Call};
use crate::world::World;

/// The one Administrator.
pub(super) const USERNAME: &str = "admin";
const USER_ID: u64 = 1;

pub(super) fn login(world: &World, call: &Call) -> Answered {
    let body = body::object(call)?;
    let (username, password) = (body.text("Username")?, body.text("Password")?);
    if username.is_empty() || password.is_empty() {
        return Err(refused("用户名和密码不能为空"));
    }
    if username != USERNAME || password != world.options.cloudboot_password {
        return Err(refused("用户名或密码错误"));
    }
    let mut state = world.state();
    let token = state.fresh_uuid().parse::<Uuid>().unwrap_or_default().simple().to_string().to_uppercase();
    state.cloudboot.tokens.insert(token.clone());
    Ok(content(&json!({
        "ID": USER_ID, "Username": USERNAME, "Name": "admin", "Role": "Administrator", "AccessToken": token,
    })))
}

pub(super) fn logout(world: &World, call: &Call) -> Answered {
    let token = body::object(call)?.text("AccessToken")?;
    world.state().cloudboot.tokens.remove(&token);
    Ok(done())
}

/// Administrators only; without a Limit there are no rows.
pub(super) fn list(world: &World, call: &Call) -> Answered {
    let body = body::object(call)?;
    check(world, &body)?;
    let user = json!({"ID": USER_ID, "Username": USERNAME, "Role": "Administrator", "Status": "Enable",
        "Password": "21232F297A57A5A743894A0E4A801FC3"});
    let list = if body.number("Limit")? == 0 { vec![] } else { vec![user] };
    Ok(content(&json!({"list": list, "recordCount": 1})))
}

/// The id of the user whose token it is.
pub(super) fn check(world: &World, item: &Item) -> Result<u64, Answer> {
    let token = item.text("AccessToken")?;
    if token.is_empty() {
        return Err(refused("AccessToken 不能为空!"));
    }
    if !world.state().cloudboot.tokens.contains(&token) {
        return Err(refused("AccessToken 不正确!"));
    }
    Ok(USER_ID)
}
