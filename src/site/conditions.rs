//! The conditions of a rule beside the pattern of its path: the host, parameters of the query and
//! the preferred language.

use super::pattern::{CAPTURES_MAX, Captures, HostPattern};
use crate::http::language;
use crate::http::path::unescape_form;
use crate::http::request::Request;
use httparse::Header;

/// What a request has of which conditions are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestConditions<'r> {
    /// The host with its port, as the request has it.
    pub authority: Option<&'r [u8]>,
    /// The query of the target, not decoded.
    pub query: Option<&'r [u8]>,
    /// All field lines, of which `Accept-Language` counts.
    pub fields: &'r [Header<'r>],
}

impl<'r> RequestConditions<'r> {
    /// The conditions of a request with this query.
    #[must_use]
    pub fn of(request: &Request<'r, 'r>, query: Option<&'r [u8]>) -> Self {
        Self { authority: request.authority, query, fields: request.fields }
    }
}

/// The conditions of a rule, all of which must hold. The default always holds.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// The host that the request must name.
    pub host: Option<HostPattern>,
    /// The parameters that the query must have; others don't count.
    pub query: Box<[QueryParameter]>,
    /// Language ranges, one of which must cover the preferred language.
    pub languages: Box<[Box<str>]>,
}

/// A parameter of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryParameter {
    /// The decoded name.
    pub name: Box<[u8]>,
    /// The value that it must have.
    pub value: ParameterValue,
}

/// The value that a parameter must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// These octets, decoded.
    Literal(Box<[u8]>),
    /// Any value, which is captured under this name, and added to the captures not decoded.
    Capture(Box<str>),
}

impl Conditions {
    /// Whether every request fulfils them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.host.is_none() && self.query.is_empty() && self.languages.is_empty()
    }

    /// The names of the captured parts of the host, in the order of their captures.
    pub fn host_names(&self) -> impl Iterator<Item = &str> {
        self.host.iter().flat_map(HostPattern::names)
    }

    /// The names of the captured parameters, in the order of their captures, which follow those of
    /// the host.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.query.iter().filter_map(|parameter| match &parameter.value {
            ParameterValue::Literal(_) => None,
            ParameterValue::Capture(name) => Some(&**name),
        })
    }
}

/// A request whose parameters and preferred language are searched when a rule first needs them.
pub(super) struct Evaluation<'r> {
    request: RequestConditions<'r>,
    parameters: Option<Parameters<'r>>,
    /// Empty if the request prefers none.
    language: Option<&'r [u8]>,
}

impl<'r> Evaluation<'r> {
    pub(super) fn new(request: &RequestConditions<'r>) -> Self {
        Self { request: *request, parameters: None, language: None }
    }

    /// Whether host and query fulfil the conditions; adds the captured values.
    pub(super) fn holds_but_language(
        &mut self,
        conditions: &Conditions,
        captures: &mut Captures<'r>,
    ) -> bool {
        let host = conditions.host.as_ref();
        if !host.is_none_or(|host| host.capture(self.request.authority, captures)) {
            return false;
        }
        if conditions.query.is_empty() {
            return true;
        }
        let query = self.request.query.unwrap_or_default();
        let parameters = self.parameters.get_or_insert_with(|| Parameters::of(query));
        conditions.query.iter().all(|wanted| {
            let Some(value) = parameters.value(&wanted.name) else { return false };
            match &wanted.value {
                ParameterValue::Literal(literal) => is_equal(value, literal),
                ParameterValue::Capture(_) => {
                    captures.add(value);
                    true
                }
            }
        })
    }

    /// Whether the preferred language fulfils the conditions.
    pub(super) fn holds_language(&mut self, conditions: &Conditions) -> bool {
        let fields = self.request.fields;
        let preferred = || language::preferred(fields).unwrap_or_default();
        let preferred = *self.language.get_or_insert_with(preferred);
        let mut ranges = conditions.languages.iter();
        conditions.languages.is_empty()
            || ranges.any(|range| language::covers(range.as_bytes(), preferred))
    }
}

