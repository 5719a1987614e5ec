//! Checks of a sweep's settings. Each returns a complaint that begins with the key.

use super::{CONCURRENCY, PORT};
use crate::experiment::sweep::results::ServerSettings;

pub(super) fn list(key: &str, list: &[u32]) -> Result<(), String> {
    if list.is_empty() {
        return Err(format!("{key}: the list is empty"));
    }
    let repeated = list.iter().enumerate().find(|(place, value)| list[..*place].contains(value));
    repeated.map_or(Ok(()), |(_, value)| Err(format!("{key}: {value} occurs twice")))
}

pub(super) fn names<'a>(key: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return Err(format!("{key}: the list is empty"));
    }
    for (place, name) in names.iter().enumerate() {
        if name.trim().is_empty() || name.contains(['\n', '|']) {
            return Err(format!("{key}: name: {name:?} is empty or has a line break or a |"));
        }
        if names[..place].contains(name) {
            return Err(format!("{key}: name: {name:?} occurs twice"));
        }
    }
    Ok(())
}

/// Refuses options that the sweep sets itself, and options that would distort its figures.
pub(super) fn option(load: &str, option: &str) -> Result<(), String> {
    let is = |short: &str, long: &str| {
        let name = option.split_once('=').map_or(option, |(name, _)| name);
        name == long
            || (!short.is_empty() && option.starts_with(short) && !option.starts_with("--"))
    };
    let why = if is("-c", "--connections") {
        "use `concurrency` instead"
    } else if is("-n", "--requests") {
        "use `requests` instead"
    } else if is("-d", "--duration") {
        "use `time_max` instead"
    } else if is("", "--json") || is("", "--quiet") {
        "the sweep sets it itself"
    } else if is("", "--warmup") {
        "the CPU time of the warm-up would count, but not its requests"
    } else {
        return Ok(());
    };
    Err(format!("load {load:?}: options: {option:?}: {why}"))
}

/// Checks the command of a server that is started, or the URL of one that runs already.
pub(super) fn server(server: &ServerSettings) -> Result<(), String> {
    if let Some(url) = &server.url {
        if url.contains(PORT) {
            return Err(format!("url: {PORT} is for commands; write the port of the server"));
        }
        return super::parse_by_client(url, &[]).map(drop).map_err(|why| format!("url: {why}"));
    }
    if server.command.first().is_none_or(|program| program.trim().is_empty()) {
        return Err("command: the program is missing".to_owned());
    }
    if !server.path.starts_with('/') {
        return Err(format!("path: {:?} doesn't begin with a slash", server.path));
    }
    if let Some(wrong) = server.path.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
        return Err(format!("path: {wrong:?} can't be in a path; write it as %XX"));
    }
    let words = server.command.iter().map(|word| ("command", word));
    let texts =
        || words.clone().chain(server.environment.values().map(|text| ("environment", text)));
    if !texts().any(|(_, text)| text.contains(PORT)) {
        return Err(format!("command: neither the command nor the environment has {PORT}"));
    }
    let unknown = |(key, text): (&'static str, &String)| {
        unknown_placeholder(text).map(|word| (key, word.to_owned()))
    };
    match texts().find_map(unknown) {
        Some((key, word)) => {
            Err(format!("{key}: unknown placeholder {word}; use {PORT} or {CONCURRENCY}"))
        }
        None => Ok(()),
    }
}

/// The first placeholder that is not known. `${word}` belongs to the shell.
fn unknown_placeholder(text: &str) -> Option<&str> {
    text.match_indices('{').find_map(|(start, _)| {
        let end = start + text[start..].find('}')? + 1;
        let word = &text[start + 1..end - 1];
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_ours = [PORT, CONCURRENCY].contains(&&text[start..end]);
        (is_word && !is_ours && !text[..start].ends_with('$')).then(|| &text[start..end])
    })
}
