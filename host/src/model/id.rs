//! Identities. Public ones are time-ordered UUIDs; integers stay inside.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! public_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one, ordered by time of making.
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

public_id!(
    /// What a user asked for.
    InstanceId
);
public_id!(
    /// A durable list of tasks.
    FlowId
);

/// A row of the holdings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HoldingId(pub i64);

/// One state of a backend's binding: digest, settings, endpoints, grants. Never changed once written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub i64);

/// Of a plugin's file: `sha256:` and 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        Self::of_hash(&Sha256::digest(bytes))
    }

    /// Of what was taken in piece by piece: the SHA-256 itself.
    pub fn of_hash(hash: &[u8]) -> Self {
        let hex = hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Self(format!("sha256:{hex}"))
    }

    /// None when it is not a digest.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let fits = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The hex digits alone: a file name.
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }

    /// Enough of it for people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// This installation, `[a-z0-9]{6}`, made at first start, so that two on one pool never touch each other's things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site(Arc<str>);

impl Site {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 6 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'));
        fits.then(|| Self(text.into()))
    }

    /// From random bytes.
    pub fn from_random(bytes: [u8; 6]) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        Self(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect::<String>().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a driver stamps on the thing that this operation makes: `mg-<site>-<operation>`, at most 48 characters.
    pub fn mark(&self, operation: &OperationId) -> Mark {
        Mark(format!("mg-{}-{}", self.0, operation.0))
    }

    /// The operation that this site made the mark for; none: another site's, or no mark at all.
    pub fn operation(&self, mark: &Mark) -> Option<OperationId> {
        let own = mark.0.strip_prefix("mg-")?.strip_prefix(self.as_str())?.strip_prefix('-')?;
        let fits = !own.is_empty() && mark.0.len() <= 48;
        (fits && own.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')))
            .then(|| OperationId(own.to_owned()))
    }
}

/// One durable attempt at one verb: `<flow>-<task>-<round>` for doing, with `-undo` for undoing. The same for every repeat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub String);

impl OperationId {
    /// At most 38 characters, so that its mark fits: 32 of the flow, task and round one or two digits each.
    pub fn doing(flow: FlowId, task: usize, round: u32) -> Self {
        Self(format!("{}-{task}-{round}", flow.0.simple()))
    }

    pub fn undoing(flow: FlowId, task: usize, round: u32) -> Self {
        Self(format!("{}-{task}-{round}-undo", flow.0.simple()))
    }

    /// Flow, task and round of a doing one; none for one of another form.
    pub fn parts(&self) -> Option<(FlowId, usize, u32)> {
        let mut parts = self.0.split('-');
        let flow = parts.next().filter(|flow| flow.len() == 32)?.parse().ok()?;
        let (task, round) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some((flow, task, round))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a driver recognises its own work on a far side.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub String);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_fits_into_48_characters() {
        let mark = Site::from_random([7; 6]).mark(&OperationId::doing(FlowId::fresh(), 12, 99));
        assert!(mark.0.len() <= 48, "{mark}");
        assert!(mark.0.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')));
    }

    #[test]
    fn a_mark_tells_its_operation_to_its_own_site_alone() {
        let (site, flow) = (Site::from_random([7; 6]), FlowId::fresh());
        let operation = OperationId::doing(flow, 3, 2);
        let mark = site.mark(&operation);
        assert_eq!(site.operation(&mark), Some(operation.clone()));
        assert_eq!(operation.parts(), Some((flow, 3, 2)));
        assert_eq!(Site::from_random([8; 6]).operation(&mark), None);
        for foreign in ["web-1", "mg-", "mg-hhhhhh", "mg-hhhhhh-", "mg-hhhhhhh-1", "mg-hhhhhh-A b"] {
            assert_eq!(site.operation(&Mark(foreign.into())), None, "{foreign}");
        }
        assert_eq!(OperationId("abc".into()).parts(), None);
        assert_eq!(OperationId::undoing(flow, 3, 2).parts(), None);
    }

    #[test]
    fn a_digest_is_of_the_bytes_and_reads_back() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("sha256:xyz"), None);
    }
}
