//! Redirects that lead back to where they began: `/a /b` with `/b /a`, or `/* /en/:splat`, which
//! leads to `/en/en/...`. RFC 9110 15.4 lets clients detect and stop such cycles; here the server
//! finds them at start, over all rules together.
//!
//! From a sample of each rule's paths, the redirects are followed as a client follows them: forced
//! rules first, then files, then the other rules. The captures of a sample are texts that no rule
//! has, and once more each literal segment of the patterns, since `/p/:x /:x/p` and `/q/:x /:x/q`
//! lead in a cycle from `/p/q` only.
//!
//! ```text
//! /old ─► /a ─► /b ─► /a      the rules of /a and /b are marked, and the one of /old is not
//! ```
//!
//! A marked rule is sent only if the site has its target. What remains leads to an end, which is
//! checked by following all samples again.

use super::escape::escaped;
use super::problem::Problem;
use super::rule_files::REDIRECTS;
use super::site_plan::{RouteKind, SitePlan};
use crate::http::path;
use crate::http::request::TARGET_BYTES_MAX;
use crate::site::conditions::{ParameterValue, RequestConditions};
use crate::site::pattern::{Captures, host_of, without_slash};
use crate::site::redirects::{Effect, Redirect, Redirects};
use httparse::Header;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Marks the rules of cycles and reports each. A forced rule that hides a file of the site, and
/// leads elsewhere, is a problem: when it isn't sent, the file is open.
pub(super) fn mark(plan: &mut SitePlan) {
    let paths: HashMap<&[u8], &RouteKind> =
        plan.routes.iter().map(|route| (&*route.path, &route.kind)).collect();
    let samples = samples(plan.redirects.rules());
    let mut redirects = std::mem::take(&mut plan.redirects);
    let mut found: BTreeMap<u32, Cycle> = BTreeMap::new();
    for _ in 0..PASSES_MAX {
        let mut follower =
            Follower { redirects: &mut redirects, paths: &paths, ended: HashSet::new() };
        let before = found.len();
        for sample in &samples {
            while let Some(cycle) = follower.follow(sample) {
                if cycle.rules.iter().all(|rule| found.contains_key(rule)) {
                    break;
                }
                follower.redirects.mark_cycles(cycle.rules.iter().copied());
                for &rule in &cycle.rules {
                    found.entry(rule).or_insert_with(|| cycle.clone());
                }
            }
        }
        if found.len() == before {
            break;
        }
    }
    let mut problems = Vec::new();
    for (&number, cycle) in &found {
        let rule = &redirects.rules()[number as usize];
        let chain = cycle.paths.join(", ");
        let why =
            format!("redirects lead back to it ({chain}), so it is sent only to paths of files");
        let problem = Problem::at(REDIRECTS, rule.line, why);
        let hidden = (rule.forced && cycle.rules.len() > 1)
            .then(|| plan.routes.iter().find(|route| rule.from.matches(&route.path).is_some()));
        problems.push((problem, hidden.flatten().map(|route| escaped(&route.path))));
    }
    for (problem, hidden) in problems {
        match hidden {
            Some(path) => plan
                .problems
                .push(problem.and(&format!("the rule hides {path}, so it can't be left out"))),
            None => plan.left_out.push(problem),
        }
    }
    plan.redirects = redirects;
}

/// The rules of a cycle, and its first paths.
#[derive(Clone)]
struct Cycle {
    rules: Vec<u32>,
    paths: Vec<String>,
}

/// The place of a client on its way through redirects.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct FollowedRequest {
    /// The decoded path.
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    /// The host, where a rule names one; it stays the same.
    host: Option<String>,
    /// The preferred language, which stays the same.
    language: Option<String>,
}

impl FollowedRequest {
    /// Whether both are for the same path, but for a slash at its end.
    fn is_same(&self, other: &Self) -> bool {
        without_slash(&self.path) == without_slash(&other.path) && self.query == other.query
    }
}

struct Follower<'a> {
    redirects: &'a mut Redirects,
    paths: &'a HashMap<&'a [u8], &'a RouteKind>,
    /// Places from which redirects lead to an end.
    ended: HashSet<FollowedRequest>,
}

