//! An index of patterns: finds the patterns that a path may match without trying each of them.
//!
//! The patterns form two tries, whose edges are texts and placeholders. The first is walked from
//! the front of a path; at a splat, the second is walked from the end of the path towards it:
//!
//! ```text
//! /:lang/old/*      ─ "/" ─ :segment ─ "/old" ─ open
//! /@:page.html      ─ "/@" ─ :segment that ends in ".html" ─ closed
//! /img/*/:size.png  ─ "/img/" ─ splat │ ".png" ─ :segment ─ "/" ─ open      from the end
//! ```
//!
//! A walk visits a node at most once, and of its edges only those whose text the path has at that
//! position: one binary search finds the longest, and each edge links to the next shorter one. So
//! the work for a path is bounded by the nodes whose texts it contains, however many patterns there
//! are, and a path without any of the texts costs one search.
//!
//! The result is a set of candidates: [`Pattern::matches`] decides.

use super::pattern::{Part, Pattern, Segment, without_slash};
use std::collections::BTreeMap;

/// An index of numbered patterns.
#[derive(Clone, Debug, Default)]
pub struct PatternIndex {
    /// The first node is the root; an index without patterns has none.
    nodes: Box<[Node]>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Edges by the text that comes next.
    texts: Edges,
    /// Edges for a placeholder that comes next, by the text at the end of its segment.
    segments: Edges,
    /// Patterns that end at this node and match if the path ends, too.
    closed: Box<[u32]>,
    /// Patterns that end at this node and match whatever the rest of the path is.
    open: Box<[u32]>,
    /// The root of the walk from the end, if a splat comes next.
    behind: Option<u32>,
}

/// Edges to nodes, sorted by text.
#[derive(Clone, Debug, Default)]
struct Edges {
    /// The first octets of each text as a number, so that a search reads adjacent memory.
    heads: Box<[u64]>,
    edges: Box<[Edge]>,
}

#[derive(Clone, Debug)]
struct Edge {
    text: Box<[u8]>,
    /// The edge with the longest text that is a proper prefix of this one.
    shorter: Option<u32>,
    /// That edge or one with a shorter prefix. Jumps reach any prefix in a logarithmic number of
    /// steps (Myers 1983, "An applicative random-access stack").
    jump: Option<u32>,
    /// Number of edges whose text is a proper prefix of this one.
    depth: u32,
    to: u32,
}

impl PatternIndex {
    /// Builds an index of patterns; their numbers need not be in order.
    #[must_use]
    pub fn new<'p>(patterns: impl Iterator<Item = (u32, &'p Pattern)>) -> Self {
        let mut builder = TrieBuilder::default();
        for (number, pattern) in patterns {
            builder.add(number, pattern);
        }
        Self { nodes: builder.nodes.into_iter().map(NodeBuilder::finished).collect() }
    }

    /// Calls `visit` with the number of every pattern that matches a decoded path, and of a few
    /// that don't, in no particular order.
    pub fn candidates(&self, path: &[u8], visit: &mut dyn FnMut(u32)) {
        if !self.nodes.is_empty() {
            self.walk_on(0, without_slash(path), visit);
        }
    }

    fn walk_on(&self, node: u32, rest: &[u8], visit: &mut dyn FnMut(u32)) {
        let node = &self.nodes[node as usize];
        if rest.is_empty() {
            node.closed.iter().for_each(|&number| visit(number));
        }
        node.open.iter().for_each(|&number| visit(number));
        if let Some(behind) = node.behind {
            self.walk_back(behind, rest, visit);
        }
        let mut edge = node.texts.longest::<false>(rest);
        while let Some(Edge { text, shorter, to, .. }) = edge {
            self.walk_on(*to, &rest[text.len()..], visit);
            edge = node.texts.get(*shorter);
        }
        if node.segments.edges.is_empty() {
            return;
        }
        let (segment, behind) = rest.split_at(memchr::memchr(b'/', rest).unwrap_or(rest.len()));
        let mut edge = node.segments.longest::<true>(segment);
        while let Some(Edge { text, shorter, to, .. }) = edge {
            // A placeholder matches at least one octet.
            if text.len() < segment.len() {
                self.walk_on(*to, behind, visit);
            }
            edge = node.segments.get(*shorter);
        }
    }

    /// Walks from the end of the path towards a splat, which matches the rest.
    fn walk_back(&self, node: u32, rest: &[u8], visit: &mut dyn FnMut(u32)) {
        let node = &self.nodes[node as usize];
        node.open.iter().for_each(|&number| visit(number));
        let mut edge = node.texts.longest::<true>(rest);
        while let Some(Edge { text, shorter, to, .. }) = edge {
            self.walk_back(*to, &rest[..rest.len() - text.len()], visit);
            edge = node.texts.get(*shorter);
        }
        if let Some(Edge { to, .. }) = node.segments.edges.first() {
            let start = memchr::memrchr(b'/', rest).map_or(0, |at| at + 1);
            if start < rest.len() {
                self.walk_back(*to, &rest[..start], visit);
            }
        }
    }
}

