//! The one table from a problem's code to its status. A code is stable: callers may rely on it.

/// What is always the same about a problem.
pub(super) struct Row {
    pub(super) code: &'static str,
    pub(super) status: u16,
    pub(super) title: &'static str,
    pub(super) what_to_do: &'static str,
}

/// A code that is in no row counts as a refusal of what was asked.
pub(super) fn find(code: &str) -> &'static Row {
    const OTHER: Row = row("", 422, "Refused", "the detail says what stands against it");
    TABLE.iter().find(|row| row.code == code).unwrap_or(&OTHER)
}

const fn row(code: &'static str, status: u16, title: &'static str, what_to_do: &'static str) -> Row {
    Row { code, status, title, what_to_do }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // The request itself.
    row("malformed-json", 400, "The body is no JSON", "send JSON; the detail names line and column"),
    row("invalid-parameter", 400, "A parameter does not fit", "see /openapi.json for what this route takes"),
    row("invalid-cursor", 400, "The cursor is not one of this list", "begin again without a cursor"),
    row("invalid-idempotency-key", 400, "The Idempotency-Key does not fit", "send 1 to 255 visible ASCII characters, best a fresh UUID"),
    row("unreadable-body", 400, "The body could not be read", "send it again"),
    row("no-token", 401, "A token is needed", "send Authorization: Bearer with a token of this installation"),
    row("unknown-token", 401, "The token is not known", "ask an operator for a token, or send none while the service has no credentials"),
    row("role-too-small", 403, "The token's role does not allow this", "use a token with the role that the detail names"),
    row("wrong-host", 403, "The Host header does not name this service", "use the address that serve printed; other names are refused while there are no credentials"),
    row("cross-origin", 403, "A web page of another origin asks", "make the request outside a browser; pages are refused while there are no credentials"),
    row("no-such-route", 404, "There is no such route", "see /openapi.json"),
    row("not-found", 404, "There is no such thing", "look at the list; it may be gone, or belong to another project"),
    row("instance-gone", 404, "The instance is gone", "nothing: its machine is off and given back; its flow is still to be read"),
    row("no-such-method", 405, "The route does not take this method", "see /openapi.json"),
    row("not-acceptable-type", 415, "The body has the wrong content type", "set Content-Type as /openapi.json says"),
    row("body-too-large", 413, "The body is too large", "send less"),
    row("invalid-field", 422, "A field does not fit", "change the field that the detail names"),
    // What it names.
    row("unknown-flavor", 422, "The flavor is not known", "see GET /v1/flavors; an operator adds flavors"),
    row("unknown-image", 422, "The image is not known", "see GET /v1/images; an operator registers images"),
    row("unknown-backend", 422, "The backend is not known", "add it with PUT /v1/backends/NAME, or name another"),
    row("unknown-network", 422, "The network is not known", "see GET /v1/networks; an operator registers networks"),
    row("unknown-secret", 422, "The secret is not known", "set it with PUT /v1/secrets/NAME"),
    row("unknown-reference", 422, "It names what does not exist", "change the field that the detail names"),
    row("ambiguous-plugin", 422, "Several plugins fit", "name one by its digest"),
    // What stands against it.
    row("already-exists", 409, "It exists with another content", "use PUT to change it, or give another name"),
    row("idempotency-key-reused", 422, "The Idempotency-Key came with another request", "use a fresh key for a fresh request"),
    row("stale-revision", 412, "It was changed since it was read", "read it again and send its ETag in If-Match"),
    row("if-match-required", 428, "It exists: say which state is changed", "read it and send its ETag in If-Match"),
    row("in-use", 409, "It is in use", "change what uses it first; the detail names it"),
    row("last-operator-token", 409, "Nobody could be operator any more", "create another operator token first"),
    row("first-token-operator", 409, "The first token must be an operator's", "create an operator token first"),
    row("refused", 409, "Refused by a rule of the data", "the detail says what stands against it"),
    // What lifecycle refuses.
    row("image-not-for-backend", 422, "The image is not registered for a backend of the route", "register what the backend calls the image, or take another flavor"),
    row("network-not-for-backend", 422, "The network is not registered for a backend of the route", "register what the backend calls the network, or take another"),
    row("networks-do-not-fit", 422, "The networks do not fit together", "leave out one of those that the detail names"),
    row("node-of-composed-flavor", 422, "A node can be chosen for pre-set flavors only", "leave out `node`, or take a flavor that claims"),
    row("flavor-not-expressible", 422, "The backend cannot express this flavor", "change the shape, or the route; the detail names what cannot be said"),
    row("flavor-not-for-backend", 422, "The flavor is not deployed at this backend", "name a flavor whose route has the backend under deploy"),
    row("flavor-not-for-project", 409, "The flavor's backends are not open to this project", "order another flavor, or ask an operator"),
    row("instance-not-adopted", 409, "The machine was never taken over", "delete the instance, which leaves the machine as it is, and adopt it again"),
    row("backend-without-role", 422, "The backend's plugin has not the role", "take the backend out of the route, or name one whose plugin has the role"),
    row("swap-cannot-undo", 409, "The plugin cannot undo what is held", "take a plugin with the roles that the detail lists, or delete those instances first"),
    row("backend-probe-failed", 502, "The far side did not answer as it should", "look at the backend's endpoint and its service, then try again"),
    row("orphan-not-releasable", 409, "The orphan is not released or kept as asked", "the detail says what stands against it"),
    row("not-stopped", 409, "The brake does not hold there", "nothing: releases go on"),
    row("not-reconciled", 409, "The reconcile does not allow it", "GET /v1/reconcile says what is to do"),
    row("instance-busy", 409, "Another flow works on the instance", "wait until it ended: the instance names it"),
    row("flow-ended", 409, "The flow ended", "there is nothing to pause any more"),
    row("not-paused", 409, "It is not paused", "look at it: only what is paused is resumed"),
    row("not-frozen", 409, "The service is not frozen", "there is nothing to unfreeze"),
    row("plugin-not-bound", 409, "The backend was never bound to that plugin", "swap the backend to it first, then hand the flow over"),
    row("no-such-debt", 409, "There is no such debt", "GET /v1/debts lists what is owed; an undo that is under way is no debt yet"),
    row("quota-exceeded", 409, "The project has as many instances as it may have", "delete an instance first, or ask an operator for a larger quota"),
    row("flow-does-not-rest", 409, "The flow does not wait for a person", "look at the flow: a person moves one that needs an operator, and hands over one whose plugin is stopped"),
    // What the driver side refuses.
    row("plugin-not-a-component", 422, "The file is no component", "build it for wasm32-wasip2 and pack it with `moganite plugin pack`"),
    row("plugin-truncated", 422, "The file is cut off", "send the whole file"),
    row("plugin-no-manifest", 422, "The component has no manifest", "pack it with `moganite plugin pack`"),
    row("plugin-manifest-invalid", 422, "The manifest does not fit", "change what the detail names and pack it again"),
    row("plugin-no-driver", 422, "The component is no driver", "export the contract's `driver` beside the roles"),
    row("plugin-export-unknown", 422, "The component exports what is not in the contract", "export only interfaces of the contract"),
    row("plugin-import-not-offered", 422, "The component imports what a driver does not get", "do without it: a driver has log and HTTP"),
    row("plugin-contract-version", 422, "The component is of another contract version", "build it against the contract that GET /v1 names"),
    row("plugin-compile-failed", 422, "The component does not compile", "the detail says why; build it again"),
    row("plugin-too-large", 413, "The plugin's file is too large", "build it smaller: profile with opt-level s, without debug info"),
    row("plugin-not-kept", 503, "The file could not be kept", "look at the state folder's disk, then try again"),
    row("plugin-unreadable", 422, "The file cannot be read", "look at the file and its folder"),
    row("plugin-changed", 422, "The kept file is not what its name says", "send the plugin's file again"),
    row("plugin-refused", 409, "The plugin was refused", "GET /v1/plugins says why; name another"),
    row("plugin-unknown", 422, "The plugin is not known", "add its file with POST /v1/plugins"),
    row("plugin-asks-more", 409, "The plugin asks for more than was granted", "look at the lines of asks_more; repeat them in `grant` to grant them (`moganite backend swap NAME PLUGIN --grant`, `moganite apply --grant`)"),
    row("plugin-asks-nothing", 422, "The plugin asks for no requests", "pack it with `[[requests]]` in its manifest"),
    row("request-not-asked", 422, "A request is granted that the plugin does not ask for", "grant what its manifest asks for, or less: GET /v1/plugins/DIGEST shows it"),
    row("plugin-denied", 409, "The plugin is denied", "take another file; GET /v1/stopped-plugins says why"),
    row("plugin-disabled", 409, "The plugin is disabled", "enable it first, or take another; GET /v1/stopped-plugins says why"),
    row("plugin-already-bound", 409, "The backend has this plugin already", "name another one"),
    row("canary-running", 409, "A canary runs at this backend", "promote it or roll it back first"),
    row("no-canary", 409, "No canary runs at this backend", "GET /v1/backends/NAME shows what is on trial there"),
    row("nothing-before", 409, "There is nothing to roll back to", "swap the backend to a plugin by its digest"),
    row("plugin-below-floor", 409, "The plugin is older than its floor", "take a newer version; GET /v1/plugin-floors lists the floors"),
    row("plugin-not-stopped", 409, "The plugin is not stopped in this way", "nothing: GET /v1/stopped-plugins lists those that are"),
    row("settings-invalid", 422, "The settings do not fit the plugin's schema", "change what the detail names; GET /v1/plugins/DIGEST shows the schema"),
    row("endpoint-not-bound", 422, "An endpoint of the manifest is not bound", "add it to the backend's endpoints"),
    row("endpoint-unknown", 422, "The manifest has no such endpoint", "use the names that GET /v1/plugins/DIGEST shows"),
    row("endpoint-url-invalid", 422, "An endpoint's URL does not fit", "give an http or https origin with a path, without query and user"),
    row("endpoint-auth-not-allowed", 422, "The manifest does not take this kind of authentication", "use one that the detail lists"),
    row("endpoint-ca-invalid", 422, "The certificates are not readable", "give PEM certificates"),
    row("endpoint-pin-invalid", 422, "The pin is no digest", "give sha256: and 64 hex digits of the far side's certificate"),
    row("grant-invalid", 422, "The grant does not fit its place", "give what the detail names"),
    row("grant-unknown-place", 422, "The manifest declares no such place", "grant one that the detail lists"),
    // Us.
    row("unavailable", 503, "The service cannot do it now", "try again; the log says more"),
    row("backup-not-made", 503, "The backup was not made", "look at the state folder and its disk, then try again"),
    row("disk-full", 507, "The disk of the state folder is full", "make room there; nothing was changed, and what runs goes on by itself"),
    row("database-locked", 503, "The database is locked", "end the process that has the state folder's database open, then try again; what runs goes on by itself"),
    row("database-read-only", 503, "The database cannot be written", "look at the rights of the state folder and its file system; what runs goes on by itself then"),
    row("no-randomness", 503, "The system gives no random bytes", "look at the host, then try again"),
    row("internal", 500, "Something broke inside", "look for the request id in the log"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn no_code_stands_in_the_table_twice() {
        let mut codes: Vec<_> = TABLE.iter().map(|row| row.code).collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn every_code_of_the_layers_below_stands_in_the_table() {
        let codes = codes_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        assert!(codes.len() > 10, "{codes:?}");
        let missing: Vec<_> = codes.iter().filter(|code| !TABLE.iter().any(|row| row.code == code.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// What stands in quotes right after `Refusal::new(` and `code:`.
    fn codes_below(folder: &Path) -> BTreeSet<String> {
        let mut codes = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                codes.extend(codes_below(&path));
            } else if !path.to_string_lossy().contains("/api") {
                let text = std::fs::read_to_string(&path).unwrap();
                let after = ["Refusal::new(", "code:"].into_iter().flat_map(|word| text.split(word).skip(1));
                codes.extend(
                    after.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned)),
                );
            }
        }
        codes
    }

    #[test]
    fn a_code_of_no_row_is_a_refusal_and_not_a_failure_of_ours() {
        assert_eq!(find("something-new").status, 422);
    }
}