/// The last parameters of a query as names and values, not decoded.
struct Parameters<'r> {
    list: [(&'r [u8], &'r [u8]); PARAMETERS_MAX],
    count: usize,
}

impl<'r> Parameters<'r> {
    /// The parameters with an equals sign, from the last one on: of several with one name, the last
    /// counts, as for Netlify's matcher (netlify-redirector 0.2.1, tried).
    fn of(query: &'r [u8]) -> Self {
        let mut parameters = Self { list: [(&[], &[]); PARAMETERS_MAX], count: 0 };
        let given = query.rsplit(|&octet| octet == b'&').filter_map(|parameter| {
            let at = memchr::memchr(b'=', parameter)?;
            Some((&parameter[..at], &parameter[at + 1..]))
        });
        for (place, parameter) in parameters.list.iter_mut().zip(given) {
            *place = parameter;
            parameters.count += 1;
        }
        parameters
    }

    fn value(&self, name: &[u8]) -> Option<&'r [u8]> {
        let list = &self.list[..self.count];
        list.iter().find(|(given, _)| is_equal(given, name)).map(|(_, value)| *value)
    }
}

/// Whether the text of a query decodes to these octets.
fn is_equal(text: &[u8], decoded: &[u8]) -> bool {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return text == decoded;
    }
    unescape_form(text).eq(decoded.iter().copied())
}

/// Most parameters of a query that conditions are compared with.
const PARAMETERS_MAX: usize = 32;

const _: () = assert!(CAPTURES_MAX <= PARAMETERS_MAX, "each capture has a parameter");

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(wanted: &[(&str, Option<&str>)], query: &str) -> Option<Vec<String>> {
        let parameter = |&(name, value): &(&str, Option<&str>)| QueryParameter {
            name: name.as_bytes().into(),
            value: match value {
                Some(value) => ParameterValue::Literal(value.as_bytes().into()),
                None => ParameterValue::Capture("x".into()),
            },
        };
        let query_conditions = wanted.iter().map(parameter).collect();
        let conditions = Conditions { query: query_conditions, ..Conditions::default() };
        let request =
            RequestConditions { query: Some(query.as_bytes()), ..RequestConditions::default() };
        let mut captures = Captures::default();
        let mut evaluation = Evaluation::new(&request);
        let text = |value: &&[u8]| String::from_utf8_lossy(value).into_owned();
        evaluation
            .holds_but_language(&conditions, &mut captures)
            .then(|| captures.values().iter().map(text).collect())
    }

    #[test]
    fn parameters_are_compared_decoded_in_any_order() {
        // Netlify, "Redirect options", query parameters: all named ones must be there, in any
        // order. Tried with its matcher (netlify-redirector): others don't count, an empty value
        // is a value, one without an equals sign is none, and the last of a name counts.
        let found = |values: &[&str]| Some(values.iter().map(|v| (*v).to_owned()).collect());
        for (wanted, query, expected) in [
            (&[("id", None)][..], "id=1", found(&["1"])),
            (&[("id", None)], "x=2&id=1&y", found(&["1"])),
            (&[("id", None)], "id=", found(&[""])),
            (&[("id", None)], "id", None),
            (&[("id", None)], "", None),
            (&[("id", None)], "ID=1", None),
            (&[("id", None)], "id=1&id=2", found(&["2"])),
            (&[("id", None)], "id=a%2Fb", found(&["a%2Fb"])),
            (&[("id", Some("1"))], "id=1&x", found(&[])),
            (&[("id", Some("1"))], "id=2", None),
            (&[("a b", Some("1 2"))], "a%20b=1+2", found(&[])),
            (&[("a b", Some("%"))], "a+b=%", found(&[])),
            (&[("p", None), ("q", None)], "q=2&p=1", found(&["1", "2"])),
            (&[("p", None), ("q", None)], "p=1", None),
        ] {
            assert_eq!(holds(wanted, query), expected, "{wanted:?} {query}");
        }
        let many = "x=1&".repeat(PARAMETERS_MAX - 1) + "y=1";
        assert!(holds(&[("x", Some("1"))], &many).is_some());
        assert!(holds(&[("id", Some("1"))], &format!("id=1&{many}")).is_none());
    }
}
