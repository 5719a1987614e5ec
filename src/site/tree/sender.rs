//! The decision whether a redirect is sent: never to the requested path itself, and one that may be
//! part of a cycle only to a path of the site.

use super::route_table::RouteTable;
use crate::http::path;
use crate::http::request::TARGET_BYTES_MAX;
use crate::site::conditions::RequestConditions;
use crate::site::pattern::{Captures, host_of, without_slash};
use crate::site::redirects::{Effect, Redirect, Redirects};

/// A request that a rule may redirect.
pub(super) struct Sender<'a> {
    pub(super) redirects: &'a Redirects,
    pub(super) route_table: &'a RouteTable,
    /// The decoded path.
    pub(super) path: &'a [u8],
    pub(super) conditions: RequestConditions<'a>,
}

impl Sender<'_> {
    /// Whether the redirect of a rule is sent; a rewrite always is. The tail is written to.
    pub(super) fn is_sent(
        &self,
        rule: &Redirect,
        captures: &Captures<'_>,
        tail: &mut [u8],
    ) -> bool {
        if let Effect::Rewrite(_) = rule.effect {
            return true;
        }
        // Too long a target gets 414.
        let Some(len) = rule.to.write(captures, tail) else { return true };
        let location = &tail[..len];
        let end = memchr::memchr2(b'?', b'#', location).unwrap_or(len);
        let Some(target) = self.own_path(&location[..end]) else { return true };
        let query = location[end..]
            .strip_prefix(b"?")
            .map(|query| &query[..memchr::memchr(b'#', query).unwrap_or(query.len())]);
        // A rule with parameters doesn't apply to its target if that has others.
        let may_repeat = rule.conditions.query.is_empty() || query == self.conditions.query;
        let is_plain =
            memchr::memchr(b'%', target).is_none() && memchr::memmem::find(target, b"/.").is_none();
        if is_plain {
            return self.leads_on(target, rule, may_repeat);
        }
        self.decoded_leads_on(target, rule, may_repeat)
    }

    /// As [`leads_on`](Self::leads_on), of a target that is decoded first.
    #[cold]
    fn decoded_leads_on(&self, target: &[u8], rule: &Redirect, may_repeat: bool) -> bool {
        let mut scratch = [0; LOCATION_BYTES_MAX];
        if target.len() > scratch.len() {
            return true;
        }
        match path::decode(target, &mut scratch) {
            Ok(target) => self.leads_on(target, rule, may_repeat),
            // It gets 400.
            Err(path::Unnameable) => !rule.may_cycle,
        }
    }

    /// Whether a decoded path of the same host is another one, and an end if the rule may be part
    /// of a cycle. With a slash at its end or without, a path is the same: a rule that matches one
    /// matches both, and for a folder, the tree redirects from one to the other.
    fn leads_on(&self, target: &[u8], rule: &Redirect, may_repeat: bool) -> bool {
        if may_repeat && without_slash(target) == without_slash(self.path) {
            return false;
        }
        if !rule.may_cycle {
            return true;
        }
        self.route_table.find(target).is_some()
            && self.redirects.find(target, true, &self.conditions, &mut |_, _| true).rule.is_none()
    }

    /// The path of a `Location`, with one slash at its beginning, unless it names another host.
    fn own_path<'l>(&self, location: &'l [u8]) -> Option<&'l [u8]> {
        if location.starts_with(b"/") {
            let slashes = location.iter().take_while(|&&octet| octet == b'/').count();
            return Some(&location[slashes - 1..]);
        }
        let start = memchr::memmem::find(location, b"://")? + 3;
        let rest = &location[start..];
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let own = self.conditions.authority?;
        let is_own = host_of(own).eq_ignore_ascii_case(host_of(&rest[..end]))
            && port_of(own) == port_of(&rest[..end]);
        is_own.then(|| if end < rest.len() { &rest[end..] } else { b"/" })
    }
}

/// Longest `Location`: the longest request target, and room for the text of a rule around it.
pub(super) const LOCATION_BYTES_MAX: usize = TARGET_BYTES_MAX + 2048;

/// The port of an authority; none for the default ports.
fn port_of(authority: &[u8]) -> Option<&[u8]> {
    let host_end = memchr::memchr(b']', authority).unwrap_or(0);
    let colon = memchr::memchr(b':', &authority[host_end..])?;
    let port = &authority[host_end + colon + 1..];
    Some(port).filter(|port| !matches!(*port, b"" | b"80" | b"443"))
}
