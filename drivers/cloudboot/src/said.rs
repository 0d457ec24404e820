//! What an answer means. CloudBoot answers 200 to nearly everything and tells in `Status` whether it did it; its messages are Chinese
//! prose without codes, so only the few that are named here are ever read, and everything else is found out by reading again.

use moganite_driver::{Fault, Reply, fault};
use serde_json::Value;

/// A refused token: `AccessToken 不正确!` or `AccessToken 不能为空!`.
const TOKEN: &str = "AccessToken";
/// No such device, in the two ways that it is said.
const ABSENT: [&str; 2] = ["设备不存在", "record not found"];
const ALREADY_ON: &str = "已开机";
const ALREADY_OFF: &str = "已关机";

/// An answer that was given, whatever it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// With the content; null where there is none.
    Done(Value),
    /// Nothing done, with the message. `error` and `failure` mean the same.
    Refused(String),
    /// The gate has no session token yet, and sent nothing.
    NoSession,
}

pub(crate) fn sort(reply: Reply) -> Result<Said, Fault> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match (reply.status, body["Status"].as_str()) {
        (200, Some("success")) => Ok(Said::Done(body["Content"].clone())),
        (200, Some("error" | "failure")) => Ok(Said::Refused(message(&body))),
        (401, _) if body.get("gate").is_some() => Ok(Said::NoSession),
        (404 | 405, _) => Err(fault::broken(format!("{}: is this CloudBoot 1.4 or newer?", reply.sentence()))),
        (500..600 | 200 | 408 | 429, _) => Err(fault::retry(reply.sentence())),
        _ => Err(fault::broken(reply.sentence())),
    }
}

impl Said {
    /// The content; a refusal is `retry`, where the driver knows nothing better: CloudBoot says database errors in the same way.
    pub(crate) fn content(self, doing: &str) -> Result<Value, Fault> {
        match self {
            Self::Done(content) => Ok(content),
            other => Err(fault::retry(format!("{doing}: {}", other.why()))),
        }
    }

    pub(crate) fn why(&self) -> String {
        match self {
            Self::Done(_) => "CloudBoot answered success".into(),
            Self::Refused(message) => format!("CloudBoot refused: {message}"),
            Self::NoSession => "there is no session".into(),
        }
    }

    pub(crate) fn wants_login(&self) -> bool {
        *self == Self::NoSession || self.says(&[TOKEN])
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.says(&ABSENT)
    }

    pub(crate) fn is_already_on(&self) -> bool {
        self.says(&[ALREADY_ON])
    }

    pub(crate) fn is_already_off(&self) -> bool {
        self.says(&[ALREADY_OFF])
    }

    fn says(&self, texts: &[&str]) -> bool {
        matches!(self, Self::Refused(message) if texts.iter().any(|text| message.contains(text)))
    }
}

fn message(body: &Value) -> String {
    body["Message"].as_str().filter(|message| !message.is_empty()).unwrap_or("it gave no reason").to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;
    use serde_json::json;

    fn said(status: u16, body: Value) -> Result<Said, Fault> {
        sort(testing::reply(status, body).unwrap())
    }

    #[test]
    fn a_200_is_judged_by_its_status_and_nothing_else() {
        assert_eq!(said(200, json!({"Status": "success", "Message": "m"})), Ok(Said::Done(Value::Null)));
        for word in ["error", "failure"] {
            assert_eq!(said(200, json!({"Status": word, "Message": "m"})), Ok(Said::Refused("m".into())));
        }
        assert!(matches!(said(200, json!("<html>")), Err(Fault::Retry(_))));
        assert!(matches!(said(500, json!({"Error": "goroutine 1"})), Err(Fault::Retry(_))));
        assert!(matches!(said(404, json!({"Error": "Resource not found"})), Err(Fault::Broken(_))));
    }

    #[test]
    fn a_missing_and_a_refused_token_both_want_a_login() {
        assert!(said(401, json!({"gate": "no session token"})).unwrap().wants_login());
        assert!(said(200, json!({"Status": "error", "Message": "AccessToken 不正确!"})).unwrap().wants_login());
        assert!(!said(200, json!({"Status": "error", "Message": "该IP已存在"})).unwrap().wants_login());
    }
}
