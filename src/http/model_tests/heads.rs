//! A model of request heads, from RFC 9112, RFC 9110 and RFC 3986.

use crate::http::framing::Framing;
use crate::http::limits::METHOD_BYTES_MAX;
use crate::http::persistence::Persistence;
use crate::http::reject::RejectStatus;

/// The meaning of a valid head, or the status that refuses it.
pub(super) type ModelOutcome = Result<Meaning, RejectStatus>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) head_len: usize,
    pub(super) persistence: Persistence,
    pub(super) framing: Framing,
    pub(super) expects_continue: bool,
}

/// Interprets a head without limits; `None` if it has no end.
pub(super) fn head(bytes: &[u8]) -> Option<ModelOutcome> {
    // One character per octet.
    let all: String = bytes.iter().map(|&octet| char::from(octet)).collect();
    let mut text = all.as_str();
    for _ in 0..4 {
        text = text.strip_prefix("\r\n").unwrap_or(text);
    }
    let end = text.find("\r\n\r\n")?;
    let skipped = all.chars().count() - text.chars().count();
    let head_len = skipped + text[..end].chars().count() + 4;
    let mut lines = text[..end].split("\r\n");
    let line = lines.next().unwrap_or_default();
    Some(request_line(line).and_then(|is_http10| {
        let fields = lines.map(field).collect::<Option<Vec<_>>>();
        let fields = fields.ok_or(RejectStatus::BadRequest)?;
        meaning(&fields, is_http10, head_len)
    }))
}

/// RFC 9112 3. Returns whether the version is 1.0.
fn request_line(line: &str) -> Result<bool, RejectStatus> {
    let bad = Err(RejectStatus::BadRequest);
    let method = line.split(' ').next().unwrap_or_default();
    // A tab is invalid, too, but as a part of method, target or version, not as a control.
    let is_control = |one: char| one.is_ascii_control() && one != '\t';
    if line.chars().any(is_control) || !is_token(method) {
        return bad;
    }
    if method.len() > METHOD_BYTES_MAX {
        return Err(RejectStatus::NotImplemented);
    }
    let [_, target, version] = line.split(' ').collect::<Vec<_>>()[..] else { return bad };
    let Some(number) = version.strip_prefix("HTTP/") else { return bad };
    let digits: Vec<char> = number.chars().collect();
    match digits[..] {
        [major, '.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => match major {
            '1' if is_target(method, target) => Ok(minor == '0'),
            '1' => bad,
            _ => Err(RejectStatus::VersionNotSupported),
        },
        _ => bad,
    }
}

/// RFC 9112 3.2.
fn is_target(method: &str, target: &str) -> bool {
    if method == "CONNECT" {
        let Some((host, port)) = target.rsplit_once(':') else { return false };
        return !host.is_empty() && is_host(host) && !port.is_empty() && is_digits(port);
    }
    if target.starts_with('/') {
        return is_path_and_query(target);
    }
    if target == "*" {
        return method == "OPTIONS";
    }
    let Some((scheme, rest)) = target.split_once("://") else { return false };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let mut letters = scheme.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one))
        && !authority.is_empty()
        && !authority.starts_with(':')
        && is_host_with_port(authority)
        && is_path_and_query(rest)
}

fn is_path_and_query(text: &str) -> bool {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = without_triplets(path);
    let is_pchar = |one: char| one.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/".contains(one);
    // The octets beyond RFC 3986 that the URL standard has browsers leave unencoded.
    path.is_some_and(|path| path.chars().all(|one| is_pchar(one) || "[]|".contains(one)))
        && query.chars().all(|one| is_pchar(one) || "?[]|{}^\\`%".contains(one))
}

/// The text with an `x` in place of each percent-encoded octet; none if there is a `%` more.
fn without_triplets(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let digits: String = part.chars().take(2).collect();
        if digits.len() != 2 || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        plain.push('x');
        plain.push_str(&part[2..]);
    }
    Some(plain)
}

fn is_host_with_port(text: &str) -> bool {
    if is_host(text) {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    is_host(host) && is_digits(port)
}

/// RFC 3986 3.2.2.
fn is_host(text: &str) -> bool {
    if let Some(literal) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return is_ipv6(literal) || is_future(literal);
    }
    let is_name = |one: char| one.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(one);
    without_triplets(text).is_some_and(|text| text.chars().all(is_name))
}

fn is_future(text: &str) -> bool {
    let Some((version, address)) = text.split_once('.') else { return false };
    let is_digit = |one: char| one.is_ascii_hexdigit();
    let is_octet = |one: char| one.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:".contains(one);
    version.len() > 1
        && version.starts_with(['v', 'V'])
        && version.chars().skip(1).all(is_digit)
        && !address.is_empty()
        && address.chars().all(is_octet)
}

