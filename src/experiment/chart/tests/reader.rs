//! A strict reader of the subset of XML and SVG that charts use; computes the points of paths.

use std::collections::BTreeMap;

/// One element; elements are in the order of their start tags.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// Its own text, unescaped.
    pub(super) text: String,
    /// The text of a `title` element in it.
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

/// All elements of a document; panics unless it is well-formed and has one root.
pub(super) fn read(document: &str) -> Vec<Element> {
    let is_character =
        |c: char| matches!(c, '\t' | '\n' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(document.chars().all(is_character), "only characters of XML");
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut rest = document.trim_end();
    while !rest.is_empty() {
        let Some(tag) = rest.strip_prefix('<') else {
            let end = rest.find('<').expect("text is within an element");
            let inner = *open.last().expect("text is within an element");
            elements[inner].text += &unescaped(&rest[..end]);
            rest = &rest[end..];
            continue;
        };
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let closed = open.pop().expect("an end tag follows a start tag");
            assert_eq!(elements[closed].name, name, "the innermost element is closed");
            if let ("title", Some(&outer)) = (name, open.last()) {
                elements[outer].title = Some(elements[closed].text.clone());
            }
            continue;
        }
        assert!(elements.is_empty() || !open.is_empty(), "a document has one root");
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        if !is_closed {
            open.push(elements.len());
        }
        elements.push(start_tag(tag));
    }
    assert!(open.is_empty(), "all elements are closed");
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
        assert!(before.is_none(), "an attribute occurs once: {tag}");
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
            _ => panic!("&{entity}; is not predefined in XML"),
        });
        plain += after;
    }
    plain
}

/// All points of a path.
pub(super) fn points(path: &str) -> Vec<(f64, f64)> {
    strokes(path).concat()
}

/// The points of each continuous part of a path.
pub(super) fn strokes(path: &str) -> Vec<Vec<(f64, f64)>> {
    let mut strokes: Vec<Vec<(f64, f64)>> = Vec::new();
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
        if matches!(command, 'M' | 'm') {
            strokes.push(Vec::new());
        }
        strokes.last_mut().expect("a path starts with a move").push((x, y));
        rest = &after[end..];
    }
    strokes
}

fn numbers(text: &str) -> Vec<f64> {
    let spaced = text.replace('-', " -");
    let numbers: Vec<f64> = spaced.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(numbers.iter().all(|number| number.is_finite()), "{text}");
    numbers
}

#[test]
fn points_of_relative_and_absolute_paths_are_computed() {
    assert_eq!(points("M1 2h3v-1m-4.5-1l1 1z")[..3], [(1.0, 2.0), (4.0, 2.0), (4.0, 1.0)]);
    assert_eq!(points("M1 2m-4.5-1l1 1z")[1..], [(-3.5, 1.0), (-2.5, 2.0), (-2.5, 2.0)]);
    assert_eq!(strokes("M1 2L3 4M5 6V7"), [[(1.0, 2.0), (3.0, 4.0)], [(5.0, 6.0), (5.0, 7.0)]]);
}

#[test]
fn malformed_xml_is_refused() {
    for document in ["<a>", "<a></b>", "<a/><b/>", "<a>&</a>", "<a>&nbsp;</a>", "<a b=c/>", "a"] {
        assert!(std::panic::catch_unwind(|| read(document)).is_err(), "{document}");
    }
    let elements = read("<a b=\"&lt;\"><c>&amp;d</c></a>\n");
    assert_eq!((elements[0].attributes["b"].as_str(), elements[1].text.as_str()), ("<", "&d"));
}
