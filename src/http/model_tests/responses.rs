//! A model of a stream of responses (RFC 9112 2 to 7 and 9.3) over complete input.

use super::chunks::chunks;
use crate::http::body::BodyProgress;
use crate::http::response_parser::properties::StreamTranscript;
use crate::http::response_parser::{
    CompleteResponse, FIELDS_MAX, HEAD_BYTES_MAX, INTERIM_MAX, MalformedResponse, RequestKind,
    StreamEnd,
};

/// Interprets a stream of responses to requests of one kind.
pub(super) fn responses(request: RequestKind, bytes: &[u8]) -> StreamTranscript {
    let mut transcript = StreamTranscript::default();
    let mut rest = bytes;
    while transcript.end.is_none() {
        let before = rest.len();
        match response(request, &mut rest, &mut transcript.content) {
            Ok(response) => transcript.responses.push((before - rest.len(), response)),
            Err(end) => transcript.end = Some(end),
        }
    }
    transcript
}

/// The first response of a stream, or the end of the stream if no response is complete.
fn response(
    request: RequestKind,
    rest: &mut &[u8],
    content: &mut Vec<u8>,
) -> Result<CompleteResponse, Result<StreamEnd, MalformedResponse>> {
    if rest.is_empty() {
        return Err(Ok(StreamEnd::BetweenResponses));
    }
    let before = rest.len();
    let mut interim = 0;
    let (status, persists, framing) = loop {
        match head(request, &take_head(rest)?).map_err(Err)? {
            Some(decided) => break decided,
            None if interim == INTERIM_MAX => return Err(Err(MalformedResponse::TooManyInterim)),
            None => interim += 1,
        }
    };
    let head_bytes = u32::try_from(before - rest.len()).expect("heads have a bound");
    let mut response = CompleteResponse { status, persists, body_bytes: 0, head_bytes };
    let length_before = content.len();
    let end = match framing {
        ModelFraming::Length(length) => {
            let length = usize::try_from(length).expect("as wide as a length").min(rest.len());
            content.extend_from_slice(&rest[..length]);
            *rest = &rest[length..];
            let is_complete = (content.len() - length_before) as u64 == framing.length();
            if is_complete { None } else { Some(Ok(StreamEnd::Truncated)) }
        }
        ModelFraming::Chunked => {
            let (used, progress) = chunks(rest, u64::MAX, content);
            *rest = &rest[used..];
            match progress {
                BodyProgress::Done => None,
                BodyProgress::More => Some(Ok(StreamEnd::Truncated)),
                BodyProgress::TooLong | BodyProgress::Malformed => {
                    Some(Err(MalformedResponse::Chunks))
                }
            }
        }
        ModelFraming::UntilClose => {
            content.extend_from_slice(rest);
            response.persists = false;
            response.body_bytes = rest.len() as u64;
            return Err(Ok(StreamEnd::Complete(response)));
        }
    };
    response.body_bytes = (content.len() - length_before) as u64;
    end.map_or(Ok(response), Err)
}

#[derive(Clone, Copy)]
enum ModelFraming {
    Length(u64),
    Chunked,
    UntilClose,
}

impl ModelFraming {
    fn length(self) -> u64 {
        if let Self::Length(length) = self { length } else { 0 }
    }
}

/// Takes the head from the front of `rest`, with one character per octet, without its last line
/// end.
fn take_head(rest: &mut &[u8]) -> Result<String, Result<StreamEnd, MalformedResponse>> {
    let text: String = rest.iter().map(|&octet| char::from(octet)).collect();
    let start = "HTTP/1.";
    if !text.starts_with(start) && !start.starts_with(&text) {
        return Err(Err(MalformedResponse::NotHttp));
    }
    let octets: Vec<char> = text.chars().take(HEAD_BYTES_MAX as usize).collect();
    let seen: String = octets.iter().collect();
    let head = seen.split_once("\r\n\r\n").map_or(&*seen, |(head, _)| head);
    if head.replace("\r\n", "").contains('\n') {
        return Err(Err(MalformedResponse::BareLineFeed));
    }
    if head.len() < seen.len() {
        *rest = &rest[head.chars().count() + 4..];
        return Ok(head.to_owned());
    }
    let is_short = rest.len() <= HEAD_BYTES_MAX as usize;
    Err(if is_short { Ok(StreamEnd::Truncated) } else { Err(MalformedResponse::HeadTooLong) })
}