/// Eight groups, or fewer with one `::`; an IPv4 address may stand for the last two.
fn is_ipv6(text: &str) -> bool {
    let count = |text: &str| -> Option<usize> {
        if text.is_empty() {
            return Some(0);
        }
        let groups: Vec<&str> = text.split(':').collect();
        let mut count = 0;
        for (at, group) in groups.iter().enumerate() {
            let is_last = at + 1 == groups.len();
            let is_hex = group.chars().all(|one| one.is_ascii_hexdigit());
            count += match group.len() {
                1..=4 if is_hex => 1,
                _ if is_last && is_ipv4(group) => 2,
                _ => return None,
            };
        }
        Some(count)
    };
    match text.split_once("::") {
        // An IPv4 address stands at the end, so that none precedes the gap.
        Some((left, right)) if !left.contains('.') => {
            let both = count(left).zip(count(right));
            both.is_some_and(|(left, right)| left + right <= 7)
        }
        Some(_) => false,
        None => count(text) == Some(8),
    }
}

fn is_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4
        && parts.iter().all(|part| {
            is_digits(part) && part.parse::<u8>().is_ok_and(|number| number.to_string() == *part)
        })
}

fn is_digits(text: &str) -> bool {
    text.chars().all(|digit| digit.is_ascii_digit())
}

fn is_token(text: &str) -> bool {
    let is_tchar = |one: char| one.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(one);
    !text.is_empty() && text.chars().all(is_tchar)
}

/// RFC 9112 5. Returns the name in lower case, and the value.
fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let is_valid =
        is_token(name) && !value.chars().any(|one| one.is_ascii_control() && one != '\t');
    is_valid.then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

/// RFC 9110 7.2, RFC 9112 6 and 9.3, RFC 9110 10.1.1, in this order.
fn meaning(fields: &[(String, String)], is_http10: bool, head_len: usize) -> ModelOutcome {
    let bad = Err(RejectStatus::BadRequest);
    let all = |name: &str| -> Vec<&str> {
        fields.iter().filter(|field| field.0 == name).map(|field| &field.1[..]).collect()
    };
    let hosts = all("host");
    if hosts.len() > 1 || !hosts.iter().all(|host| is_host_with_port(host)) {
        return bad;
    }
    if hosts.is_empty() && !is_http10 {
        return bad;
    }
    let framing = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => Framing::None,
        ([length], []) if !length.is_empty() && is_digits(length) => {
            // RFC 9110 8.6: a recipient must expect lengths that its integers can't hold. Those of
            // common peers have 64 bits and a sign.
            match length.parse::<i64>() {
                Ok(length) => Framing::Length(length.unsigned_abs()),
                Err(_) => return bad,
            }
        }
        ([], codings) if !is_http10 => transfer_coding(&codings.join(","))?,
        (_, _) => return bad,
    };
    let expectations = all("expect").join(",").to_ascii_lowercase();
    let expectations = || members(&expectations).filter(|member| !member.is_empty());
    if !is_http10 && expectations().any(|member| member != "100-continue") {
        return Err(RejectStatus::ExpectationFailed);
    }
    let options = all("connection").join(",").to_ascii_lowercase();
    let has = |option| members(&options).any(|member| member == option);
    let persistence = match (has("close"), is_http10, has("keep-alive")) {
        (true, _, _) | (_, true, false) => Persistence::Close,
        (_, true, true) => Persistence::KeepHttp10,
        (_, false, _) => Persistence::Keep,
    };
    let expects_continue = !is_http10 && expectations().next().is_some();
    Ok(Meaning { head_len, persistence, framing, expects_continue })
}

fn members(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|member| member.trim_matches([' ', '\t']))
}

/// RFC 9112 6.1, for a server that implements `chunked` only.
fn transfer_coding(list: &str) -> Result<Framing, RejectStatus> {
    let list = list.to_ascii_lowercase();
    let codings: Vec<&str> = members(&list).collect();
    let name = |coding: &str| -> String {
        coding.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_owned()
    };
    let is_valid = codings.iter().enumerate().all(|(at, coding)| {
        let is_last = at + 1 == codings.len();
        is_token(&name(coding)) && (name(coding) != "chunked" || (is_last && *coding == "chunked"))
    });
    match (is_valid, &codings[..]) {
        (false, _) => Err(RejectStatus::BadRequest),
        (true, ["chunked"]) => Ok(Framing::Chunked),
        (true, _) => Err(RejectStatus::NotImplemented),
    }
}
