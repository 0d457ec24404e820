//! Secrets that are planted here beside the service's own; what may be seen of them at a far side is what was granted there.

use canary::Canaries;
use scenarios::BMC_PASSWORD;

use crate::far::{Far, Got, SUBJECT, TOKEN};

/// The password of the machines of the attacker's backend; JSON must escape it.
pub(crate) const ACCESS: &str = "hostile-canary/\"access\"-91d4";
/// What the operator granted the attacker for its login.
pub(crate) const LOGIN: &str = "hostile-canary-login-c05e";

pub(crate) fn planted() -> Canaries {
    Canaries::of(&[
        ("the BMC's password", BMC_PASSWORD),
        ("the access", ACCESS),
        ("the login", LOGIN),
        ("the session", TOKEN),
        ("the subject", SUBJECT),
    ])
}

/// What a far side got: each secret where it was granted, and nowhere else.
pub(crate) fn scan_far(canaries: &Canaries, far: &Far) -> Vec<Got> {
    let got = far.take();
    for one in &got {
        let place = format!("a request {} {}", one.method, one.path);
        canaries.scan(&place, one.path.as_bytes());
        if !matches!((one.method.as_str(), one.path.as_str()), ("POST", "/keep" | "/login" | "/jobs/7")) {
            canaries.scan(&place, one.body.as_bytes());
        }
        if !one.path.starts_with("/jobs/") && one.path != "/subject" {
            canaries.scan(&place, one.headers.as_bytes());
        }
    }
    got
}
