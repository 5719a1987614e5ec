//! What a stream of responses means, by the grammar alone: RFC 9112 2 to 7 and 9.3, all at once.

use super::chunks::chunks;
use crate::http::body::Progress;
use crate::http::response_parser::properties::Reading;
use crate::http::response_parser::{
    Asked, CompleteResponse, End, FIELDS_MAX, HEAD_BYTES_MAX, INTERIM_MAX, Malformed,
};

/// What the stream means if the same was asked all the time.
pub(super) fn responses(asked: Asked, bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let mut rest = bytes;
    while reading.end.is_none() {
        let before = rest.len();
        match response(asked, &mut rest, &mut reading.content) {
            Ok(response) => reading.responses.push((before - rest.len(), response)),
            Err(end) => reading.end = Some(end),
        }
    }
    reading
}

/// The response that a stream begins with, or how the stream ends before there is one.
fn response(
    asked: Asked,
    rest: &mut &[u8],
    content: &mut Vec<u8>,
) -> Result<CompleteResponse, Result<End, Malformed>> {
    if rest.is_empty() {
        return Err(Ok(End::Between));
    }
    let before = rest.len();
    let mut interim = 0;
    let (status, persists, framing) = loop {
        match head(asked, &take_head(rest)?).map_err(Err)? {
            Some(decided) => break decided,
            None if interim == INTERIM_MAX => return Err(Err(Malformed::TooManyInterim)),
            None => interim += 1,
        }
    };
    let head_bytes = u32::try_from(before - rest.len()).expect("heads have a bound");
    let mut response = CompleteResponse { status, persists, body_bytes: 0, head_bytes };
    let length_before = content.len();
    let end = match framing {
        Framing::Length(length) => {
            let length = usize::try_from(length).expect("as wide as a length").min(rest.len());
            content.extend_from_slice(&rest[..length]);
            *rest = &rest[length..];
            let is_whole = (content.len() - length_before) as u64 == framing.length();
            if is_whole { None } else { Some(Ok(End::Short)) }
        }
        Framing::Chunked => {
            let (used, progress) = chunks(rest, u64::MAX, content);
            *rest = &rest[used..];
            match progress {
                Progress::Done => None,
                Progress::More => Some(Ok(End::Short)),
                Progress::TooLong | Progress::Malformed => Some(Err(Malformed::Chunks)),
            }
        }
        Framing::UntilClose => {
            content.extend_from_slice(rest);
            response.persists = false;
            response.body_bytes = rest.len() as u64;
            return Err(Ok(End::Whole(response)));
        }
    };
    response.body_bytes = (content.len() - length_before) as u64;
    end.map_or(Ok(response), Err)
}

#[derive(Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    fn length(self) -> u64 {
        if let Self::Length(length) = self { length } else { 0 }
    }
}

/// The head that the rest begins with, an octet a character, without its last line end.
fn take_head(rest: &mut &[u8]) -> Result<String, Result<End, Malformed>> {
    let text: String = rest.iter().map(|&octet| char::from(octet)).collect();
    let start = "HTTP/1.";
    if !text.starts_with(start) && !start.starts_with(&text) {
        return Err(Err(Malformed::NotHttp));
    }
    let octets: Vec<char> = text.chars().take(HEAD_BYTES_MAX as usize).collect();
    let seen: String = octets.iter().collect();
    let head = seen.split_once("\r\n\r\n").map_or(&*seen, |(head, _)| head);
    if head.replace("\r\n", "").contains('\n') {
        return Err(Err(Malformed::BareLineFeed));
    }
    if head.len() < seen.len() {
        *rest = &rest[head.chars().count() + 4..];
        return Ok(head.to_owned());
    }
    let is_short = rest.len() <= HEAD_BYTES_MAX as usize;
    Err(if is_short { Ok(End::Short) } else { Err(Malformed::HeadTooLong) })
}