/// Status, persistence and framing; `None` for an interim response.
fn head(
    request: RequestKind,
    head: &str,
) -> Result<Option<(u16, bool, ModelFraming)>, MalformedResponse> {
    // RFC 9112 5.2: a line that begins with whitespace continues the field line before it.
    let (line, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let lines = format!("\r\n{lines}");
    let (is_http10, status) = status_line(line)?;
    let unfolded = match lines.get(2..3) {
        Some(" " | "\t") => return Err(MalformedResponse::Field),
        _ => lines.replace("\r\n ", "   ").replace("\r\n\t", "  \t"),
    };
    let mut fields = Vec::new();
    for field in unfolded.split("\r\n").skip(1).filter(|_| lines.len() > 2) {
        let (name, value) = field.split_once(':').unwrap_or((field, "\0"));
        if fields.len() == FIELDS_MAX {
            return Err(MalformedResponse::TooManyFields);
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) || !value.chars().all(is_text) {
            return Err(MalformedResponse::Field);
        }
        fields.push((name.to_ascii_lowercase(), value.to_ascii_lowercase()));
    }
    let members = |wanted: &str| -> Vec<String> {
        let values = fields.iter().filter(|(name, _)| name == wanted);
        let members = values.flat_map(|(_, value)| value.split(','));
        members.map(|member| member.trim_matches([' ', '\t']).to_owned()).collect()
    };
    match status {
        101 => return Err(MalformedResponse::Upgrade),
        100..=199 => return Ok(None),
        _ => {}
    }
    let options = members("connection");
    let has = |option: &str| options.iter().any(|other| other == option);
    let persists = if is_http10 { has("keep-alive") && !has("close") } else { !has("close") };
    let framing = if request == RequestKind::Head || status == 204 || status == 304 {
        ModelFraming::Length(0)
    } else {
        let has_codings = fields.iter().any(|(name, _)| name == "transfer-encoding");
        match (has_codings, members("content-length")) {
            (true, lengths) if !lengths.is_empty() => {
                return Err(MalformedResponse::CodingsAndLength);
            }
            (true, _) if is_http10 => return Err(MalformedResponse::CodingsInHttp10),
            (true, _) => {
                let values = fields.iter().filter(|(name, _)| name == "transfer-encoding");
                let codings: Vec<&str> = values.map(|(_, value)| &**value).collect();
                self::codings(&codings)?
            }
            (false, lengths) if lengths.is_empty() => ModelFraming::UntilClose,
            (false, lengths) => content_length(&lengths)?,
        }
    };
    Ok(Some((status, persists, framing)))
}

fn status_line(line: &str) -> Result<(bool, u16), MalformedResponse> {
    let characters: Vec<char> = line.chars().collect();
    let [_, _, _, _, _, _, _, minor, ' ', a, b, c, ' ', reason @ ..] = &characters[..] else {
        return Err(MalformedResponse::StatusLine);
    };
    let digits: String = [a, b, c].into_iter().collect();
    let is_valid = format!("{minor}{digits}").chars().all(|c| c.is_ascii_digit());
    if !is_valid || !reason.iter().all(|&c| is_text(c)) {
        return Err(MalformedResponse::StatusLine);
    }
    Ok((*minor == '0', digits.parse().expect("three digits")))
}

fn content_length(lengths: &[String]) -> Result<ModelFraming, MalformedResponse> {
    let mut found = None;
    for length in lengths {
        let is_number = !length.is_empty() && length.chars().all(|c| c.is_ascii_digit());
        let number = length.parse().ok().filter(|_| is_number).ok_or(MalformedResponse::Length)?;
        if found.is_some_and(|before: u64| before != number) {
            return Err(MalformedResponse::TwoLengths);
        }
        found = Some(number);
    }
    Ok(ModelFraming::Length(found.expect("a list has a member")))
}

fn codings(values: &[&str]) -> Result<ModelFraming, MalformedResponse> {
    let mut names = Vec::new();
    for value in values {
        let members = value.split(',').map(|member| member.trim_matches([' ', '\t']));
        let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
        if members.is_empty() {
            return Err(MalformedResponse::Codings);
        }
        for member in members {
            let (name, parameters) = member.split_once(';').unwrap_or((member, "none"));
            let name = name.trim_matches([' ', '\t']);
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let is_bad = name.is_empty() || !name.chars().all(is_token);
            if is_bad || (name == "chunked" && parameters != "none") {
                return Err(MalformedResponse::Codings);
            }
            names.push(name);
        }
    }
    match (names.iter().filter(|&&name| name == "chunked").count(), names.last()) {
        (1, Some(&"chunked")) => Ok(ModelFraming::Chunked),
        (0 | 1, _) => Ok(ModelFraming::UntilClose),
        (_, _) => Err(MalformedResponse::Codings),
    }
}

fn is_text(c: char) -> bool {
    c == '\t' || !c.is_ascii_control()
}
