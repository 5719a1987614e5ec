//! Field lines that are composed for a request: of responses that no route decides, and of routes
//! that a block with a host matches.

use super::rows::FileId;
use crate::http::response::is_kept_by_not_modified;
use crate::site::field_class::{FieldClass, JOIN, ResponseKind};
use crate::site::field_rules::{
    AppliedOperation, FieldRules, HostScope, MatchedBlocks, NameId, ResponsePaths,
};
use crate::site::pattern::Captures;
use std::collections::HashMap;

/// The rules and the defaults from which field lines are composed.
#[derive(Debug, Default)]
pub(super) struct Composer {
    rules: FieldRules,
    defaults: Vec<DefaultFields>,
    /// The defaults of responses without a file.
    built_in: DefaultsId,
    /// By the index of a file; empty if no file needs it.
    pub(super) files: Vec<ComposedFile>,
    /// The blocks that protect a file.
    pub(super) protection: HashMap<u32, Box<[u32]>, foldhash::fast::FixedState>,
    allow_origin: Option<NameId>,
    allow_methods: Option<NameId>,
    default_allows_origin: bool,
    default_allows_methods: bool,
}

/// The values that the fields of a file are composed from.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComposedFile {
    /// The offset of its canonical path in the table of routes.
    pub(super) canonical: u32,
    pub(super) defaults: DefaultsId,
}

/// Index of a set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultsId(u32);

/// The fields of a response before rules apply, for open and for protected paths.
#[derive(Debug, Default)]
struct DefaultFields {
    open: Box<[DefaultField]>,
    protected: Box<[DefaultField]>,
}

#[derive(Debug)]
struct DefaultField {
    /// The number of its name, if a rule has that name.
    id: Option<NameId>,
    class: FieldClass,
    is_kept: bool,
    is_vary: bool,
    /// Name, colon, space and value.
    text: Box<[u8]>,
}

/// Field lines at the beginning of a slot's block. The lines that a 304 has come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Composition {
    pub(super) bytes: u32,
    pub(super) kept_at: u32,
}

/// The fields of the request by which a response varies, in addition to those of its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VaryBy {
    pub(super) accept: bool,
    pub(super) accept_encoding: bool,
    pub(super) accept_language: bool,
}

/// A response whose field lines are to be composed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComposedResponse<'p> {
    pub(super) kind: ResponseKind,
    pub(super) paths: ResponsePaths<'p>,
    pub(super) authority: Option<&'p [u8]>,
    /// The defaults of its file; `None` for those of responses without one.
    pub(super) defaults: Option<DefaultsId>,
    pub(super) is_protected: bool,
    pub(super) vary_by: VaryBy,
    /// Whether a preflight may ask for it (OPTIONS).
    pub(super) is_preflight: bool,
}

