//! The protection of paths and files by credentials.
//!
//! A path is protected by the blocks whose patterns match it, and a file by those that match any of
//! its paths, so that no alias, rewrite or `404.html` shows it. Each of these blocks must have the
//! credentials of the request.

use super::Tree;
use super::access::{AccessCheck, PathAccess};
use super::rows::{RouteEntry, SiteFile};
use crate::http::request::Request;
use crate::site::field_rules::HostScope;

impl Tree {
    /// The access of a request to a path.
    pub(super) fn access_to_path(&self, path: &[u8], request: &Request<'_, '_>) -> PathAccess {
        let Some(composer) = &self.composer else { return PathAccess::Open };
        let mut check = AccessCheck::new(composer.rules(), request);
        let scope = HostScope::Authority(request.authority);
        composer.rules().protecting(path, scope, &mut |block| check.add(block));
        check.access()
    }

    /// The access of a request to a file.
    pub(super) fn access_to_file(&self, file: SiteFile, request: &Request<'_, '_>) -> PathAccess {
        let (true, Some(composer)) = (file.is_protected, &self.composer) else {
            return PathAccess::Open;
        };
        let mut check = AccessCheck::new(composer.rules(), request);
        let scope = HostScope::Authority(request.authority);
        let blocks = composer.protectors(file.id).iter().copied();
        blocks.filter(|&block| scope.has(composer.rules(), block)).for_each(|b| check.add(b));
        check.access()
    }

    /// The access of a request to the index of a folder, whose path is given without the slash at
    /// its end: the redirect to it is the index's, too.
    pub(super) fn access_to_folder(
        &self,
        path: &[u8],
        request: &Request<'_, '_>,
        scratch: &mut [u8],
    ) -> PathAccess {
        let (Some(_), Some(index)) = (&self.composer, scratch.get_mut(..=path.len())) else {
            return PathAccess::Open;
        };
        index[..path.len()].copy_from_slice(path);
        index[path.len()] = b'/';
        match self.route_table.find(index) {
            Some(RouteEntry::File(target)) => self.access_to_file(target.file, request),
            Some(RouteEntry::Folder) | None => PathAccess::Open,
        }
    }
}
