//! Finds the patterns that a path may match without trying each of them.
//!
//! The patterns are two tries, whose edges are texts and placeholders. The first one is walked from
//! the front of a path; where a splat begins, a second one is walked from the path's end towards
//! it:
//!
//! ```text
//! /:lang/old/*      ─ "/" ─ :segment ─ "/old" ─ open
//! /:page.html       ─ "/" ─ :segment that ends in ".html" ─ closed
//! /img/*/:size.png  ─ "/img/" ─ splat │ ".png" ─ :segment ─ "/" ─ open      from the end
//! ```
//!
//! A request visits a node once at most, and of a node's edges only those whose text is there: one
//! binary search finds the longest of them, and each leads to the next shorter one. So the work for
//! a path is bounded by the nodes whose texts it has, however many patterns there are, and a path
//! that has none of the texts costs one search.
//!
//! What is found is a candidate: [`Pattern::matches`] decides.

use super::pattern::{Part, Pattern, without_slash};
use std::collections::BTreeMap;

/// An index of patterns, each with a number.
#[derive(Clone, Debug, Default)]
pub struct PatternIndex {
    /// The first one is the root, if there are any.
    nodes: Box<[Node]>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Texts that may come next.
    texts: Edges,
    /// A placeholder may come next: by the texts that its segment has to end with.
    segments: Edges,
    /// Patterns that end here, if the path does.
    closed: Box<[u32]>,
    /// Patterns that end here, whatever is left of the path.
    open: Box<[u32]>,
    /// A splat comes next: where the walk from the end begins.
    behind: Option<u32>,
}

/// Edges to nodes, in the order of their texts.
#[derive(Clone, Debug, Default)]
struct Edges {
    /// The first octets of each text as a number, so that most of a search is in one place.
    heads: Box<[u64]>,
    edges: Box<[Edge]>,
}

#[derive(Clone, Debug)]
struct Edge {
    text: Box<[u8]>,
    /// The longest of the other texts that this one begins with.
    shorter: Option<u32>,
    /// One that is shorter than that, or the same. These lead from any text to a much shorter one
    /// in few steps (Myers 1983, "An applicative random-access stack").
    jump: Option<u32>,
    /// How many of the others this one begins with.
    depth: u32,
    to: u32,
}

