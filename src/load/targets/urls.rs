//! Lists of URLs (`--urls`), one request per line:
//!
//! ```text
//!   # a comment
//!   http://127.0.0.1:8080/
//!   HEAD http://127.0.0.1:8080/a.css
//!   /b.js weight=3
//! ```
//!
//! A line has a method (GET if it has none), a URL or a path that begins with a slash, and a weight
//! (1 if it has none). All URLs have one origin, because a load has one server.

use super::lines::{BoundedLine, BoundedLines};
use super::{
    ENTRIES_MAX, ListError, MethodAndTarget, Numbering, REQUEST_BYTES_MAX, RequestList, order,
};
use crate::load::options::{Url, method};
use std::io::BufRead;

/// A list of URLs that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlList {
    /// The origin of all URLs: the given one, or that of the first line.
    pub origin: Url,
    /// The requests in the order of a cycle.
    pub list: RequestList,
}

/// Reads a list. `origin` is the URL of the command line, which paths and all URLs refer to;
/// without one, the first line has to have a URL.
///
/// # Errors
/// If a line is invalid or has another origin, the list is empty, or a bound is exceeded.
pub fn read(reader: impl BufRead, origin: Option<&Url>) -> Result<UrlList, ListError> {
    let mut origin = origin.cloned();
    let mut numbering = Numbering::default();
    let mut items: Vec<(u32, u32)> = Vec::new();
    let mut lines = BoundedLines::new(reader);
    let failed = |error: std::io::Error| ListError::of_list(format!("reading it: {error}"));
    while let Some((number, line)) = lines.next().map_err(failed)? {
        let wrong = |why: String| ListError::of_line(number, why);
        let BoundedLine::Whole(line) = line else {
            return Err(wrong(format!("it is longer than {} bytes", super::LINE_BYTES_MAX)));
        };
        let text = std::str::from_utf8(line)
            .map_err(|_| wrong("it isn't UTF-8; write other bytes of a URL as %XX".to_owned()))?;
        // Editors of some systems begin a file with a byte order mark.
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        let Some(item) = parse_line(text, &mut origin).map_err(wrong)? else { continue };
        let index = numbering.number(item.request).ok_or_else(|| {
            wrong(format!("all requests together have more than {REQUEST_BYTES_MAX} bytes"))
        })?;
        if items.len() == ENTRIES_MAX {
            return Err(wrong(format!("a list has at most {ENTRIES_MAX} requests")));
        }
        items.push((index, item.weight));
    }
    let Some(origin) = origin.filter(|_| !items.is_empty()) else {
        return Err(ListError::of_list("it has no URL: write one per line, as in /a.css"));
    };
    let sequence = order::by_weight(&items).map_err(ListError::of_list)?;
    let list = RequestList { requests: numbering.requests, sequence, due_ns: Vec::new() };
    Ok(UrlList { origin, list })
}

struct UrlLine {
    request: MethodAndTarget,
    weight: u32,
}

/// Parses a line; `None` if it is blank or a comment. The first URL sets the origin.
fn parse_line(text: &str, origin: &mut Option<Url>) -> Result<Option<UrlLine>, String> {
    let mut words = text.split_ascii_whitespace().peekable();
    let Some(first) = words.peek().filter(|word| !word.starts_with('#')) else { return Ok(None) };
    let has_method = !first.starts_with('/') && !first.contains(':');
    let method = match words.next_if(|_| has_method) {
        Some(word) => method(word)?,
        None => "GET".to_owned(),
    };
    let Some(url) = words.next() else {
        return Err(format!("the URL is missing after {method}; a path begins with a slash"));
    };
    let url = parse_url(url, origin.as_ref())?;
    let mut weight = None;
    for word in words {
        let Some(value) = word.strip_prefix("weight=") else {
            return Err(format!(
                "{word:?} follows the URL, where only weight=N may; write a space in a URL as %20"
            ));
        };
        if weight.replace(parse_weight(value)?).is_some() {
            return Err("it has two weights".to_owned());
        }
    }
    let request = MethodAndTarget { method, target: url.target.clone() };
    origin.get_or_insert(url);
    Ok(Some(UrlLine { request, weight: weight.unwrap_or(1) }))
}

