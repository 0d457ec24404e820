//! The mark that the host makes from site and operation, and what a driver derives from it.

use uuid::Uuid;

/// The uuid to send where a far side wants one of our choosing: UUIDv5 of the mark in the OID namespace. Every driver
/// and every version makes the same one, so each finds what another made.
pub fn uuid(mark: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, mark.as_bytes())
}

/// What the marks of a site begin with. Two installations on one pool never touch each other's things.
pub fn prefix(site: &str) -> String {
    format!("mg-{site}-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_uuid_of_a_mark_never_changes() {
        assert_eq!(super::uuid("mg-a1-7").to_string(), "3dac86f3-82a0-5984-9bf5-c93b056268ae");
    }
}