/// Status, persistence and framing; `None` for an interim response.
fn head(asked: Asked, head: &str) -> Result<Option<(u16, bool, Framing)>, Malformed> {
    // RFC 9112 5.2: a line that begins with white space continues a field's.
    let (line, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let lines = format!("\r\n{lines}");
    let (is_http10, status) = status_line(line)?;
    let unfolded = match lines.get(2..3) {
        Some(" " | "\t") => return Err(Malformed::Field),
        _ => lines.replace("\r\n ", "   ").replace("\r\n\t", "  \t"),
    };
    let mut fields = Vec::new();
    for field in unfolded.split("\r\n").skip(1).filter(|_| lines.len() > 2) {
        let (name, value) = field.split_once(':').unwrap_or((field, "\0"));
        if fields.len() == FIELDS_MAX {
            return Err(Malformed::TooManyFields);
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) || !value.chars().all(is_text) {
            return Err(Malformed::Field);
        }
        fields.push((name.to_ascii_lowercase(), value.to_ascii_lowercase()));
    }
    let members = |wanted: &str| -> Vec<String> {
        let values = fields.iter().filter(|(name, _)| name == wanted);
        let members = values.flat_map(|(_, value)| value.split(','));
        members.map(|member| member.trim_matches([' ', '\t']).to_owned()).collect()
    };
    match status {
        101 => return Err(Malformed::Upgrade),
        100..=199 => return Ok(None),
        _ => {}
    }
    let options = members("connection");
    let has = |option: &str| options.iter().any(|other| other == option);
    let persists = if is_http10 { has("keep-alive") && !has("close") } else { !has("close") };
    let framing = if asked == Asked::Head || status == 204 || status == 304 {
        Framing::Length(0)
    } else {
        let has_codings = fields.iter().any(|(name, _)| name == "transfer-encoding");
        match (has_codings, members("content-length")) {
            (true, lengths) if !lengths.is_empty() => return Err(Malformed::CodingsAndLength),
            (true, _) if is_http10 => return Err(Malformed::CodingsInHttp10),
            (true, _) => {
                let values = fields.iter().filter(|(name, _)| name == "transfer-encoding");
                let codings: Vec<&str> = values.map(|(_, value)| &**value).collect();
                self::codings(&codings)?
            }
            (false, lengths) if lengths.is_empty() => Framing::UntilClose,
            (false, lengths) => content_length(&lengths)?,
        }
    };
    Ok(Some((status, persists, framing)))
}

fn status_line(line: &str) -> Result<(bool, u16), Malformed> {
    let characters: Vec<char> = line.chars().collect();
    let [_, _, _, _, _, _, _, minor, ' ', a, b, c, ' ', reason @ ..] = &characters[..] else {
        return Err(Malformed::StatusLine);
    };
    let digits: String = [a, b, c].into_iter().collect();
    let is_valid = format!("{minor}{digits}").chars().all(|c| c.is_ascii_digit());
    if !is_valid || !reason.iter().all(|&c| is_text(c)) {
        return Err(Malformed::StatusLine);
    }
    Ok((*minor == '0', digits.parse().expect("three digits")))
}

fn content_length(lengths: &[String]) -> Result<Framing, Malformed> {
    let mut found = None;
    for length in lengths {
        let is_number = !length.is_empty() && length.chars().all(|c| c.is_ascii_digit());
        let number = length.parse().ok().filter(|_| is_number).ok_or(Malformed::Length)?;
        if found.is_some_and(|before: u64| before != number) {
            return Err(Malformed::TwoLengths);
        }
        found = Some(number);
    }
    Ok(Framing::Length(found.expect("a list has a member")))
}

fn codings(values: &[&str]) -> Result<Framing, Malformed> {
    let mut names = Vec::new();
    for value in values {
        let members = value.split(',').map(|member| member.trim_matches([' ', '\t']));
        let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
        if members.is_empty() {
            return Err(Malformed::Codings);
        }
        for member in members {
            let (name, parameters) = member.split_once(';').unwrap_or((member, "none"));
            let name = name.trim_matches([' ', '\t']);
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let is_bad = name.is_empty() || !name.chars().all(is_token);
            if is_bad || (name == "chunked" && parameters != "none") {
                return Err(Malformed::Codings);
            }
            names.push(name);
        }
    }
    match (names.iter().filter(|&&name| name == "chunked").count(), names.last()) {
        (1, Some(&"chunked")) => Ok(Framing::Chunked),
        (0 | 1, _) => Ok(Framing::UntilClose),
        (_, _) => Err(Malformed::Codings),
    }
}

fn is_text(c: char) -> bool {
    c == '\t' || !c.is_ascii_control()
}
