//! Reads a picture as strictly as a browser reads XML, and finds out where its shapes are. Knows
//! the part of XML and SVG that charts use, and accepts no other.

use std::collections::BTreeMap;

/// One element, in the order in which they begin.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// The text right within it, unescaped.
    pub(super) text: String,
    /// The text of a `title` within it.
    pub(super) title: Option<String>,
}

impl Element {
    pub(super) fn number(&self, attribute: &str) -> f64 {
        let number: f64 = self.attributes[attribute].parse().unwrap();
        assert!(number.is_finite(), "{attribute} is {number}");
        number
    }

    pub(super) fn has_class(&self, class: &str) -> bool {
        let classes = self.attributes.get("class").map_or("", String::as_str);
        classes.split(' ').any(|each| each == class)
    }
}

/// All elements of a document with one root; panics if it isn't well-formed.
pub(super) fn read(document: &str) -> Vec<Element> {
    let is_character =
        |c: char| matches!(c, '\t' | '\n' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(document.chars().all(is_character), "XML has no such characters");
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut rest = document.trim_end();
    while !rest.is_empty() {
        let Some(tag) = rest.strip_prefix('<') else {
            let end = rest.find('<').expect("text stands within an element");
            let inner = *open.last().expect("text stands within an element");
            elements[inner].text += &unescaped(&rest[..end]);
            rest = &rest[end..];
            continue;
        };
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let closed = open.pop().expect("something is open");
            assert_eq!(elements[closed].name, name, "the innermost is closed");
            if let ("title", Some(&outer)) = (name, open.last()) {
                elements[outer].title = Some(elements[closed].text.clone());
            }
            continue;
        }
        assert!(elements.is_empty() || !open.is_empty(), "there is one root");
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        if !is_closed {
            open.push(elements.len());
        }
        elements.push(start_tag(tag));
    }
    assert!(open.is_empty(), "all is closed");
    elements
}

fn start_tag(tag: &str) -> Element {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()), "{tag}");
    let mut element = Element { name: name.into(), ..Element::default() };
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("an attribute has a quoted value");
        let (value, after) = value.split_once('"').expect("a value ends");
        let before = element.attributes.insert(name.into(), unescaped(value));
        assert!(before.is_none(), "an attribute stands once: {tag}");
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    element
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('&');
    plain += parts.next().unwrap();
    for part in parts {
        let (entity, after) = part.split_once(';').expect("an entity ends");
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => panic!("&{entity}; is not one of XML's own"),
        });
        plain += after;
    }
    plain
}

/// Every point that a path goes to.
pub(super) fn points(path: &str) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let (mut x, mut y) = (0.0, 0.0);
    let mut rest = path;
    while let Some(command) = rest.chars().next() {
        let after = &rest[1..];
        let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(after.len());
        let numbers = numbers(&after[..end]);
        match (command, &numbers[..]) {
            ('M' | 'L', &[to_x, to_y]) => (x, y) = (to_x, to_y),
            ('H', &[to]) => x = to,
            ('V', &[to]) => y = to,
            ('h', &[by]) => x += by,
            ('v', &[by]) => y += by,
            ('m' | 'l', &[by_x, by_y]) | ('a', &[_, _, _, _, _, by_x, by_y]) => {
                (x, y) = (x + by_x, y + by_y);
            }
            ('z', []) => {}
            _ => panic!("{command} with {numbers:?} in {path}"),
        }
        points.push((x, y));
        rest = &after[end..];
    }
    points
}

fn numbers(text: &str) -> Vec<f64> {
    let spaced = text.replace('-', " -");
    let numbers: Vec<f64> = spaced.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(numbers.iter().all(|number| number.is_finite()), "{text}");
    numbers
}

#[test]
fn shapes_are_followed() {
    assert_eq!(points("M1 2h3v-1m-4.5-1l1 1z")[..3], [(1.0, 2.0), (4.0, 2.0), (4.0, 1.0)]);
    assert_eq!(points("M1 2m-4.5-1l1 1z")[1..], [(-3.5, 1.0), (-2.5, 2.0), (-2.5, 2.0)]);
}

#[test]
fn what_is_not_xml_is_refused() {
    for document in ["<a>", "<a></b>", "<a/><b/>", "<a>&</a>", "<a>&nbsp;</a>", "<a b=c/>", "a"] {
        assert!(std::panic::catch_unwind(|| read(document)).is_err(), "{document}");
    }
    let elements = read("<a b=\"&lt;\"><c>&amp;d</c></a>\n");
    assert_eq!((elements[0].attributes["b"].as_str(), elements[1].text.as_str()), ("<", "&d"));
}