impl Follower<'_> {
    /// Follows the redirects from a place. Returns the rules from the first repetition on, if they
    /// lead to no end.
    fn follow(&mut self, sample: &FollowedRequest) -> Option<Cycle> {
        let mut steps: Vec<(FollowedRequest, Option<u32>)> = Vec::new();
        let mut seen: HashMap<FollowedRequest, usize> = HashMap::new();
        let mut place = sample.clone();
        loop {
            if self.ended.contains(&place) {
                break;
            }
            if let Some(&first) = seen.get(&place) {
                return Some(cycle(&steps[first..]));
            }
            let Some((rule, next)) = self.next(&place) else { break };
            seen.insert(place.clone(), steps.len());
            steps.push((place, rule));
            // Some rule is there twice. A path beyond the limit gets 414.
            if steps.len() > self.redirects.rules().len() + 2 || next.path.len() > TARGET_BYTES_MAX
            {
                return Some(cycle(&steps[first_repeated(&steps)..]));
            }
            place = next;
        }
        self.ended.extend(steps.into_iter().map(|(place, _)| place));
        None
    }

    /// The place that a response redirects to, and the rule; none of both for a page or an error.
    /// A redirect to the place itself is never sent, and thus no way on.
    fn next(&self, place: &FollowedRequest) -> Option<(Option<u32>, FollowedRequest)> {
        if let Some(outcome) = self.redirected(place, true) {
            return outcome;
        }
        match self.paths.get(&*place.path) {
            Some(RouteKind::File(_)) => return None,
            Some(RouteKind::Folder) => {
                let path = [&*place.path, b"/"].concat();
                return Some((None, FollowedRequest { path, ..place.clone() }));
            }
            None => {}
        }
        self.redirected(place, false)?
    }

    /// The outcome of the first rule that applies, which is a redirect or none.
    #[allow(clippy::option_option, reason = "no rule, or one that ends the way")]
    fn redirected(
        &self,
        place: &FollowedRequest,
        forced: bool,
    ) -> Option<Option<(Option<u32>, FollowedRequest)>> {
        let language = place.language.as_deref().unwrap_or_default();
        let field = [Header { name: "Accept-Language", value: language.as_bytes() }];
        let request = RequestConditions {
            authority: place.host.as_deref().map(str::as_bytes),
            query: place.query.as_deref(),
            fields: &field,
        };
        let mut is_sent = |rule: &Redirect, captures: &Captures<'_>| {
            if let Effect::Rewrite(_) = rule.effect {
                return true;
            }
            let next = target(rule, captures, place);
            next.is_none_or(|next| {
                !next.is_same(place) && (!rule.may_cycle || self.is_there(&next, &request))
            })
        };
        let found = self.redirects.find(&place.path, forced, &request, &mut is_sent);
        let (number, captures) = found.rule?;
        let rule = &self.redirects.rules()[number as usize];
        let next = match rule.effect {
            Effect::Redirect(_) => target(rule, &captures, place),
            Effect::Rewrite(_) => None,
        };
        Some(next.map(|next| (Some(number), next)))
    }

    /// Whether the site has the path of a place and no forced rule takes it.
    fn is_there(&self, place: &FollowedRequest, request: &RequestConditions<'_>) -> bool {
        let forced = self.redirects.find(&place.path, true, request, &mut |_, _| true);
        self.paths.contains_key(&*place.path) && forced.rule.is_none()
    }
}

/// The place that a redirect leads to, unless it is on another host.
fn target(
    rule: &Redirect,
    captures: &Captures<'_>,
    place: &FollowedRequest,
) -> Option<FollowedRequest> {
    let mut location = vec![0; LOCATION_BYTES_MAX];
    let len = rule.to.write(captures, &mut location)?;
    let location = location[..len].split(|&octet| octet == b'#').next()?;
    let (target, query) = match location.iter().position(|&octet| octet == b'?') {
        Some(at) => (&location[..at], Some(location[at + 1..].to_vec())),
        None if rule.conditions.query.is_empty() => (location, place.query.clone()),
        None => (location, None),
    };
    let target = if target.starts_with(b"/") {
        // A Location begins with one slash, too, whatever the rule has.
        let slashes = target.iter().take_while(|&&octet| octet == b'/').count();
        &target[slashes - 1..]
    } else {
        let start = memchr::memmem::find(target, b"://")? + 3;
        let rest = &target[start..];
        let end = rest.iter().position(|&octet| octet == b'/').unwrap_or(rest.len());
        let own = place.host.as_deref()?.as_bytes();
        if !host_of(&rest[..end]).eq_ignore_ascii_case(host_of(own)) {
            return None;
        }
        &rest[end..]
    };
    let mut scratch = vec![0; target.len()];
    let path = path::decode(target, &mut scratch).ok()?.to_vec();
    Some(FollowedRequest { path, query, ..place.clone() })
}

