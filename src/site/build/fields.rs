//! The fields of a response while they are put together.

/// Names and values, in the order in which they are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldList {
    fields: Vec<(String, String)>,
    /// What they take in a head.
    bytes: usize,
}

impl FieldList {
    /// Sets a field, in place of what it was.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.append(name, value);
    }

    /// Adds to a field; joined with a comma if it is there, unless it has one value.
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

    /// Adds a field of its own, whatever others there are of its name.
    pub fn append(&mut self, name: &str, value: &str) {
        self.bytes += field_bytes(name, value);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// Says that responses depend on a field of the request, unless that is said already.
    pub fn vary_by(&mut self, name: &str) {
        let known = self.iter().filter(|(own, _)| own.eq_ignore_ascii_case("Vary"));
        let is_said = known.flat_map(|(_, value)| value.split(',')).any(|said| {
            let said = said.trim();
            said == "*" || said.eq_ignore_ascii_case(name)
        });
        if !is_said {
            self.add("Vary", name);
        }
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, value)| {
            let is_other = !known.eq_ignore_ascii_case(name);
            self.bytes -= if is_other { 0 } else { field_bytes(known, value) };
            is_other
        });
    }

    /// The value of a field.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many bytes they take in a head.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a field is to another of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// Both are one list.
    Joins,
    /// Each has a field of its own: a cookie's value may have commas (RFC 6265 3).
    StandsAlone,
    /// There is one value, the last one.
    Replaces,
}

impl Repeated {
    pub(super) fn of(name: &str) -> Self {
        if name.eq_ignore_ascii_case("Content-Type") {
            Self::Replaces
        } else if name.eq_ignore_ascii_case("Set-Cookie") {
            Self::StandsAlone
        } else {
            Self::Joins
        }
    }
}

/// How many bytes a field takes in a head.
pub(super) fn field_bytes(name: &str, value: &str) -> usize {
    name.len() + ": \r\n".len() + value.len()
}

/// What stands between the members of a list.
pub(super) const JOIN: &str = ", ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_responses_depend_on_is_said_once() {
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
    fn bytes_are_those_of_a_head() {
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
