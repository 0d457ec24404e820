//! The list of cases. A case that tries something reports what came of each try as a rejected fault, so that a test
//! reads it in the flow: "denied" is the sandbox at work, "reached" is a hole in it.

use crate::{greedy, network, session, words};
use moganite_driver::{Context, Fault, Identity, Pause, fault, wait};
use serde::Deserialize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default)]
    case: Case,
    /// The verb that misbehaves; the others behave.
    #[serde(default)]
    verb: Verb,
    /// Of the verbs that several roles have (find, list), the role that misbehaves; none: all of them.
    #[serde(default)]
    role: Option<Role>,
    /// For `someone-elses-handle`.
    #[serde(default)]
    handle: Option<String>,
    /// For `someone-elses-identity`: a uuid.
    #[serde(default)]
    uuid: Option<String>,
    /// For `requests`.
    #[serde(default)]
    requests: Vec<network::Try>,
    /// `find` answers that what it is asked for is still there.
    #[serde(default)]
    pub(crate) kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    Driver,
    Compose,
    Claim,
    Enroll,
    Deploy,
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
    Probe,
    Find,
    List,
    Refresh,
    SetPower,
    Observe,
    /// All of them.
    Every,
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
    /// Uses the session, and logs in when it is told that there is none, as an honest driver does.
    LogInWhenAsked,
    /// Is told that there is no session, and calls a far side that does not answer in place of logging in.
    AskedAndHangs,
    /// Puts the placeholders of the session and of the operator's secret where none is declared.
    SessionElsewhere,
    /// Ends itself as a crash does.
    Abort,
    /// Ends itself with the status 0, as if all were well.
    Exit,
    /// Asks the host for the time for ever.
    SpinInHost,
    /// Asks for a terabyte of randomness at once.
    RandomFlood,
    /// Opens resources of the host for ever.
    ResourceFlood,
    /// Writes to standard output and standard error for ever.
    OutputFlood,
    /// Answers facts of 20 MiB.
    HugeString,
    /// Answers a hundred thousand items where there is a list.
    ManyItems,
    /// Answers facts that are nested a hundred thousand deep.
    DeepFacts,
    /// Behaves: reads the deepest JSON that its reader takes, and answers how deep it is.
    DeepestJson,
    /// Answers markup, formulas and escapes in every field.
    Markup,
    /// Answers how often this instance of the component was called.
    CountCalls,
    /// Sends the requests of the settings, and says what came of each.
    Requests,
    /// Sends a body of a mebibyte.
    HugeBody,
    /// Always asks to be called again, at once.
    RetryStorm,
    /// Asks to be called again after half a million years.
    RetryNever,
    /// Answers pending, to be called at once, for ever.
    PendingStorm,
    /// Fails with markup and escapes in the fault.
    MarkupFault,
    /// Fails with a fault of a mebibyte.
    HugeFault,
    /// Answers the identity of the settings.
    SomeoneElsesIdentity,
    /// Takes what the far side says to a secret, and puts it into log, note and checkpoint.
    LeakByNote,
    /// The same into a fault.
    LeakByFault,
    /// Panics when its far side says so, which knows the versions by their user agents: one that broke, beside one that works.
    AsTold,
}

/// What the verb answers.
pub(crate) enum Act {
    Behave,
    Pause(Pause),
    Facts(String),
    Handle(String),
    Identity(Identity),
    /// This text in every field that takes one.
    Text(String),
    /// So many items in every list.
    Many(usize),
}

/// More than once only in an instance that lived longer than one call.
static CALLS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn act(cx: &Context, role: Role, verb: Verb) -> Result<Act, Fault> {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let settings: Settings = cx.settings()?;
    if (settings.verb != verb && settings.verb != Verb::Every) || settings.role.is_some_and(|named| named != role) {
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
        Case::LogInWhenAsked => session::log_in_when_asked().map(Act::Facts),
        Case::AskedAndHangs => session::asked_and_hangs().map(Act::Facts),
        Case::SessionElsewhere => tried(session::elsewhere()),
        Case::Abort => std::process::abort(),
        Case::Exit => std::process::exit(0),
        Case::SpinInHost => greedy::spin_in_host(),
        Case::RandomFlood => Ok(Act::Facts(format!("{{\"bytes\": {}}}", greedy::random_flood()))),
        Case::ResourceFlood => Ok(Act::Facts(format!("{{\"resources\": {}}}", greedy::resource_flood()))),
        Case::OutputFlood => greedy::output_flood(),
        Case::HugeString => Ok(Act::Facts("x".repeat(20 * greedy::HUGE))),
        Case::ManyItems => Ok(Act::Many(100_000)),
        Case::DeepFacts => Ok(Act::Facts(format!("{{\"x\": {}{}}}", "[".repeat(30_000), "]".repeat(30_000)))),
        Case::DeepestJson => greedy::deepest_json().map(|levels| Act::Facts(format!("{{\"levels\": {levels}}}"))),
        Case::Markup => Ok(Act::Text(words::MARKUP.into())),
        Case::CountCalls => Ok(Act::Facts(format!("{{\"calls\": {calls}}}"))),
        Case::Requests => tried(settings.requests.iter().enumerate().map(network::one).collect()),
        Case::HugeBody => tried(vec![network::huge_body()]),
        Case::RetryStorm => Err(Fault::Retry(("again, at once".into(), Some(0)))),
        Case::RetryNever => Err(Fault::Retry(("again, much later".into(), Some(u64::MAX)))),
        Case::PendingStorm => Ok(Act::Pause(Pause { after: 0, ..pause("at once")? })),
        Case::MarkupFault => Err(fault::rejected(format!("{}{}", words::MARKUP, words::ESCAPES))),
        Case::HugeFault => Err(fault::rejected("x".repeat(greedy::HUGE))),
        Case::SomeoneElsesIdentity => {
            Ok(Act::Identity(Identity { system_uuid: settings.uuid, serial: None, macs: Vec::new() }))
        }
        Case::LeakByNote => {
            let said = network::echo_secret()?;
            Ok(Act::Pause(Pause { checkpoint: said.clone().into_bytes(), ..pause(&said)? }))
        }
        Case::LeakByFault => Err(fault::rejected(network::echo_secret()?)),
        Case::AsTold => network::as_told().map(|()| Act::Behave),
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
        for (field, count) in [("case", 50), ("verb", 15), ("role", 5)] {
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
        assert!(matches!(act(&cx, Role::Compose, Verb::Compose), Ok(Act::Behave)));
        let cx = testing::context(r#"{"case": "someone-elses-handle", "handle": "theirs"}"#);
        assert!(matches!(act(&cx, Role::Compose, Verb::Compose), Ok(Act::Handle(handle)) if handle == "theirs"));
    }

    #[test]
    fn the_huge_ones_are_larger_than_the_contract_allows() {
        let act = |case: &str| {
            super::act(&testing::context(format!(r#"{{"case": "{case}"}}"#)), Role::Compose, Verb::Compose)
        };
        assert!(matches!(act("huge-checkpoint"), Ok(Act::Pause(pause)) if pause.checkpoint.len() > 65_536));
        assert!(matches!(act("huge-note"), Ok(Act::Pause(pause)) if pause.note.len() > 500));
        assert!(matches!(act("huge-facts"), Ok(Act::Facts(facts)) if facts.len() > 65_536));
    }
}
