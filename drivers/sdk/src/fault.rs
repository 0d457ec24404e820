//! One constructor per fault. The text is one sentence for people: what was tried on what, lower case, no full stop, no
//! secret.

use crate::Fault;
use std::time::Duration;

/// The host cuts or refuses a longer sentence. Source: `fault` in `wit/driver.wit`.
const LONGEST: usize = 2_000;

/// Try again, when the host thinks best; it counts as an attempt.
pub fn retry(sentence: impl Into<String>) -> Fault {
    Fault::Retry((short(sentence), None))
}

/// Try again, but not before so long.
pub fn retry_after(sentence: impl Into<String>, after: Duration) -> Fault {
    Fault::Retry((short(sentence), Some(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))))
}

/// This request can never work here.
pub fn rejected(sentence: impl Into<String>) -> Fault {
    Fault::Rejected(short(sentence))
}

/// Not now, not here: another backend might. Nothing was taken.
pub fn capacity(sentence: impl Into<String>) -> Fault {
    Fault::Capacity(short(sentence))
}

/// Something that is not ours stands in the way.
pub fn conflict(sentence: impl Into<String>) -> Fault {
    Fault::Conflict(short(sentence))
}

/// A person must look.
pub fn broken(sentence: impl Into<String>) -> Fault {
    Fault::Broken(short(sentence))
}

/// What a fault says, whichever it is.
pub fn sentence(fault: &Fault) -> &str {
    match fault {
        Fault::Retry((sentence, _))
        | Fault::Rejected(sentence)
        | Fault::Capacity(sentence)
        | Fault::Conflict(sentence)
        | Fault::Broken(sentence) => sentence,
    }
}

fn short(sentence: impl Into<String>) -> String {
    let mut sentence = sentence.into();
    crate::pause::shorten(&mut sentence, LONGEST);
    sentence
}
