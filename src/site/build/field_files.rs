//! Rule files of public projects, with what becomes of each of their lines.

use super::listing::{Listed, Listing};
use super::options::SiteOptions;
use super::plan::plan;
use super::problem::Problem;
use super::properties::{build_tree, read, response};
use crate::http::request::{FieldBuffer, Parsed, Scan, parse};
use crate::site::Site;

/// A file with the expectations behind it.
struct FieldFile<'a> {
    title: &'a str,
    names: Vec<&'a str>,
    rules: String,
    expected: Vec<&'a str>,
}

fn field_files() -> Vec<FieldFile<'static>> {
    let sections = include_str!("field_files.txt").split("\n=== ").skip(1);
    let file = |section: &'static str| {
        let (title, rest) = section.split_once('\n').expect("a title");
        let (names, rest) = rest.split_once('\n').expect("the names of files");
        let (rules, expected) = rest.split_once("---\n").expect("expectations");
        let names = names.strip_prefix("files:").expect("files");
        FieldFile {
            title,
            names: names.split_ascii_whitespace().collect(),
            rules: rules.to_owned(),
            expected: expected.lines().filter(|line| !line.is_empty()).collect(),
        }
    };
    sections.map(file).collect()
}

/// The status of a response, and its `Location` or its content, which is the name of a file.
fn outcome(site: &Site, fixed: &[u8], target: &str, conditions: &[&str]) -> String {
    let value = |name: &str| conditions.iter().find_map(|word| word.strip_prefix(name));
    let host = value("host=").unwrap_or("own.example");
    let language = value("lang=").map(|range| format!("Accept-Language: {range}\r\n"));
    let language = language.unwrap_or_default();
    let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{language}\r\n");
    let mut fields = FieldBuffer::new();
    let parsed = parse(head.as_bytes(), &mut Scan::default(), 16 * 1024, &mut fields);
    let Parsed::Request(request) = parsed else { panic!("{head}") };
    let response = response(&request, site, fixed.to_vec());
    let (status, body) = read(&response);
    let text = String::from_utf8_lossy(&response);
    let location = text.lines().find_map(|line| line.strip_prefix("Location: "));
    let body = String::from_utf8_lossy(body).into_owned();
    let built_in = body.contains('\n') || body.contains('<');
    match location {
        Some(location) => format!("{status} {location}"),
        None if built_in || body.is_empty() => status.to_string(),
        None => format!("{status} {body}"),
    }
}

#[test]
fn rule_files_of_public_projects_are_taken_line_by_line() {
    let files = field_files();
    assert!(files.len() >= 25, "{} files", files.len());
    let mut differences = Vec::new();
    for FieldFile { title, names, rules, expected } in files {
        let mut listing = Listing::default();
        let listed = |name: &&str| Listed { name: name.as_bytes().to_vec(), ..Listed::default() };
        listing.files = names.iter().map(listed).collect();
        listing.files.sort_by(|a, b| a.name.cmp(&b.name));
        let options = SiteOptions { clean_urls: true, ..SiteOptions::default() };
        let plan = plan(&listing, &options, None, Some(&rules));
        let mut messages = vec![format!("rules: {}", plan.redirects.rules().len())];
        let lists = [
            ("left out", &plan.left_out),
            ("problem", &plan.problems),
            ("warning", &plan.warnings),
        ];
        for (kind, list) in lists {
            messages.extend(list.iter().map(|problem| message(kind, problem)));
        }
        let (requests, reports): (Vec<_>, Vec<_>) =
            expected.into_iter().partition(|line| line.contains(" -> "));
        if messages.len() != reports.len() {
            differences.push(format!("{title}: {messages:#?}"));
        }
        for report in reports {
            let (kind, rest) = report.split_once(": ").expect("a kind");
            let (line, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let is_said = |message: &String| {
                message.starts_with(&format!("{kind}: {line}")) && message.contains(reason)
            };
            if !messages.iter().any(is_said) {
                differences.push(format!("{title}: {report}: {messages:#?}"));
            }
        }
        if !plan.problems.is_empty() {
            continue;
        }
        let (tree, fixed) = build_tree(&listing, &plan, options);
        let site = Site::of_tree(tree);
        for line in requests {
            let (request, response) = line.split_once(" -> ").expect("a response");
            let words: Vec<_> = request.split(' ').collect();
            let found = outcome(&site, &fixed, words[0], &words[1..]);
            if found != response {
                differences.push(format!("{title}: {request}: {found}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// `left out: 3 the reason`
fn message(kind: &str, problem: &Problem) -> String {
    let line = problem.line().map_or_else(String::new, |line| line.to_string());
    format!("{kind}: {line} {problem}")
}
