//! The fields of a response under construction.

use crate::site::field_class::{JOIN, Repeated};

/// Names and values, in the order in which they are sent. Names are compared without regard to case
/// (RFC 9110 5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldList {
    fields: Vec<(String, String)>,
    /// Bytes in a head.
    bytes: usize,
}

impl FieldList {
    /// Sets a field; previous fields of that name are removed.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.append(name, value);
    }

    /// Adds a value: joined to a previous one with a comma (RFC 9110 5.3), in its place for
    /// `Content-Type`, or as a field of its own for `Set-Cookie`.
    pub fn add(&mut self, name: &str, value: &str) {
        let known = |(known, _): &&mut (String, String)| known.eq_ignore_ascii_case(name);
        match (Repeated::of(name), self.fields.iter_mut().find(known)) {
            (Repeated::Replaces, _) => self.set(name, value),
            (Repeated::Joins, Some((_, known))) => {
                self.bytes += JOIN.len() + value.len();
                known.push_str(JOIN);
                known.push_str(value);
            }
            (Repeated::StandsAlone, _) | (Repeated::Joins, None) => self.append(name, value),
        }
    }

    /// Adds a field of its own, even if there are others of that name.
    pub fn append(&mut self, name: &str, value: &str) {
        self.bytes += field_bytes(name, value);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// Adds a field of the request to `Vary`, unless it is there already.
    pub fn vary_by(&mut self, name: &str) {
        let known = self.iter().filter(|(own, _)| own.eq_ignore_ascii_case("Vary"));
        let is_listed = known.flat_map(|(_, value)| value.split(',')).any(|member| {
            let member = member.trim();
            member == "*" || member.eq_ignore_ascii_case(name)
        });
        if !is_listed {
            self.add("Vary", name);
        }
    }

    /// Removes all fields of a name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, value)| {
            let is_other = !known.eq_ignore_ascii_case(name);
            self.bytes -= if is_other { 0 } else { field_bytes(known, value) };
            is_other
        });
    }

    /// The value of the first field of a name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Bytes of all field lines in a head.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes of a field line in a head.
pub(super) fn field_bytes(name: &str, value: &str) -> usize {
    name.len() + ": \r\n".len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vary_lists_each_field_once() {
        for (before, after) in [
            ("", "Accept-Encoding"),
            ("Origin", "Origin, Accept-Encoding"),
            ("Origin,accept-encoding", "Origin,accept-encoding"),
            ("*", "*"),
            ("X-Accept-Encoding", "X-Accept-Encoding, Accept-Encoding"),
        ] {
            let mut fields = FieldList::default();
            if !before.is_empty() {
                fields.add("vary", before);
            }
            fields.vary_by("Accept-Encoding");
            assert_eq!(fields.value("Vary"), Some(after));
        }
    }

    #[test]
    fn bytes_agree_with_the_formatted_head() {
        let mut fields = FieldList::default();
        fields.add("A", "1");
        fields.add("a", "2");
        fields.add("Set-Cookie", "b");
        fields.add("set-cookie", "c");
        fields.set("Content-Type", "d/e");
        fields.add("content-type", "f/g");
        fields.append("A", "3");
        let head = |fields: &FieldList| {
            let lines = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
            lines.collect::<Vec<_>>().concat()
        };
        let text = "A: 1, 2\r\nSet-Cookie: b\r\nset-cookie: c\r\ncontent-type: f/g\r\nA: 3\r\n";
        assert_eq!((head(&fields).as_str(), fields.bytes()), (text, text.len()));
        fields.remove("a");
        assert_eq!(fields.bytes(), head(&fields).len());
    }
}
