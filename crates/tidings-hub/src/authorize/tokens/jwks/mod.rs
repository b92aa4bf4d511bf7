//! Keys that an issuer publishes at a URL: a JSON Web Key Set (RFC 7517, section 5), which the hub fetches again and again.

mod fetch;
mod published;
mod schedule;

pub(super) use self::published::PublishedKeys;
