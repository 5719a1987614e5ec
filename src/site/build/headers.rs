//! The parser of `_headers`, a convention of static hosts: a path pattern, and below it the fields
//! of responses to matching paths.
//!
//! ```text
//! /*
//!   X-Frame-Options: DENY
//! /assets/*
//!   Cache-Control: public, max-age=31536000, immutable
//!   ! X-Frame-Options
//! /private/*
//!   Basic-Auth: anna:secret ben:other
//! https://preview.example.org/*
//!   X-Robots-Tag: noindex
//! ```
//!
//! If several patterns match, all their fields apply, in the order of the file. The values of a
//! repeated name are joined with a comma, except `Content-Type`, of which the last value counts.
//! `! name` removes a field set before it, including the server's defaults. `Basic-Auth` is never
//! sent: it lists the credentials any of which opens the paths.
//!
//! A line that can't be honoured is left out and reported. A malformed `Basic-Auth`, or one below a
//! malformed pattern, is a problem: without it, the paths that it protects would be open. No report
//! has credentials.

use super::problem::Problem;
use super::rule_files::{HEADERS, lines};
use crate::http::basic_auth::encode_credentials;
use crate::http::{added_field, media_type};
use crate::site::credentials::{CredentialDigest, CredentialList};
use crate::site::field_rules::{BLOCKS_MAX, BlockSource, FieldRules, OperationSource};
use crate::site::pattern::{CAPTURES_MAX, HostPattern, Pattern, PatternError, split_host};
use crate::site::template::{Template, TemplateKind};
use zeroize::Zeroizing;

/// The rules of the file, and the lines without a rule.
#[derive(Clone, Debug, Default)]
pub struct ParsedHeaders {
    /// The blocks, as far as they are valid.
    pub rules: FieldRules,
    /// Lines that are left out, one for each cause.
    pub left_out: Vec<Problem>,
    /// Errors that prevent the start.
    pub problems: Vec<Problem>,
}

impl ParsedHeaders {
    /// Parses the text of the file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parser = HeadersParser::default();
        for (number, line) in lines(text) {
            parser.line(number, line);
        }
        parser.finish_block();
        let HeadersParser { blocks, left_out, mut problems, .. } = parser;
        if blocks.len() > BLOCKS_MAX {
            let why = format!("it has {} patterns; at most {BLOCKS_MAX} are allowed", blocks.len());
            problems.push(Problem::of(HEADERS, why));
            return Self { rules: FieldRules::default(), left_out, problems };
        }
        Self { rules: FieldRules::new(blocks), left_out, problems }
    }
}

/// The state of the parser between two lines.
#[derive(Default)]
struct HeadersParser {
    blocks: Vec<BlockSource>,
    current: CurrentBlock,
    left_out: Vec<Problem>,
    problems: Vec<Problem>,
}

/// The block that a field belongs to.
#[derive(Default)]
enum CurrentBlock {
    /// No pattern stands above it.
    #[default]
    None,
    /// The same, and a field was reported for it.
    NoneReported,
    /// A pattern, and whether lines below it were reported.
    Open { block: Box<BlockSource>, is_reported: bool },
    /// A malformed pattern, which was reported: its fields are left out with it.
    Malformed,
}

impl HeadersParser {
    fn line(&mut self, number: u32, line: &str) {
        let text = line.trim();
        let is_indented = line.starts_with([' ', '\t']);
        if is_protection(text) {
            if let Err(why) = self.protection(text) {
                self.problems.push(Problem::at(HEADERS, number, why.to_owned()));
            }
        } else if is_pattern(text) || !is_indented && !is_field(text) {
            self.finish_block();
            self.current = match parse_pattern(text) {
                Ok(block) => CurrentBlock::Open {
                    block: Box::new(BlockSource { line: number, ..block }),
                    is_reported: false,
                },
                Err(why) => {
                    self.left_out.push(Problem::at(HEADERS, number, why));
                    CurrentBlock::Malformed
                }
            };
        } else {
            self.field(number, text);
        }
    }

    fn field(&mut self, number: u32, text: &str) {
        let outcome = match &mut self.current {
            CurrentBlock::Malformed | CurrentBlock::NoneReported => return,
            CurrentBlock::None => {
                self.current = CurrentBlock::NoneReported;
                Err("a field must stand below a pattern".to_owned())
            }
            CurrentBlock::Open { block, is_reported } => {
                let outcome = add_operation(number, text, block);
                *is_reported |= outcome.is_err();
                outcome
            }
        };
        if let Err(why) = outcome {
            self.left_out.push(Problem::at(HEADERS, number, why));
        }
    }

