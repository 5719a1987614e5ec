//! The blocks of `_headers`, compiled: the blocks that apply to a response, and the fields that
//! they make of its defaults.
//!
//! A block applies if its pattern matches the *requested path* or the *canonical path* of the file
//! that answers. All operations of the blocks that apply have effect in the order of the file. The
//! outcome is stated per operation, so that it needs no memory, and is the same at start
//! (`build::merge`) and for a request (`tree::composer`):
//!
//! - a default is sent unless an operation has its name;
//! - an addition is sent unless a later operation removes the field;
//! - it begins a field line, or joins the one that an earlier addition has begun ([`Repeated`]).
//!
//! The search for operations of the same name takes the square of the operations that apply, of
//! which there are [`OPERATIONS_MAX`] at most.

use super::credentials::CredentialList;
use super::field_class::{FieldClass, Repeated, ResponseKind};
use super::index::PatternIndex;
use super::pattern::{Captures, HostPattern, Pattern};
use super::template::Template;
use crate::http::added_field::ADDED_FIELDS_BYTES_MAX;
use std::collections::HashMap;
use std::ops::Range;

/// The compiled blocks.
#[derive(Clone, Debug, Default)]
pub struct FieldRules {
    blocks: Box<[FieldRuleBlock]>,
    operations: Box<[Operation]>,
    /// Numbers of names, by name in lower case.
    names: HashMap<String, NameId>,
    index: PatternIndex,
    /// The blocks with credentials alone.
    protecting: PatternIndex,
}

/// A block before it is compiled.
#[derive(Clone, Debug)]
pub struct BlockSource {
    /// Pattern of paths.
    pub pattern: Pattern,
    /// Pattern of the host, if the block has one.
    pub host: Option<HostPattern>,
    /// Number of its line in `_headers`, from 1.
    pub line: u32,
    /// The lines below it.
    pub operations: Vec<OperationSource>,
    /// The credentials that its paths need.
    pub credentials: Option<CredentialList>,
}

/// A line below a pattern.
#[derive(Clone, Debug)]
pub struct OperationSource {
    /// Number of the line, from 1.
    pub line: u32,
    /// The name as it is written.
    pub name: String,
    /// The added value; `None` removes the field.
    pub value: Option<Template>,
}

/// A compiled block.
#[derive(Clone, Debug)]
pub struct FieldRuleBlock {
    /// Number of its line in `_headers`, from 1.
    pub line: u32,
    /// Pattern of paths.
    pub pattern: Pattern,
    host: Option<HostPattern>,
    operations: Range<usize>,
    /// The credentials that its paths need.
    pub credentials: Option<CredentialList>,
}

/// A line that adds or removes a field.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Number of the line, from 1.
    pub line: u32,
    /// The name as it is written.
    pub name: String,
    /// The added value; `None` removes the field.
    pub value: Option<Template>,
    id: NameId,
    class: FieldClass,
}

/// Number of a field name, equal for all spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameId(u32);

/// An operation that applies to a response.
#[derive(Clone, Copy, Debug)]
pub struct AppliedOperation<'r> {
    /// The operation.
    pub operation: &'r Operation,
    /// Number of its block.
    pub block: u32,
    /// Its place among all operations.
    place: usize,
}

/// The paths of a response.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponsePaths<'p> {
    /// The path of the request, decoded.
    pub requested: Option<&'p [u8]>,
    /// The canonical path of the file that answers.
    pub canonical: Option<&'p [u8]>,
}

/// The blocks that count, as far as they have a pattern of the host.
#[derive(Clone, Copy, Debug)]
pub enum HostScope<'a> {
    /// Those without one.
    Unconditional,
    /// Those that match the authority of a request.
    Authority(Option<&'a [u8]>),
    /// All.
    All,
}

impl FieldRules {
    /// Compiles blocks, which are in the order of their file.
    ///
    /// # Panics
    /// If there are more than [`BLOCKS_MAX`].
    #[must_use]
    pub fn new(sources: Vec<BlockSource>) -> Self {
        assert!(sources.len() <= BLOCKS_MAX, "the parser refuses more blocks");
        let mut rules = Self::default();
        let (mut blocks, mut operations) = (Vec::new(), Vec::new());
        for source in sources {
            let first = operations.len();
            operations.extend(source.operations.into_iter().map(|line| rules.compile(line)));
            let BlockSource { pattern, host, line, credentials, .. } = source;
            let operations = first..operations.len();
            blocks.push(FieldRuleBlock { line, pattern, host, operations, credentials });
        }
        let numbered = || (0..).zip(&blocks);
        rules.index = PatternIndex::new(numbered().map(|(number, block)| (number, &block.pattern)));
        let protecting = numbered().filter(|(_, block)| block.credentials.is_some());
        rules.protecting = PatternIndex::new(protecting.map(|(number, b)| (number, &b.pattern)));
        Self { blocks: blocks.into(), operations: operations.into(), ..rules }
    }