impl Edges {
    fn get(&self, index: Option<u32>) -> Option<&Edge> {
        self.edges.get(index? as usize)
    }

    /// The edge with the longest text that is a prefix of `of`, or a suffix if `AT_END`.
    fn longest<const AT_END: bool>(&self, of: &[u8]) -> Option<&Edge> {
        if let [edge] = &*self.edges {
            let text = &*edge.text;
            // The pointer of an empty text is dangling, and a comparison does a masked load from
            // it, which costs 80 ns (AVX-512).
            let is_there =
                text.is_empty() || if AT_END { of.ends_with(text) } else { of.starts_with(text) };
            return is_there.then_some(edge);
        }
        let head = head::<AT_END>(of);
        let mut low = self.heads.partition_point(|&other| other < head);
        let mut high = match self.heads.get(low) {
            Some(&other) if other == head => self.heads.partition_point(|&other| other <= head),
            _ => low,
        };
        // Texts before `low` sort before `of`, texts from `high` on after it. All texts between
        // share with `of` what both neighbours share with it.
        let (mut common_low, mut common_high) = (0, 0);
        while low < high {
            let middle = low.midpoint(high);
            let text = &*self.edges[middle].text;
            let shared = common::<AT_END>(text, of, common_low.min(common_high));
            let is_after = shared < text.len()
                && (shared == of.len() || nth::<AT_END>(text, shared) > nth::<AT_END>(of, shared));
            if is_after {
                (high, common_high) = (middle, shared);
            } else {
                (low, common_low) = (middle + 1, shared);
            }
        }
        // The longest prefix is the last text before `of`, or a prefix of that text.
        let mut edge = self.edges.get(low.checked_sub(1)?)?;
        let common = common::<AT_END>(&edge.text, of, common_low);
        while edge.text.len() > common {
            edge = match self.get(edge.jump) {
                Some(jump) if jump.text.len() > common => jump,
                _ => self.get(edge.shorter)?,
            };
        }
        Some(edge)
    }
}

/// The first eight octets from the front or from the end as a number that sorts like the text;
/// missing octets are 0.
fn head<const AT_END: bool>(text: &[u8]) -> u64 {
    if let Some(octets) = if AT_END { text.last_chunk() } else { text.first_chunk() } {
        return if AT_END { u64::from_le_bytes(*octets) } else { u64::from_be_bytes(*octets) };
    }
    (0..8).fold(0, |head, at| {
        head << 8 | if at < text.len() { u64::from(nth::<AT_END>(text, at)) } else { 0 }
    })
}

/// The octet at an index, counted from the front or from the end.
fn nth<const AT_END: bool>(text: &[u8], at: usize) -> u8 {
    if AT_END { text[text.len() - 1 - at] } else { text[at] }
}

/// Length of the common prefix or suffix of two texts, of which `known` octets were compared
/// before.
fn common<const AT_END: bool>(one: &[u8], other: &[u8], known: usize) -> usize {
    let most = one.len().min(other.len());
    let mut count = known;
    let piece = |text: &[u8], at: usize| {
        let start = if AT_END { text.len() - at - CHUNK } else { at };
        <[u8; CHUNK]>::try_from(&text[start..start + CHUNK]).expect("a slice of CHUNK bytes")
    };
    while count + CHUNK <= most && piece(one, count) == piece(other, count) {
        count += CHUNK;
    }
    while count < most && nth::<AT_END>(one, count) == nth::<AT_END>(other, count) {
        count += 1;
    }
    count
}

/// An index under construction.
#[derive(Default)]
struct TrieBuilder {
    nodes: Vec<NodeBuilder>,
}

#[derive(Default)]
struct NodeBuilder {
    /// Edges by text; texts that are searched from the end are reversed.
    texts: BTreeMap<Vec<u8>, u32>,
    segments: BTreeMap<Vec<u8>, u32>,
    closed: Vec<u32>,
    open: Vec<u32>,
    behind: Option<u32>,
    is_from_end: bool,
}

impl TrieBuilder {
    fn add(&mut self, number: u32, pattern: &Pattern) {
        if self.nodes.is_empty() {
            self.node(false);
        }
        let Some(splat) = &pattern.splat else {
            let node = self.add_front(&pattern.front, None, false);
            self.nodes[node as usize].closed.push(number);
            return;
        };
        let mut node = self.add_front(&pattern.front, splat.before.as_ref(), splat.is_last());
        if !splat.is_last() {
            node = if let Some(behind) = self.nodes[node as usize].behind {
                behind
            } else {
                let behind = self.node(true);
                *self.nodes[node as usize].behind.insert(behind)
            };
            for part in splat.back.iter().rev() {
                node = match part {
                    Part::Literal(text) => self.text(node, text),
                    Part::Segment(segment) => {
                        let node = self.text(node, segment.suffix());
                        self.segment(node, b"")
                    }
                };
            }
            if let Some(segment) = &splat.behind {
                node = self.text(node, segment.suffix());
            }
        }
        self.nodes[node as usize].open.push(number);
    }

