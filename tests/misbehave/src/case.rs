//! The list of cases. A case that tries something reports what came of each try as a rejected fault, so that a test
//! reads it in the flow: "denied" is the sandbox at work, "reached" is a hole in it.

use crate::{greedy, network, session};
use moganite_driver::{Context, Fault, Pause, fault, wait};
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default)]
    case: Case,
    /// The verb that misbehaves; the others behave.
    #[serde(default)]
    verb: Verb,
    /// For `someone-elses-handle`.
    #[serde(default)]
    handle: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verb {
    #[default]
    Compose,
    Release,
    Claim,
    Unclaim,
    Enroll,
    Unenroll,
    Deploy,
    Undeploy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    #[default]
    None,
    /// Computes for ever.
    Spin,
    /// Takes memory for ever.
    Grow,
    /// Panics, with a message.
    Panic,
    /// Calls itself until the stack ends.
    Overflow,
    /// Sleeps for an hour.
    Sleep,
    /// Asks `http://metadata.internal/`, `http://127.0.0.1:1/` and the cloud's metadata address.
    ForeignHost,
    /// Asks its own endpoint with a user in front, or another one behind the `@`.
    Userinfo,
    /// Sends what its manifest does not ask for, to its own endpoint.
    Unasked,
    /// Sets the headers that are the gate's.
    SetAuthorization,
    /// Puts a placeholder into path and query, plain and escaped.
    PlaceholderInPath,
    /// Puts a placeholder into a header, and into a body where none is declared.
    PlaceholderElsewhere,
    /// Puts the password where it is declared (`POST /keep`, `/password`), and answers and logs what the far side says
    /// to it.
    EchoSecret,
    /// Sends a thousand requests in one call.
    RequestFlood,
    /// Answers a checkpoint of a mebibyte.
    HugeCheckpoint,
    /// Answers a note of a mebibyte.
    HugeNote,
    /// Answers facts of a mebibyte.
    HugeFacts,
    /// Answers facts that are no JSON.
    BadJsonFacts,
    /// Answers pending for ever.
    AlwaysPending,
    /// Logs ten thousand long lines, with line breaks and escapes in them.
    LogFlood,
    /// Answers the handle of the settings.
    SomeoneElsesHandle,
    /// Looks at environment, arguments, files and sockets.
    Env,
    /// Uses the session, logs in, uses it in a body and in headers, and answers all that it saw.
    LogIn,
    /// Uses the session without a login, and answers what it saw.
    UseSession,
    /// Puts the placeholders of the session and of the operator's secret where none is declared.
    SessionElsewhere,
}

/// What the verb answers.
pub(crate) enum Act {
    Behave,
    Pause(Pause),
    Facts(String),
    Handle(String),
}

pub(crate) fn act(cx: &Context, verb: Verb) -> Result<Act, Fault> {
    let settings: Settings = cx.settings()?;
    if settings.verb != verb {
        return Ok(Act::Behave);
    }
    match settings.case {
        Case::None => Ok(Act::Behave),
        Case::Spin => greedy::spin(),
        Case::Grow => greedy::grow(),
        Case::Panic => panic!("this driver panics, as it was told to"),
        Case::Overflow => Ok(Act::Facts(format!("{{\"depth\": {}}}", greedy::recurse(1)))),
        Case::Sleep => Ok(greedy::sleep()),
        Case::ForeignHost => tried(network::foreign_host()),
        Case::Userinfo => tried(network::userinfo()),
        Case::Unasked => tried(network::unasked()),
        Case::SetAuthorization => tried(network::set_authorization()),
        Case::PlaceholderInPath => tried(network::placeholder_in_path()),
        Case::PlaceholderElsewhere => tried(network::placeholder_elsewhere()),
        Case::EchoSecret => network::echo_secret().map(Act::Facts),
        Case::RequestFlood => tried(network::request_flood()),
        Case::HugeCheckpoint => {
            Ok(Act::Pause(Pause { checkpoint: vec![b'x'; greedy::HUGE], ..pause("a checkpoint too large")? }))
        }
        Case::HugeNote => Ok(Act::Pause(Pause { note: "x".repeat(greedy::HUGE), ..pause("")? })),
        Case::HugeFacts => Ok(Act::Facts(format!("{{\"x\": \"{}\"}}", "x".repeat(greedy::HUGE)))),
        Case::BadJsonFacts => Ok(Act::Facts("{\"never\": closed".into())),
        Case::AlwaysPending => pause("for something that never comes").map(Act::Pause),
        Case::LogFlood => Ok(greedy::log_flood()),
        Case::SomeoneElsesHandle => Ok(Act::Handle(settings.handle.unwrap_or_else(|| "someone-elses".into()))),
        Case::Env => tried(network::environment()),
        Case::LogIn => session::log_in().map(Act::Facts),
        Case::UseSession => session::used().map(Act::Facts),
        Case::SessionElsewhere => tried(session::elsewhere()),
    }
}

fn pause(note: &str) -> Result<Pause, Fault> {
    wait(&(), Duration::from_millis(100), note)
}

fn tried(outcomes: Vec<String>) -> Result<Act, Fault> {
    Err(fault::rejected(outcomes.join("; ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;

    #[test]
    fn the_schema_names_every_case_and_every_verb() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../settings.schema.json")).unwrap();
        for (field, count) in [("case", 25), ("verb", 8)] {
            let names = schema["properties"][field]["enum"].as_array().unwrap();
            assert_eq!(names.len(), count, "{field}");
            for name in names {
                let settings = serde_json::json!({ field: name }).to_string();
                testing::context(settings).settings::<Settings>().unwrap();
            }
        }
    }

    #[test]
    fn only_the_verb_that_was_named_misbehaves() {
        let cx = testing::context(r#"{"case": "panic", "verb": "deploy"}"#);
        assert!(matches!(act(&cx, Verb::Compose), Ok(Act::Behave)));
        let cx = testing::context(r#"{"case": "someone-elses-handle", "handle": "theirs"}"#);
        assert!(matches!(act(&cx, Verb::Compose), Ok(Act::Handle(handle)) if handle == "theirs"));
    }

    #[test]
    fn the_huge_ones_are_larger_than_the_contract_allows() {
        let act = |case| act(&testing::context(format!(r#"{{"case": "{case}"}}"#)), Verb::Compose);
        assert!(matches!(act("huge-checkpoint"), Ok(Act::Pause(pause)) if pause.checkpoint.len() > 65_536));
        assert!(matches!(act("huge-note"), Ok(Act::Pause(pause)) if pause.note.len() > 500));
        assert!(matches!(act("huge-facts"), Ok(Act::Facts(facts)) if facts.len() > 65_536));
    }
}