    fn compile(&mut self, source: OperationSource) -> Operation {
        let OperationSource { line, name, value } = source;
        let next = NameId(u32::try_from(self.names.len()).expect("a file has 1 MiB at most"));
        let id = *self.names.entry(name.to_ascii_lowercase()).or_insert(next);
        let text = value.as_ref().and_then(Template::fixed).map(String::from_utf8_lossy);
        let class = FieldClass::of(&name, text.as_deref());
        Operation { line, name, value, id, class }
    }

    /// Whether there are no blocks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether a block has credentials.
    #[must_use]
    pub fn has_protection(&self) -> bool {
        self.blocks.iter().any(|block| block.credentials.is_some())
    }

    /// The blocks, in the order of the file.
    #[must_use]
    pub fn blocks(&self) -> &[FieldRuleBlock] {
        &self.blocks
    }

    /// The operations of a block.
    #[must_use]
    pub fn operations_of(&self, block: u32) -> &[Operation] {
        &self.operations[self.blocks[block as usize].operations.clone()]
    }

    /// The number of a name that an operation has.
    #[must_use]
    pub fn name_id(&self, name: &str) -> Option<NameId> {
        self.names.get(&name.to_ascii_lowercase()).copied()
    }

    /// The blocks that apply to a response. Allocates nothing.
    #[must_use]
    pub fn matched(&self, paths: ResponsePaths<'_>, scope: HostScope<'_>) -> MatchedBlocks {
        let mut matched = MatchedBlocks::default();
        if let Some(path) = paths.requested {
            self.visit(&self.index, path, scope, &mut |number| matched.requested.add(number));
        }
        if let Some(path) = paths.canonical {
            self.visit(&self.index, path, scope, &mut |number| matched.canonical.add(number));
        }
        matched
    }

    /// Calls `visit` with each block that protects a path, possibly more than once.
    pub fn protecting(&self, path: &[u8], scope: HostScope<'_>, visit: &mut dyn FnMut(u32)) {
        self.visit(&self.protecting, path, scope, visit);
    }

    fn visit(
        &self,
        index: &PatternIndex,
        path: &[u8],
        scope: HostScope<'_>,
        visit: &mut dyn FnMut(u32),
    ) {
        index.candidates(path, &mut |number| {
            let block = &self.blocks[number as usize];
            if scope.permits(block) && block.pattern.matches(path).is_some() {
                visit(number);
            }
        });
    }

