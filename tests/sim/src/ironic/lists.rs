//! `GET /v1/nodes`: filters, chosen fields, pages. A page has at most 1,000 nodes and says where the next one is.

use serde_json::{Value, json};

use super::store::Node;
use super::version::Version;
use super::{Answered, base, errors, ok, view};
use crate::call::{Answer, Call};
use crate::world::World;

const LARGEST_PAGE: usize = 1_000;

/// Filters that compare a field with a text.
const EQUAL: [&str; 9] = [
    "provision_state",
    "driver",
    "resource_class",
    "owner",
    "lessee",
    "instance_uuid",
    "conductor",
    "conductor_group",
    "fault",
];
/// Filters that want true or false.
const FLAGS: [&str; 4] = ["associated", "maintenance", "retired", "sharded"];
const OTHERS: [&str; 8] =
    ["fields", "detail", "limit", "marker", "sort_key", "sort_dir", "description_contains", "project"];

pub(super) fn nodes(world: &World, version: Version, call: &Call, detail: bool) -> Answered {
    let known = |name: &str| EQUAL.contains(&name) || FLAGS.contains(&name) || OTHERS.contains(&name);
    if let Some((name, _)) = call.query.iter().find(|(name, _)| !known(name)) {
        return Err(errors::bad_request(&format!("Unexpected arguments: {name}")));
    }
    let detail = detail || flag(call, "detail")?.unwrap_or(false);
    let fields = fields(call, version, detail)?;

    let state = world.state();
    let mut chosen: Vec<Row<'_>> = Vec::new();
    for node in &state.ironic.nodes {
        let whole = view::node(world, &state, node, Version::MAX, None);
        if fits(call, node, &whole)? {
            chosen.push((node, whole));
        }
    }
    if let Some(key) = call.parameter("sort_key") {
        if !view::is_field(key) && key != "updated_at" {
            return Err(errors::bad_request(&format!("The sort_key value \"{key}\" is an invalid field for sorting")));
        }
        chosen.sort_by_key(|(_, whole)| whole[key].to_string());
    }
    if call.parameter("sort_dir") == Some("desc") {
        chosen.reverse();
    }
    let (page, next) = page(call, &chosen)?;
    let bodies: Vec<Value> =
        page.iter().map(|(node, _)| view::node(world, &state, node, version, fields.as_deref())).collect();
    let mut body = json!({"nodes": bodies});
    if let Some(marker) = next {
        body["next"] = json!(next_url(world, call, marker));
    }
    Ok(ok(&body))
}

/// None: all of them.
fn fields(call: &Call, version: Version, detail: bool) -> Result<Option<Vec<&str>>, Answer> {
    match call.parameter("fields") {
        Some(_) if detail => Err(errors::bad_request("Can't fetch a subset of fields with 'detail' set")),
        Some(text) => {
            let fields: Vec<&str> = text.split(',').collect();
            if let Some(field) = fields.iter().find(|field| !view::is_field(field)) {
                // A list falls over what a single node refuses with 400.
                return Err(errors::client(
                    axum::http::StatusCode::INTERNAL_SERVER_ERROR,
                    &format!("Field {field} is not known"),
                ));
            }
            match fields.iter().all(|field| version.knows(field)) {
                true => Ok(Some(fields)),
                false => Err(errors::unknown_to_version()),
            }
        }
        None if detail => Ok(None),
        None => Ok(Some(view::BRIEF.to_vec())),
    }
}

fn fits(call: &Call, node: &Node, whole: &Value) -> Result<bool, Answer> {
    for name in EQUAL {
        if let Some(wanted) = call.parameter(name)
            && whole[name] != wanted
        {
            return Ok(false);
        }
    }
    for name in FLAGS {
        if let Some(wanted) = flag(call, name)? {
            let is = match name {
                "associated" => node.instance_uuid().is_some(),
                "maintenance" => node.maintenance,
                "retired" => node.flag("retired"),
                _ => !whole["shard"].is_null(),
            };
            if is != wanted {
                return Ok(false);
            }
        }
    }
    let part = call.parameter("description_contains").unwrap_or_default();
    Ok(part.is_empty() || whole["description"].as_str().is_some_and(|text| text.contains(part)))
}

fn flag(call: &Call, name: &str) -> Result<Option<bool>, Answer> {
    let Some(text) = call.parameter(name) else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Some(true)),
        "false" | "0" | "no" | "off" => Ok(Some(false)),
        _ => Err(errors::bad_request(&format!("Expected boolean for {name}: Unrecognized value '{text}'"))),
    }
}

/// A node, and what it shows.
type Row<'a> = (&'a Node, Value);

/// The nodes of this page, and the last one's uuid when more follow.
fn page<'a, 'b>(call: &Call, chosen: &'a [Row<'b>]) -> Result<(&'a [Row<'b>], Option<&'b str>), Answer> {
    let limit = match call.parameter("limit").map(str::parse::<usize>) {
        None | Some(Ok(0)) => LARGEST_PAGE,
        Some(Ok(limit)) => limit.min(LARGEST_PAGE),
        Some(Err(_)) => return Err(errors::bad_request("Limit must be positive")),
    };
    let start = match call.parameter("marker") {
        None => 0,
        Some(marker) => {
            let at = chosen.iter().position(|(node, _)| node.uuid == marker);
            1 + at.ok_or_else(|| errors::not_found(&format!("Node {marker} could not be found.")))?
        }
    };
    let rest = &chosen[start..];
    let page = &rest[..limit.min(rest.len())];
    let next = if rest.len() > page.len() { page.last().map(|(node, _)| node.uuid.as_str()) } else { None };
    Ok((page, next))
}

fn next_url(world: &World, call: &Call, marker: &str) -> String {
    let kept = call.query.iter().filter(|(name, _)| name != "marker").map(|(name, value)| format!("{name}={value}"));
    let query: Vec<String> = kept.chain([format!("marker={marker}")]).collect();
    format!("{}{}?{}", base(world), call.path, query.join("&"))
}