/// The cycle of steps that repeat.
fn cycle(steps: &[(FollowedRequest, Option<u32>)]) -> Cycle {
    let mut rules: Vec<u32> = steps.iter().filter_map(|(_, rule)| *rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let paths = steps.iter().take(SHOWN_MAX).map(|(place, _)| escaped(&place.path));
    Cycle { rules, paths: paths.collect() }
}

/// The first step with a rule that a later step has, too.
fn first_repeated(steps: &[(FollowedRequest, Option<u32>)]) -> usize {
    let mut last: HashMap<u32, usize> = HashMap::new();
    for (index, rule) in steps.iter().enumerate().filter_map(|(i, (_, rule))| Some((i, (*rule)?))) {
        last.insert(rule, index);
    }
    let is_repeated = |(index, (_, rule)): &(usize, &(FollowedRequest, Option<u32>))| {
        rule.is_some_and(|rule| last[&rule] > *index)
    };
    steps.iter().enumerate().find(is_repeated).map_or(0, |(index, _)| index)
}

/// Sample places of all redirects.
fn samples(rules: &[Redirect]) -> Vec<FollowedRequest> {
    let mut segments: Vec<&[u8]> =
        rules.iter().flat_map(|rule| rule.from.literal_segments()).collect();
    segments.sort_unstable();
    segments.dedup();
    let marker = marker(rules);
    let mut samples = Vec::new();
    for rule in rules.iter().filter(|rule| matches!(rule.effect, Effect::Redirect(_))) {
        let fresh = |capture: usize| format!("{marker}{capture}").into_bytes();
        samples.push(sample(rule, &fresh, &marker));
        if rule.from.exact().is_some() {
            continue;
        }
        for splat in [&[][..], b"~/~"] {
            let fill = |capture: usize| {
                if rule.from.is_splat(capture) { splat.to_vec() } else { fresh(capture) }
            };
            samples.push(sample(rule, &fill, &marker));
        }
        for segment in segments.iter().take(SEGMENTS_MAX) {
            samples.push(sample(rule, &|_| segment.to_vec(), &marker));
        }
    }
    samples
}

/// A place where a rule applies, with a text for each capture of its path.
fn sample(rule: &Redirect, fill: &dyn Fn(usize) -> Vec<u8>, marker: &str) -> FollowedRequest {
    let conditions = &rule.conditions;
    let mut query = Vec::new();
    for parameter in &conditions.query {
        query.extend_from_slice(if query.is_empty() { b"" } else { b"&" });
        push_encoded(&parameter.name, &mut query);
        query.push(b'=');
        match &parameter.value {
            ParameterValue::Literal(value) => push_encoded(value, &mut query),
            ParameterValue::Capture(_) => push_encoded(marker.as_bytes(), &mut query),
        }
    }
    FollowedRequest {
        path: rule.from.filled(fill),
        query: (!query.is_empty()).then_some(query),
        host: conditions.host.as_ref().map(|host| host.sample("x1")),
        language: conditions.languages.first().map(ToString::to_string),
    }
}

/// Adds octets as they stand in a query.
fn push_encoded(octets: &[u8], query: &mut Vec<u8>) {
    let start = query.len();
    query.resize(start + octets.len() * 3, 0);
    let len = path::encode_in_query(octets, &mut query[start..]);
    query.truncate(start + len.expect("each octet takes three at most"));
}

/// A text that no rule has.
fn marker(rules: &[Redirect]) -> String {
    let runs = rules.iter().flat_map(|rule| rule.text.split(|c| c != '~')).map(str::len);
    "~".repeat(runs.max().unwrap_or(0) + 1)
}

/// Longest `Location` that is followed: a longer one gets 414.
const LOCATION_BYTES_MAX: usize = 2 * TARGET_BYTES_MAX;
/// Most times that all samples are followed. Each time marks another rule, or is the last.
const PASSES_MAX: usize = 100;
/// Most literal segments that captures are filled with.
const SEGMENTS_MAX: usize = 64;
/// Most paths of a cycle in a message.
const SHOWN_MAX: usize = 4;

#[cfg(test)]
mod tests;
