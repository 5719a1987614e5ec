//! Lines of JSON objects, with the keys of nginx's examples, Caddy, Traefik, Envoy and others.

use super::text::unescaped_text;
use super::{LogEntry, of_parts, of_request_line, time};
use serde_json::{Map, Value};

pub(super) fn parse(line: &[u8]) -> Result<LogEntry, String> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| format!("it is no JSON object: {error}"))?;
    let Value::Object(mut fields) = value else { return Err("it is no JSON object".to_owned()) };
    if fields.get("schema").and_then(Value::as_str) == Some(OWN_SCHEMA) {
        read_own(&mut fields)?;
    }
    let time_ns = TIME_KEYS.iter().filter_map(|&key| fields.get(key)).find_map(time_of);
    let request = match fields.get("request") {
        Some(Value::String(line)) => of_request_line(line.as_bytes())?,
        Some(Value::Object(inner)) => of_fields(inner)?,
        _ => of_fields(&fields)?,
    };
    Ok(LogEntry { request, time_ns })
}

/// Makes a line of `uringstatic --log-format json` one without escapes.
fn read_own(fields: &mut Map<String, Value>) -> Result<(), String> {
    if fields.get("cut").is_some() {
        return Err("its target was cut when it was logged".to_owned());
    }
    for key in ["method", "target", "request"] {
        if let Some(Value::String(text)) = fields.get_mut(key) {
            // The escapes are those of the combined format, and nothing else has a backslash.
            let octets = unescaped_text(text.as_bytes())?;
            *text = String::from_utf8(octets)
                .map_err(|_| format!("the {key} has octets that a request can't carry"))?;
        }
    }
    Ok(())
}

fn of_fields(fields: &Map<String, Value>) -> Result<super::MethodAndTarget, String> {
    let text = |keys: &[&str]| {
        keys.iter().find_map(|&key| Some((key.to_owned(), fields.get(key)?.as_str()?.to_owned())))
    };
    let Some((_, method)) = text(&METHOD_KEYS) else {
        return Err(format!("it has no request, and no method ({})", METHOD_KEYS.join(", ")));
    };
    let Some((key, mut target)) = text(&TARGET_KEYS) else {
        return Err(format!("it has no target ({})", TARGET_KEYS.join(", ")));
    };
    if key == "url" && !target.starts_with('/') {
        target = path_of_url(&target);
    }
    // A path that is logged apart from its query.
    if let Some((_, query)) = text(&QUERY_KEYS).filter(|(_, query)| !matches!(&**query, "" | "-"))
        && !target.contains('?')
    {
        target.push('?');
        target.push_str(query.trim_start_matches('?'));
    }
    of_parts(method.as_bytes(), target.as_bytes())
}

/// Path and query of an absolute URL.
fn path_of_url(url: &str) -> String {
    let Some((_, rest)) = url.split_once("://") else { return url.to_owned() };
    let path = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    let path = path.split('#').next().unwrap_or_default();
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn time_of(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => time::of_number(number.as_f64()?),
        Value::String(text) => time::of_iso_8601(text)
            .or_else(|| time::of_common_log(text))
            .or_else(|| time::of_number(text.parse().ok()?)),
        _ => None,
    }
}

/// The schema of the lines that `uringstatic` writes.
const OWN_SCHEMA: &str = "uringstatic-access/1";
const METHOD_KEYS: [&str; 4] = ["method", "request_method", "RequestMethod", "verb"];
const TARGET_KEYS: [&str; 7] =
    ["target", "request_target", "request_uri", "RequestPath", "uri", "path", "url"];
const QUERY_KEYS: [&str; 3] = ["query", "query_string", "args"];
const TIME_KEYS: [&str; 9] = [
    "time",
    "ts",
    "timestamp",
    "@timestamp",
    "msec",
    "time_iso8601",
    "start_time",
    "StartUTC",
    "time_local",
];
