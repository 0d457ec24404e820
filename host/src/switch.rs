//! Protections that a test takes away one at a time, to see that the checks miss it. In what is shipped every one holds.

use crate::model::Role;

/// One protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// The task of this name reverts what it did, or undoes what it is an undo of.
    Revert(&'static str),
    /// An undo of this role calls its driver and looks before it settles the holding.
    Undo(Role),
    /// The driver's undo of this role does what it says that it did.
    Honest(Role),
    /// An undo of this role asks `find`, and believes it.
    Find(Role),
    /// A guard of a statement.
    Guard(Guard),
}

macro_rules! guards {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A condition without which a statement must not change anything.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Guard {
            $($(#[$doc])* $name),+
        }

        #[cfg(any(test, feature = "testing"))]
        impl Guard {
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

guards! {
    /// A transition is made from the revision that it was decided on.
    Revision,
    /// No two instances hold one handle.
    Handle,
    /// No two instances hold one machine.
    Identity,
    /// Only a flow that rests is retried.
    Rests,
    /// One flow at a time works on an instance.
    OneFlow,
    /// No flow starts on an instance that is created or deleted.
    Startable,
    /// A second delete answers the first.
    DeletedOnce,
    /// What is gone is not deleted.
    NotGone,
    /// A flow that ends does not move an instance out of deleting.
    StaysDeleting,
    /// A key creates once.
    Idempotency,
    /// A key belongs to one request.
    SameRequest,
    /// A binding is written over the one that its writer saw.
    Newest,
    /// At an exclusive backend only the first in line is due.
    Turn,
    /// A delete is due when the create ended that it cancels.
    Follows,
    /// A flow that somebody paused is not due.
    PausedFlow,
    /// None at a backend that somebody paused is.
    PausedBackend,
    /// None whose plugin somebody stopped is.
    StoppedPlugin,
    /// None whose plugin broke too often to be called is.
    Breaker,
    /// None at all while everything is frozen.
    Frozen,
    /// A debt is written off, and nothing else.
    Owed,
}

/// Whether it is in force.
#[cfg(not(any(test, feature = "testing")))]
#[inline]
pub(crate) fn holds(_: Switch) -> bool {
    true
}

/// `sql`, in which `guard` stands as `text`; with the guard taken away `without` stands there.
#[cfg(not(any(test, feature = "testing")))]
#[inline]
pub(crate) fn guarded(
    _: Guard,
    sql: impl Into<std::borrow::Cow<'static, str>>,
    _: &str,
    _: &str,
) -> std::borrow::Cow<'static, str> {
    sql.into()
}

#[cfg(any(test, feature = "testing"))]
pub use taken::*;

#[cfg(any(test, feature = "testing"))]
mod taken {
    use std::borrow::Cow;
    use std::sync::{Mutex, PoisonError};

    use super::{Guard, Switch};

    static TAKEN: Mutex<Vec<Switch>> = Mutex::new(Vec::new());

    /// Gives the protections back when it is dropped.
    pub struct Taken(Vec<Switch>);

    /// Takes these away, in the whole process.
    pub fn take(switches: &[Switch]) -> Taken {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).extend(switches);
        Taken(switches.to_vec())
    }

    impl Drop for Taken {
        fn drop(&mut self) {
            let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
            for switch in &self.0 {
                if let Some(at) = taken.iter().position(|taken| taken == switch) {
                    taken.swap_remove(at);
                }
            }
        }
    }

    pub(crate) fn holds(switch: Switch) -> bool {
        !TAKEN.lock().unwrap_or_else(PoisonError::into_inner).contains(&switch)
    }

    pub(crate) fn guarded(
        guard: Guard,
        sql: impl Into<Cow<'static, str>>,
        text: &str,
        without: &str,
    ) -> Cow<'static, str> {
        let sql = sql.into();
        assert!(sql.contains(text), "{guard:?} guards no such statement");
        if holds(Switch::Guard(guard)) { sql } else { sql.replace(text, without).into() }
    }
}
