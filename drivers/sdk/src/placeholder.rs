//! What a driver writes where an address or a credential belongs. The gate puts the value in, only at the places that
//! the manifest declares and the operator granted; anywhere else a placeholder is a denied request. No driver ever sees
//! the value.

/// The address at which machines of the composing backend are managed, as the enrolling side reaches it.
pub const ACCESS_ADDRESS: &str = "{{access.address}}";
/// The user name for it.
pub const ACCESS_USERNAME: &str = "{{access.username}}";
/// The password for it.
pub const ACCESS_PASSWORD: &str = "{{access.password}}";