    /// Adds credentials to the block. The reasons of errors repeat nothing of the line.
    fn protection(&mut self, text: &str) -> Result<(), &'static str> {
        let block = match &mut self.current {
            CurrentBlock::Open { block, .. } => block,
            CurrentBlock::Malformed => {
                return Err("the pattern above Basic-Auth is malformed, so that the paths it is \
                            meant for would be open");
            }
            CurrentBlock::None | CurrentBlock::NoneReported => {
                return Err("Basic-Auth must stand below a pattern");
            }
        };
        let value = text.get(PROTECTION.len()..).and_then(|rest| rest.strip_prefix(':'));
        let list = block.credentials.get_or_insert_with(CredentialList::default);
        let mut is_empty = true;
        for credentials in value.ok_or(AS_BASIC_AUTH)?.split_ascii_whitespace() {
            let (user, password) = credentials.split_once(':').ok_or(AS_BASIC_AUTH)?;
            if user.is_empty() || password.is_empty() {
                return Err(AS_BASIC_AUTH);
            }
            if credentials.chars().any(char::is_control) {
                return Err("a user name or a password can't contain control characters");
            }
            let encoded = encode_credentials(credentials.as_bytes()).map(Zeroizing::new);
            let encoded = encoded.ok_or("a user name and its password may have 768 bytes")?;
            list.add(CredentialDigest::of(&encoded));
            is_empty = false;
        }
        if is_empty { Err(AS_BASIC_AUTH) } else { Ok(()) }
    }

    fn finish_block(&mut self) {
        let current = std::mem::take(&mut self.current);
        let CurrentBlock::Open { block, is_reported } = current else { return };
        if block.operations.is_empty() && block.credentials.is_none() {
            if !is_reported {
                let why = "it has no fields; write them below it, indented".to_owned();
                self.left_out.push(Problem::at(HEADERS, block.line, why));
            }
            return;
        }
        self.blocks.push(*block);
    }
}

/// Whether a line states credentials, or is meant to.
fn is_protection(text: &str) -> bool {
    let text = text.trim_start_matches(['!', ' ', '\t']);
    text.get(..PROTECTION.len()).is_some_and(|start| start.eq_ignore_ascii_case(PROTECTION))
}

/// Whether a line is a pattern, indented or not: no name of a field begins like that. Other lines
/// that aren't indented may be fields, as hosts take them.
fn is_pattern(text: &str) -> bool {
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric())
    });
    text.starts_with('/') || has_scheme
}

/// Whether a line that isn't indented is a field.
fn is_field(text: &str) -> bool {
    text.starts_with('!') || added_field::field(text).is_ok()
}

fn parse_pattern(text: &str) -> Result<BlockSource, String> {
    let malformed = |why| format!("{text}: {why}");
    let (host, path) = split_host(text).map_err(malformed)?;
    let pattern = Pattern::parse(path).map_err(malformed)?;
    let host_names = host.iter().flat_map(HostPattern::names);
    if pattern.names().chain(host_names).count() > CAPTURES_MAX {
        return Err(malformed(PatternError::TooManyNames));
    }
    Ok(BlockSource { pattern, host, line: 0, operations: Vec::new(), credentials: None })
}

/// Adds the line of a field to a block.
fn add_operation(line: u32, text: &str, block: &mut BlockSource) -> Result<(), String> {
    if let Some(name) = text.strip_prefix('!') {
        let name = name.trim();
        // The name must be valid, as in a line that adds the field.
        added_field::field(&format!("{name}:"))?;
        check_name(name)?;
        if name.eq_ignore_ascii_case("Content-Encoding") {
            return Err(format!("{name} can't be removed: it is a fact of the file"));
        }
        block.operations.push(OperationSource { line, name: name.to_owned(), value: None });
        return Ok(());
    }
    let (name, value) = added_field::field(text)?;
    check_name(&name)?;
    let is_repeated = || {
        let mut added = block.operations.iter().filter(|known| known.value.is_some());
        added.any(|known| known.name.eq_ignore_ascii_case(&name))
    };
    if name.eq_ignore_ascii_case("Content-Type") {
        media_type::parse(&value).map_err(|why| format!("{value}: {why}"))?;
        if is_repeated() {
            return Err(format!("the pattern has {name} twice"));
        }
    }
    if name.eq_ignore_ascii_case("Content-Encoding") {
        if !CODINGS.iter().any(|coding| coding.eq_ignore_ascii_case(&value)) {
            let known = CODINGS.join(", ");
            return Err(format!("{value}: a file can be stored in one of these codings: {known}"));
        }
        if is_repeated() {
            return Err(format!("the pattern has {name} twice"));
        }
    }
    let host_names: Vec<&str> = block.host.iter().flat_map(HostPattern::names).collect();
    let kind = TemplateKind::Value;
    let template = Template::parse_with(&value, &block.pattern, &host_names, &[], kind);
    let value = Some(template.map_err(|why| why.to_string())?);
    block.operations.push(OperationSource { line, name, value });
    Ok(())
}

/// Refuses fields that the server sets itself.
fn check_name(name: &str) -> Result<(), String> {
    match added_field::reserved_reason(name) {
        // For files, its value is only a default.
        Some(_) if name.eq_ignore_ascii_case("Content-Type") => Ok(()),
        Some(why) => Err(format!("{name} can't be changed: {why}")),
        None if name.eq_ignore_ascii_case("Location") => {
            Err(format!("{name} can't be changed: write a redirect into _redirects"))
        }
        None => Ok(()),
    }
}

/// The codings that browsers decode and a file can be stored in.
const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];
const PROTECTION: &str = "Basic-Auth";
const AS_BASIC_AUTH: &str = "write one or more user:password pairs, separated by spaces, as in \
                             'Basic-Auth: USER:PASSWORD'";

#[cfg(test)]
mod tests;
