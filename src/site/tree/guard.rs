//! The protection of paths and files by credentials.
//!
//! A path is protected by the blocks whose patterns match it, and a file by those that match any of
//! its paths, so that no alias, rewrite or `404.html` shows it. Each of these blocks must have the
//! credentials of the request.

use super::Tree;
use super::rows::SiteFile;
use crate::http::basic_auth::encoded_credentials;
use crate::http::request::Request;
use crate::site::credentials::CredentialDigest;
use crate::site::field_rules::{FieldRules, HostScope};

/// The outcome of the comparison of a request's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// No credentials are needed.
    Open,
    /// The request has those that are needed.
    Granted,
    /// The request lacks them.
    Refused,
}

impl Tree {
    /// The access of a request to a path.
    pub(super) fn access_to_path(&self, path: &[u8], request: &Request<'_, '_>) -> Access {
        let Some(composer) = &self.composer else { return Access::Open };
        let mut check = AccessCheck::new(composer.rules(), request);
        let scope = HostScope::Authority(request.authority);
        composer.rules().protecting(path, scope, &mut |block| check.add(block));
        check.access
    }

    /// The access of a request to a file.
    pub(super) fn access_to_file(&self, file: SiteFile, request: &Request<'_, '_>) -> Access {
        let (true, Some(composer)) = (file.is_protected, &self.composer) else {
            return Access::Open;
        };
        let mut check = AccessCheck::new(composer.rules(), request);
        let scope = HostScope::Authority(request.authority);
        let blocks = composer.protectors(file.id).iter().copied();
        blocks.filter(|&block| scope.has(composer.rules(), block)).for_each(|b| check.add(b));
        check.access
    }
}

/// The comparison of a request's credentials with those of several blocks.
struct AccessCheck<'a> {
    rules: &'a FieldRules,
    request: &'a Request<'a, 'a>,
    /// Computed for the first block.
    digest: Option<Option<CredentialDigest>>,
    access: Access,
}

impl<'a> AccessCheck<'a> {
    fn new(rules: &'a FieldRules, request: &'a Request<'_, '_>) -> Self {
        Self { rules, request, digest: None, access: Access::Open }
    }

    fn add(&mut self, block: u32) {
        let fields = self.request.fields;
        let digest = *self
            .digest
            .get_or_insert_with(|| encoded_credentials(fields).map(CredentialDigest::of));
        let list = self.rules.blocks()[block as usize].credentials.as_ref();
        let is_listed = list.zip(digest).is_some_and(|(list, digest)| list.has(&digest));
        self.access = match (self.access, is_listed) {
            (Access::Refused, _) | (_, false) => Access::Refused,
            (Access::Open | Access::Granted, true) => Access::Granted,
        };
    }
}