impl Composer {
    /// A composer with these rules and the fields of responses without a file.
    pub(super) fn new<'a>(
        rules: FieldRules,
        built_in: [impl Iterator<Item = (&'a str, &'a str)>; 2],
    ) -> Self {
        let mut composer = Self { rules, ..Self::default() };
        composer.built_in = composer.add_defaults(built_in);
        let has = |name: &str| {
            let built_in = &composer.defaults[0].open;
            built_in.iter().any(|field| {
                let own = field.text.get(..name.len());
                own.is_some_and(|own| own.eq_ignore_ascii_case(name.as_bytes()))
            })
        };
        composer.default_allows_origin = has(ALLOW_ORIGIN);
        composer.default_allows_methods = has(ALLOW_METHODS);
        composer.allow_origin = composer.rules.name_id(ALLOW_ORIGIN);
        composer.allow_methods = composer.rules.name_id(ALLOW_METHODS);
        composer
    }

    /// Adds the defaults of a file, for an open and for a protected path.
    pub(super) fn add_defaults<'a>(
        &mut self,
        fields: [impl Iterator<Item = (&'a str, &'a str)>; 2],
    ) -> DefaultsId {
        let compiled = |(name, value): (&str, &str)| DefaultField {
            id: self.rules.name_id(name),
            class: FieldClass::of(name, Some(value)),
            is_kept: is_kept_by_not_modified(name),
            is_vary: name.eq_ignore_ascii_case(VARY),
            text: format!("{name}: {value}").into_bytes().into(),
        };
        let [open, protected] = fields.map(|fields| fields.map(compiled).collect());
        let id = u32::try_from(self.defaults.len()).expect("there are fewer than 2^32 files");
        self.defaults.push(DefaultFields { open, protected });
        DefaultsId(id)
    }

    /// Most bytes of the lines that are composed.
    pub(super) fn bytes_max(&self) -> usize {
        let bytes = |fields: &[DefaultField]| -> usize {
            fields.iter().map(|field| field.text.len() + LINE_END.len()).sum()
        };
        let sets = self.defaults.iter().flat_map(|set| [bytes(&set.open), bytes(&set.protected)]);
        composed_bytes_max(&self.rules, sets.max().unwrap_or(0))
    }

    pub(super) fn rules(&self) -> &FieldRules {
        &self.rules
    }

    /// The blocks that protect a file.
    pub(super) fn protectors(&self, file: FileId) -> &[u32] {
        self.protection.get(&file.0).map_or(&[], |blocks| blocks)
    }

    /// Writes the field lines of a response to the beginning of `out`; `None` if they don't fit.
    pub(super) fn compose(
        &self,
        response: &ComposedResponse<'_>,
        out: &mut [u8],
    ) -> Option<Composition> {
        let ComposedResponse { kind, paths, authority, .. } = *response;
        let matched = self.rules.matched(paths, HostScope::Authority(authority));
        if self.rules.excess(&matched, kind).is_some() {
            return None;
        }
        let mut lines = LineWriter { out, used: 0 };
        let mut rest = response.vary_by;
        self.put_lines(response, &matched, false, &mut rest, &mut lines)?;
        let kept_at = lines.used;
        self.put_lines(response, &matched, true, &mut rest, &mut lines)?;
        if rest != VaryBy::default() {
            lines.put(b"Vary: ")?;
            lines.put_members(rest, true)?;
            lines.put(LINE_END)?;
        }
        let number = |bytes| u32::try_from(bytes).expect("a block has less than 4 GiB");
        Some(Composition { bytes: number(lines.used), kept_at: number(kept_at) })
    }

    /// Writes the lines that a 304 has, too, or the others.
    fn put_lines(
        &self,
        response: &ComposedResponse<'_>,
        matched: &MatchedBlocks,
        kept: bool,
        vary_by: &mut VaryBy,
        lines: &mut LineWriter<'_>,
    ) -> Option<()> {
        let kind = response.kind;
        let DefaultsId(defaults) = response.defaults.unwrap_or(self.built_in);
        let defaults = &self.defaults[defaults as usize];
        let defaults = if response.is_protected { &defaults.protected } else { &defaults.open };
        for field in defaults.iter().filter(|field| field.is_kept == kept) {
            let is_overridden = |id| self.rules.is_overridden(id, matched, kind);
            if !kind.permits(field.class, true) || field.id.is_some_and(is_overridden) {
                continue;
            }
            lines.put(&field.text)?;
            if field.is_vary {
                let value_at = lines.used - field.text.len() + VARY.len() + COLON.len();
                lines.finish_vary(value_at, vary_by)?;
            }
            lines.put(LINE_END)?;
        }
        for first in self.rules.field_lines(matched, kind) {
            let name = &first.operation.name;
            if is_kept_by_not_modified(name) != kept {
                continue;
            }
            lines.put(name.as_bytes())?;
            lines.put(COLON)?;
            let value_at = lines.used;
            self.put_value(first, response, matched, lines)?;
            if name.eq_ignore_ascii_case(VARY) {
                lines.finish_vary(value_at, vary_by)?;
            }
            lines.put(LINE_END)?;
        }
        if response.is_preflight && !kept && self.lacks_methods(matched, kind) {
            lines.put(METHODS_LINE)?;
        }
        Some(())
    }

    fn put_value(
        &self,
        first: AppliedOperation<'_>,
        response: &ComposedResponse<'_>,
        matched: &MatchedBlocks,
        lines: &mut LineWriter<'_>,
    ) -> Option<()> {
        // The captures of the last block: most lines with placeholders are alone in theirs.
        let mut known: Option<(u32, Captures<'_>)> = None;
        for (index, part) in self.rules.values(first, matched, response.kind).enumerate() {
            if index > 0 {
                lines.put(JOIN.as_bytes())?;
            }
            let Some(value) = &part.operation.value else { continue };
            if let Some(text) = value.fixed() {
                lines.put(text)?;
                continue;
            }
            let captures = match known {
                Some((block, captures)) if block == part.block => captures,
                _ => self.rules.captures(part.block, matched, response.paths, response.authority),
            };
            known = Some((part.block, captures));
            lines.used += value.write(&captures, &mut lines.out[lines.used..])?;
        }
        Some(())
    }

    /// Whether a response lets other origins read it, and doesn't say by which methods.
    fn lacks_methods(&self, matched: &MatchedBlocks, kind: ResponseKind) -> bool {
        let has = |id: Option<NameId>, by_default: bool| match id {
            Some(id) if self.rules.is_overridden(id, matched, kind) => {
                self.rules.adds(id, matched, kind)
            }
            _ => by_default,
        };
        has(self.allow_origin, self.default_allows_origin)
            && !has(self.allow_methods, self.default_allows_methods)
    }
}