    /// The node after the parts before a splat, or after all parts.
    ///
    /// The edges leave out slashes before a splat at the end, since `/blog/*` matches `/blog`, and
    /// what follows the first placeholder in the segment of a splat (`/:name.html*`), and texts
    /// between two placeholders: [`Pattern::matches`] compares these.
    fn add_front(&mut self, parts: &[Part], before: Option<&Segment>, may_lack_slash: bool) -> u32 {
        let mut node = 0;
        // The last text, to which the text before a placeholder is added.
        let mut text: &[u8] = b"";
        for part in parts {
            match part {
                Part::Literal(literal) => text = literal,
                Part::Segment(segment) => {
                    node = self.text(node, &[text, segment.prefix()].concat());
                    node = self.segment(node, segment.suffix());
                    text = b"";
                }
            }
        }
        if let Some(segment) = before {
            return self.text(node, &[text, segment.prefix()].concat());
        }
        while may_lack_slash && text.ends_with(b"/") {
            text = &text[..text.len() - 1];
        }
        self.text(node, text)
    }

    fn node(&mut self, is_from_end: bool) -> u32 {
        let number = u32::try_from(self.nodes.len()).expect("there are fewer than 2^32 nodes");
        self.nodes.push(NodeBuilder { is_from_end, ..NodeBuilder::default() });
        number
    }

    /// The node behind a text; without a text, the same node.
    fn text(&mut self, from: u32, text: &[u8]) -> u32 {
        if text.is_empty() {
            return from;
        }
        let is_from_end = self.nodes[from as usize].is_from_end;
        let key = if is_from_end { reversed(text) } else { text.to_vec() };
        if let Some(&known) = self.nodes[from as usize].texts.get(&key) {
            return known;
        }
        let node = self.node(is_from_end);
        self.nodes[from as usize].texts.insert(key, node);
        node
    }

    fn segment(&mut self, from: u32, end: &[u8]) -> u32 {
        let key = reversed(end);
        if let Some(&known) = self.nodes[from as usize].segments.get(&key) {
            return known;
        }
        let node = self.node(self.nodes[from as usize].is_from_end);
        self.nodes[from as usize].segments.insert(key, node);
        node
    }
}

impl NodeBuilder {
    fn finished(self) -> Node {
        Node {
            texts: edges(self.texts, self.is_from_end),
            segments: edges(self.segments, true),
            closed: self.closed.into(),
            open: self.open.into(),
            behind: self.behind,
        }
    }
}

/// The edges of sorted keys, which are texts or reversed texts.
fn edges(keys: BTreeMap<Vec<u8>, u32>, are_reversed: bool) -> Edges {
    let mut edges: Vec<Edge> = Vec::with_capacity(keys.len());
    // The last text and its prefixes.
    let mut open: Vec<(Vec<u8>, u32)> = Vec::new();
    for (key, to) in keys {
        while open.last().is_some_and(|(text, _)| !key.starts_with(text)) {
            open.pop();
        }
        let index = u32::try_from(edges.len()).expect("there are fewer than 2^32 nodes");
        let shorter = open.last().map(|(_, index)| *index);
        let (depth, jump) = match shorter.map(|shorter| &edges[shorter as usize]) {
            None => (0, None),
            Some(parent) => {
                let jump = parent.jump.map(|jump| &edges[jump as usize]);
                let far = jump.and_then(|jump| jump.jump).map(|far| edges[far as usize].depth);
                let is_even = jump
                    .zip(far)
                    .is_some_and(|(jump, far)| parent.depth - jump.depth == jump.depth - far);
                let jump = if is_even { jump.and_then(|jump| jump.jump) } else { shorter };
                (parent.depth + 1, jump)
            }
        };
        let text = if are_reversed { reversed(&key) } else { key.clone() };
        edges.push(Edge { text: text.into(), shorter, jump, depth, to });
        open.push((key, index));
    }
    let heads = edges.iter().map(|edge| {
        if are_reversed { head::<true>(&edge.text) } else { head::<false>(&edge.text) }
    });
    Edges { heads: heads.collect(), edges: edges.into() }
}

fn reversed(text: &[u8]) -> Vec<u8> {
    text.iter().rev().copied().collect()
}

const CHUNK: usize = 16;

#[cfg(test)]
mod tests;
