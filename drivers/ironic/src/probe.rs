//! Probe: which Ironic this is, what is wrong with the settings, and which erase levels it reaches. Changes nothing.

use crate::api::{Ironic, Said};
use crate::erasing::Plan;
use crate::settings::{Reach, Settings};
use moganite_driver::{Answer, Context, Fault};
use serde_json::json;

pub(crate) fn probe(cx: &Context) -> Answer<String> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    let versions = ironic.versions()?;
    let mut problems = settings.problems();
    match versions.problem() {
        Some(problem) => problems.push(problem),
        None => problems.extend(refused(&ironic)?),
    }
    let levels: Vec<&str> = [Reach::None, Reach::Quick, Reach::Full]
        .into_iter()
        .filter(|level| !matches!(Plan::of(&settings, *level, Some(settings.automated_clean)), Plan::OutOfReach(_)))
        .map(Reach::word)
        .collect();
    let answer = json!({
        "version": versions.newest(),
        "problems": problems,
        "abilities": { "microversion": versions.spoken().map(|minor| format!("1.{minor}")), "erase": levels, "configdrive": settings.configdrive, "inspects": settings.inspect },
    });
    Ok(answer.to_string())
}

/// Whether a read that needs credentials is refused; `GET /` needs none.
fn refused(ironic: &Ironic) -> Answer<Option<String>> {
    match ironic.get("/v1/nodes?limit=1") {
        Ok(Said::Done(_)) => Ok(None),
        Ok(other) => Ok(Some(format!("ironic does not list its nodes: {other:?}"))),
        Err(Fault::Broken(why)) => Ok(Some(why)),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;
    use serde_json::Value;

    #[test]
    fn a_refused_credential_is_a_problem_and_not_a_failed_probe() {
        testing::far_side(|request| match request.path.as_str() {
            "/" => {
                let versions = json!({ "default_version": { "min_version": "1.1", "version": "1.115" } });
                testing::reply(200, versions)
            }
            _ => testing::reply(401, json!({ "error": { "message": "Authorization required", "code": 401 } })),
        });
        let answer = probe(&testing::context(r#"{"erases":"quick"}"#)).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["version"], "1.115");
        assert!(answer["problems"][0].as_str().unwrap().contains("Authorization required"));
        assert_eq!(answer["abilities"]["erase"], json!(["none", "quick"]));
    }
}