fn parse_url(text: &str, origin: Option<&Url>) -> Result<Url, String> {
    if text.starts_with('/') {
        let Some(origin) = origin else {
            return Err(format!(
                "{text:?} has no origin: name the server on the command line, or begin the list \
                 with a URL"
            ));
        };
        return origin.at(text);
    }
    let url: Url = text.parse()?;
    match origin.filter(|origin| !origin.has_same_origin(&url)) {
        Some(origin) => Err(format!(
            "{text} is at another server than {origin}: a load has one, so make a list for each"
        )),
        None => Ok(url),
    }
}

fn parse_weight(text: &str) -> Result<u32, String> {
    let weight = text.parse().ok().filter(|weight| (1..=order::WEIGHT_MAX).contains(weight));
    weight.ok_or_else(|| format!("a weight is a number from 1 to {}", order::WEIGHT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("it is a URL")
    }

    fn requests(text: &str, origin: Option<&Url>) -> Vec<String> {
        let UrlList { list, .. } = read(text.as_bytes(), origin).expect("the list is valid");
        list.sequence.iter().map(|&at| list.requests[at as usize].to_string()).collect()
    }

    #[test]
    fn lines_have_methods_urls_paths_weights_and_comments() {
        let text = "\u{feff}# all pages\r\n\r\nhttp://a:8080/\r\n  HEAD   http://A:8080/b?c=d#e  \n\
                    \tPUT /f:g weight=2\n/h";
        let found = requests(text, None);
        // The request of twice the weight is spread over the cycle.
        assert_eq!(found, ["PUT /f:g", "GET /", "HEAD /b?c=d", "GET /h", "PUT /f:g"]);
        let origin = url("http://a:8080/x");
        assert_eq!(requests("/a\n/b\n/a", Some(&origin)), ["GET /a", "GET /b", "GET /a"]);
        let list = read(&b"/a\n/b\n/a"[..], Some(&origin)).expect("the list is valid").list;
        assert_eq!(list.sequence, [0, 1, 0]);
        assert_eq!(list.requests.len(), 2, "bytes are stored once");
        assert_eq!(requests("http://a/\n/b", Some(&url("http://a:80"))), ["GET /", "GET /b"]);
    }

    #[test]
    fn invalid_lists_are_refused_with_their_line() {
        let origin = url("http://a/");
        for (text, line, hint) in [
            ("/a\nhttp://b/", Some(2), "another server than http://a/"),
            ("/a\nhttp://a:81/", Some(2), "another server"),
            ("https://a/", Some(1), "another server"),
            ("\n\nGET", Some(3), "URL is missing after GET"),
            ("index.html", Some(1), "begins with a slash"),
            ("G@T /", Some(1), "a method consists"),
            ("CONNECT /", Some(1), "tunnel"),
            ("/a b", Some(1), "%20"),
            ("/a weight=0", Some(1), "from 1 to"),
            ("/a weight=x", Some(1), "from 1 to"),
            ("/a weight=1 weight=2", Some(1), "two weights"),
            ("/\u{e4}", Some(1), "%XX"),
            ("# nothing", None, "no URL"),
            ("/a weight=1000000\n/b weight=999999\n", None, "add up to"),
        ] {
            let error = read(text.as_bytes(), Some(&origin)).expect_err(text);
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.why.contains(hint), "{text}: {error}");
        }
        let error = read(&b"/a"[..], None).expect_err("a path has no origin");
        assert!(error.to_string().starts_with("line 1: \"/a\" has no origin"), "{error}");
        let error = read(&b"\xff"[..], Some(&origin)).expect_err("it isn't UTF-8");
        assert!(error.why.contains("UTF-8"), "{error}");
    }
}
