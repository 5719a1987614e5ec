//! The pages of 404 responses: the `404.html` of the requested path's folder, or of the nearest one
//! above it that has one.

use super::rows::RouteTarget;
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// The `404.html` files by the path of their folder, which has a slash at its end.
#[derive(Debug, Default)]
pub(super) struct NotFoundPages {
    pages: HashMap<Box<[u8]>, RouteTarget, FixedState>,
    /// Length of the longest of these paths.
    folder_bytes_max: usize,
}

impl NotFoundPages {
    pub(super) fn add(&mut self, folder: &[u8], target: RouteTarget) {
        assert!(folder.ends_with(b"/"), "a folder ends with a slash");
        self.folder_bytes_max = self.folder_bytes_max.max(folder.len());
        self.pages.insert(folder.into(), target);
    }

    /// The nearest page for a missing path. The work is bounded by the depth of the folders that
    /// have a page, and not by the length of the path.
    pub(super) fn nearest(&self, path: &[u8]) -> Option<RouteTarget> {
        if self.pages.is_empty() {
            return None;
        }
        let mut folder = &path[..path.len().min(self.folder_bytes_max)];
        loop {
            let slash = memchr::memrchr(b'/', folder)?;
            if let Some(&target) = self.pages.get(&folder[..=slash]) {
                return Some(target);
            }
            folder = &folder[..slash];
        }
    }
}