/// Writes lines to the beginning of a buffer.
struct LineWriter<'a> {
    out: &'a mut [u8],
    used: usize,
}

impl LineWriter<'_> {
    fn put(&mut self, text: &[u8]) -> Option<()> {
        self.out.get_mut(self.used..self.used + text.len())?.copy_from_slice(text);
        self.used += text.len();
        Some(())
    }

    /// Adds the fields that the value of `Vary`, which begins at `value_at`, doesn't name.
    fn finish_vary(&mut self, value_at: usize, vary_by: &mut VaryBy) -> Option<()> {
        let value = &self.out[value_at..self.used];
        let names = |name: &str| {
            value
                .split(|&octet| octet == b',')
                .map(<[u8]>::trim_ascii)
                .any(|member| member == b"*" || member.eq_ignore_ascii_case(name.as_bytes()))
        };
        let missing = VaryBy {
            accept: vary_by.accept && !names(ACCEPT),
            accept_encoding: vary_by.accept_encoding && !names(ACCEPT_ENCODING),
            accept_language: vary_by.accept_language && !names(ACCEPT_LANGUAGE),
        };
        *vary_by = VaryBy::default();
        self.put_members(missing, false)
    }

    fn put_members(&mut self, members: VaryBy, mut is_first: bool) -> Option<()> {
        for (is_member, name) in [
            (members.accept, ACCEPT),
            (members.accept_encoding, ACCEPT_ENCODING),
            (members.accept_language, ACCEPT_LANGUAGE),
        ] {
            if is_member {
                self.put(if is_first { b"" } else { JOIN.as_bytes() })?;
                self.put(name.as_bytes())?;
                is_first = false;
            }
        }
        Some(())
    }
}

/// Most bytes of the lines that rules make of defaults of at most `defaults_bytes_max` bytes.
#[must_use]
pub fn composed_bytes_max(rules: &FieldRules, defaults_bytes_max: usize) -> usize {
    defaults_bytes_max + rules.added_bytes_max() + COMPOSED_EXTRA_BYTES
}

/// Most bytes that [`VaryBy`] and a preflight add to a response.
const COMPOSED_EXTRA_BYTES: usize =
    "Vary: Accept, Accept-Encoding, Accept-Language\r\n".len() + METHODS_LINE.len();

const VARY: &str = "Vary";
const ACCEPT: &str = "Accept";
const ACCEPT_ENCODING: &str = "Accept-Encoding";
const ACCEPT_LANGUAGE: &str = "Accept-Language";
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_METHODS: &str = "Access-Control-Allow-Methods";
const METHODS_LINE: &[u8] = b"Access-Control-Allow-Methods: GET, HEAD\r\n";
const COLON: &[u8] = b": ";
const LINE_END: &[u8] = b"\r\n";
