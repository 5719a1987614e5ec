//! The comparison of a request's credentials with the lists of blocks.

use crate::http::basic_auth::encoded_credentials;
use crate::http::request::Request;
use crate::site::credentials::CredentialDigest;
use crate::site::field_rules::FieldRules;
use std::cell::OnceCell;

/// The outcome of the comparison of a request's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathAccess {
    /// No credentials are needed.
    Open,
    /// The request has those that are needed.
    Granted,
    /// The request lacks them.
    Refused,
}

/// The comparison of a request's credentials with those of several blocks.
pub(super) struct AccessCheck<'a> {
    rules: &'a FieldRules,
    request: &'a Request<'a, 'a>,
    /// Computed for the first block.
    digest: OnceCell<Option<CredentialDigest>>,
    access: PathAccess,
}

impl<'a> AccessCheck<'a> {
    pub(super) fn new(rules: &'a FieldRules, request: &'a Request<'_, '_>) -> Self {
        Self { rules, request, digest: OnceCell::new(), access: PathAccess::Open }
    }

    /// Compares with the list of a block.
    pub(super) fn add(&mut self, block: u32) {
        let fields = self.request.fields;
        let digest =
            *self.digest.get_or_init(|| encoded_credentials(fields).map(CredentialDigest::of));
        let list = self.rules.blocks()[block as usize].credentials.as_ref();
        let is_listed = list.zip(digest).is_some_and(|(list, digest)| list.has(&digest));
        self.access = match (self.access, is_listed) {
            (PathAccess::Refused, _) | (_, false) => PathAccess::Refused,
            (PathAccess::Open | PathAccess::Granted, true) => PathAccess::Granted,
        };
    }

    /// The outcome for all blocks.
    pub(super) fn access(&self) -> PathAccess {
        self.access
    }
}