    /// The operations that apply to a response, in the order of the file.
    fn operations<'r>(
        &'r self,
        matched: &'r MatchedBlocks,
        kind: ResponseKind,
    ) -> impl Iterator<Item = AppliedOperation<'r>> {
        matched.numbers().flat_map(move |block| {
            let by_canonical = matched.canonical.has(block);
            let range = self.blocks[block as usize].operations.clone();
            let numbered = range.clone().zip(&self.operations[range]);
            let applied = numbered.map(move |(place, operation)| AppliedOperation {
                operation,
                block,
                place,
            });
            applied.filter(move |applied| kind.permits(applied.operation.class, by_canonical))
        })
    }

    /// Whether more operations apply than are permitted; returns the first one beyond.
    #[must_use]
    pub fn excess<'r>(
        &'r self,
        matched: &'r MatchedBlocks,
        kind: ResponseKind,
    ) -> Option<&'r Operation> {
        self.operations(matched, kind).nth(OPERATIONS_MAX).map(|applied| applied.operation)
    }

    /// Whether operations decide about a field, so that its default isn't sent.
    #[must_use]
    pub fn is_overridden(&self, id: NameId, matched: &MatchedBlocks, kind: ResponseKind) -> bool {
        self.operations(matched, kind).any(|applied| applied.operation.id == id)
    }

    /// The additions that begin a field line, in the order of the lines.
    pub fn field_lines<'r>(
        &'r self,
        matched: &'r MatchedBlocks,
        kind: ResponseKind,
    ) -> impl Iterator<Item = AppliedOperation<'r>> {
        self.operations(matched, kind)
            .filter(move |applied| self.begins_line(applied, matched, kind))
    }

    fn begins_line(
        &self,
        own: &AppliedOperation<'_>,
        matched: &MatchedBlocks,
        kind: ResponseKind,
    ) -> bool {
        if own.operation.value.is_none() {
            return false;
        }
        let repeated = Repeated::of(&own.operation.name);
        let mut is_joined = false;
        for other in self.operations(matched, kind) {
            if other.operation.id != own.operation.id || other.place == own.place {
                continue;
            }
            let is_later = other.place > own.place;
            match &other.operation.value {
                None if is_later => return false,
                None => is_joined = false,
                Some(_) if is_later && repeated == Repeated::Replaces => return false,
                Some(_) if !is_later && repeated == Repeated::Joins => is_joined = true,
                Some(_) => {}
            }
        }
        !is_joined
    }

    /// The additions whose values make the line that `first` begins: itself, and those that join
    /// it.
    pub fn values<'r>(
        &'r self,
        first: AppliedOperation<'r>,
        matched: &'r MatchedBlocks,
        kind: ResponseKind,
    ) -> impl Iterator<Item = AppliedOperation<'r>> {
        let joins = Repeated::of(&first.operation.name) == Repeated::Joins;
        let is_part = move |other: &AppliedOperation<'_>| {
            let follows = other.place > first.place && other.operation.id == first.operation.id;
            other.place == first.place || joins && follows
        };
        self.operations(matched, kind).filter(is_part)
    }

    /// Whether a response has a field of this name by an operation.
    #[must_use]
    pub fn adds(&self, id: NameId, matched: &MatchedBlocks, kind: ResponseKind) -> bool {
        self.field_lines(matched, kind).any(|applied| applied.operation.id == id)
    }

    /// The lines of the operations that have an effect on a response: additions that are sent, and
    /// removals of a field that was there. `has_default` tells whether the defaults have a name.
    #[must_use]
    pub fn effective_lines(
        &self,
        matched: &MatchedBlocks,
        kind: ResponseKind,
        has_default: impl Fn(&str) -> bool,
    ) -> Vec<u32> {
        let is_effective = |own: &AppliedOperation<'_>| {
            let same = |other: &AppliedOperation<'_>| other.operation.id == own.operation.id;
            let mut others = self.operations(matched, kind).filter(same);
            if own.operation.value.is_none() {
                return match others.take_while(|other| other.place < own.place).last() {
                    Some(before) => before.operation.value.is_some(),
                    None => has_default(&own.operation.name),
                };
            }
            let replaces = Repeated::of(&own.operation.name) == Repeated::Replaces;
            !others.any(|other| {
                other.place > own.place && (other.operation.value.is_none() || replaces)
            })
        };
        let effective = self.operations(matched, kind).filter(is_effective);
        effective.map(|applied| applied.operation.line).collect()
    }

    /// Whether a block has a pattern of the host.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        self.blocks.iter().any(|block| block.host.is_some())
    }

    /// The captures of a block that applies.
    #[must_use]
    pub fn captures<'p>(
        &self,
        block: u32,
        matched: &MatchedBlocks,
        paths: ResponsePaths<'p>,
        authority: Option<&'p [u8]>,
    ) -> Captures<'p> {
        let by_requested = matched.requested.has(block);
        let path = if by_requested { paths.requested } else { paths.canonical };
        let path = path.expect("the block applies by this path");
        let block = &self.blocks[block as usize];
        let mut captures = block.pattern.matches(path).expect("the block matches this path");
        if let Some(host) = &block.host {
            assert!(host.capture(authority, &mut captures), "the block matches this host");
        }
        captures
    }

    /// Most bytes of the field lines that the blocks can add to a response.
    #[must_use]
    pub fn added_bytes_max(&self) -> usize {
        // A response has two paths, each of which is matched by the blocks with placeholders, and
        // by those of its own.
        let mut shared = 0;
        let mut own: HashMap<&[u8], usize> = HashMap::new();
        for (number, block) in (0..).zip(&self.blocks) {
            let mut bytes = 0;
            for operation in self.operations_of(number) {
                let Some(value) = &operation.value else { continue };
                let Some(text) = value.fixed() else { return ADDED_FIELDS_BYTES_MAX };
                bytes += operation.name.len() + ": \r\n".len() + text.len();
            }
            match block.pattern.exact() {
                Some(path) => *own.entry(path).or_default() += bytes,
                None => shared += bytes,
            }
        }
        let most = own.into_values().max().unwrap_or(0);
        (shared + 2 * most).min(ADDED_FIELDS_BYTES_MAX)
    }
}

impl Operation {
    /// The number of the name.
    #[must_use]
    pub fn id(&self) -> NameId {
        self.id
    }
}

impl HostScope<'_> {
    fn permits(self, block: &FieldRuleBlock) -> bool {
        match (&block.host, self) {
            (None, _) | (Some(_), Self::All) => true,
            (Some(_), Self::Unconditional) => false,
            (Some(host), Self::Authority(authority)) => host.matches(authority),
        }
    }

    /// Whether a block counts.
    #[must_use]
    pub fn has(self, rules: &FieldRules, block: u32) -> bool {
        self.permits(&rules.blocks[block as usize])
    }
}

/// The blocks that apply to a response, by the path that their patterns match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatchedBlocks {
    requested: BlockSet,
    canonical: BlockSet,
}

impl MatchedBlocks {
    /// Whether no block applies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The numbers of the blocks, in the order of the file.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let words = (0..).step_by(64).zip(self.requested.0.iter().zip(&self.canonical.0));
        words.flat_map(|(first, (requested, canonical))| {
            let mut left = requested | canonical;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                (bit < u64::BITS).then_some(first + bit)
            })
        })
    }
}

/// A set of blocks by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct BlockSet([u64; BLOCKS_MAX.div_ceil(64)]);

impl BlockSet {
    fn add(&mut self, block: u32) {
        self.0[(block / u64::BITS) as usize] |= 1 << (block % u64::BITS);
    }

    fn has(&self, block: u32) -> bool {
        self.0[(block / u64::BITS) as usize] >> (block % u64::BITS) & 1 == 1
    }
}

/// Most blocks.
pub const BLOCKS_MAX: usize = 1_000;
/// Most operations that may apply to one response.
pub const OPERATIONS_MAX: usize = 512;

#[cfg(test)]
mod tests;