impl PatternIndex {
    /// An index of these patterns, whose numbers needn't be in order.
    #[must_use]
    pub fn new<'p>(patterns: impl Iterator<Item = (u32, &'p Pattern)>) -> Self {
        let mut growing = Growing::default();
        for (number, pattern) in patterns {
            growing.add(number, pattern);
        }
        Self { nodes: growing.nodes.into_iter().map(GrowingNode::finished).collect() }
    }

    /// Calls `visit` with the number of every pattern that matches a decoded path, and of a few
    /// that don't, in no order.
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
            // A placeholder stands for something.
            if text.len() < segment.len() {
                self.walk_on(*to, behind, visit);
            }
            edge = node.segments.get(*shorter);
        }
    }

    /// The same for what stands behind a splat, which takes all that is left in the end.
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

    /// The edge with the longest text that `of` begins with, or ends with.
    fn longest<const AT_END: bool>(&self, of: &[u8]) -> Option<&Edge> {
        if let [edge] = &*self.edges {
            let text = &*edge.text;
            // An empty text has no address, and comparing with it does a masked load from there,
            // which costs 80 ns (AVX-512).
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
        // Texts before `low` come before `of`, and those from `high` on behind it. How much the
        // nearest ones have in common with it, all between them have, too.
        let (mut common_low, mut common_high) = (0, 0);
        while low < high {
            let middle = low.midpoint(high);
            let text = &*self.edges[middle].text;
            let shared = common::<AT_END>(text, of, common_low.min(common_high));
            let is_behind = shared < text.len()
                && (shared == of.len() || nth::<AT_END>(text, shared) > nth::<AT_END>(of, shared));
            if is_behind {
                (high, common_high) = (middle, shared);
            } else {
                (low, common_low) = (middle + 1, shared);
            }
        }
        // The longest one is the last before `of`, or that one begins with it.
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

/// The first eight octets from the front or from the end, as a number in their order; what isn't
/// there is 0.
fn head<const AT_END: bool>(text: &[u8]) -> u64 {
    if let Some(octets) = if AT_END { text.last_chunk() } else { text.first_chunk() } {
        return if AT_END { u64::from_le_bytes(*octets) } else { u64::from_be_bytes(*octets) };
    }
    (0..8).fold(0, |head, at| {
        head << 8 | if at < text.len() { u64::from(nth::<AT_END>(text, at)) } else { 0 }
    })
}

/// The octet at a place, counted from the front or from the end.
fn nth<const AT_END: bool>(text: &[u8], at: usize) -> u8 {
    if AT_END { text[text.len() - 1 - at] } else { text[at] }
}

/// How many octets two texts have in common at their front or at their end. So many are known to
/// be.
fn common<const AT_END: bool>(one: &[u8], other: &[u8], known: usize) -> usize {
    let most = one.len().min(other.len());
    let mut count = known;
    let piece = |text: &[u8], at: usize| {
        let start = if AT_END { text.len() - at - CHUNK } else { at };
        <[u8; CHUNK]>::try_from(&text[start..start + CHUNK]).expect("it has this length")
    };
    while count + CHUNK <= most && piece(one, count) == piece(other, count) {
        count += CHUNK;
    }
    while count < most && nth::<AT_END>(one, count) == nth::<AT_END>(other, count) {
        count += 1;
    }
    count
}

/// A trie that is being put together.
#[derive(Default)]
struct Growing {
    nodes: Vec<GrowingNode>,
}

#[derive(Default)]
struct GrowingNode {
    /// By their texts; those that are looked for at an end by their texts' octets turned round.
    texts: BTreeMap<Vec<u8>, u32>,
    segments: BTreeMap<Vec<u8>, u32>,
    closed: Vec<u32>,
    open: Vec<u32>,
    behind: Option<u32>,
    is_from_end: bool,
}

impl Growing {
    fn add(&mut self, number: u32, pattern: &Pattern) {
        if self.nodes.is_empty() {
            self.node(false);
        }
        let Some(back) = &pattern.back else {
            let node = self.add_front(&pattern.front, false);
            self.nodes[node as usize].closed.push(number);
            return;
        };
        let mut node = self.add_front(&pattern.front, back.is_empty());
        if !back.is_empty() {
            node = if let Some(behind) = self.nodes[node as usize].behind {
                behind
            } else {
                let behind = self.node(true);
                *self.nodes[node as usize].behind.insert(behind)
            };
            for part in back.iter().rev() {
                node = match part {
                    Part::Literal(text) => self.text(node, text),
                    Part::Segment | Part::SegmentBefore(_) => self.segment(node, b""),
                };
            }
        }
        self.nodes[node as usize].open.push(number);
    }

    /// The node behind the parts before a splat, or all parts.
    ///
    /// Slashes before a splat at the end are left out, as `/blog/*` matches `/blog`, and so is a
    /// placeholder whose segment a splat goes on in (`/:name.html*`): [`Pattern::matches`] sees to
    /// these.
    fn add_front(&mut self, parts: &[Part], may_lack_slash: bool) -> u32 {
        let mut node = 0;
        // So much of the next text belongs to the segment before it.
        let mut taken = 0;
        for (index, part) in parts.iter().enumerate() {
            let next = parts.get(index + 1);
            node = match part {
                Part::Literal(text) => {
                    let mut text = &text[std::mem::take(&mut taken)..];
                    while next.is_none() && may_lack_slash && text.ends_with(b"/") {
                        text = &text[..text.len() - 1];
                    }
                    if text.is_empty() { node } else { self.text(node, text) }
                }
                Part::Segment => {
                    let end = next.map_or(&[][..], Part::end_of_segment);
                    taken = end.len();
                    self.segment(node, end)
                }
                Part::SegmentBefore(_) => return node,
            };
        }
        node
    }

    fn node(&mut self, is_from_end: bool) -> u32 {
        let number = u32::try_from(self.nodes.len()).expect("patterns are few");
        self.nodes.push(GrowingNode { is_from_end, ..GrowingNode::default() });
        number
    }

    fn text(&mut self, from: u32, text: &[u8]) -> u32 {
        let is_from_end = self.nodes[from as usize].is_from_end;
        let key = if is_from_end { turned(text) } else { text.to_vec() };
        if let Some(&known) = self.nodes[from as usize].texts.get(&key) {
            return known;
        }
        let node = self.node(is_from_end);
        self.nodes[from as usize].texts.insert(key, node);
        node
    }

    fn segment(&mut self, from: u32, end: &[u8]) -> u32 {
        let key = turned(end);
        if let Some(&known) = self.nodes[from as usize].segments.get(&key) {
            return known;
        }
        let node = self.node(self.nodes[from as usize].is_from_end);
        self.nodes[from as usize].segments.insert(key, node);
        node
    }
}

impl GrowingNode {
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

/// The edges of sorted keys, which are texts, or texts turned round.
fn edges(keys: BTreeMap<Vec<u8>, u32>, are_turned: bool) -> Edges {
    let mut edges: Vec<Edge> = Vec::with_capacity(keys.len());
    // The texts that the last one begins with, and itself.
    let mut open: Vec<(Vec<u8>, u32)> = Vec::new();
    for (key, to) in keys {
        while open.last().is_some_and(|(text, _)| !key.starts_with(text)) {
            open.pop();
        }
        let index = u32::try_from(edges.len()).expect("patterns are few");
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
        let text = if are_turned { turned(&key) } else { key.clone() };
        edges.push(Edge { text: text.into(), shorter, jump, depth, to });
        open.push((key, index));
    }
    let heads = edges
        .iter()
        .map(|edge| if are_turned { head::<true>(&edge.text) } else { head::<false>(&edge.text) });
    Edges { heads: heads.collect(), edges: edges.into() }
}

fn turned(text: &[u8]) -> Vec<u8> {
    text.iter().rev().copied().collect()
}

const CHUNK: usize = 16;

#[cfg(test)]
mod tests;
