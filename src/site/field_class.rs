//! What the name of a field decides: the responses that have it, and the effect of its repetition.

/// The kind of a response, as far as it decides which fields may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseKind {
    /// A file with status 200, or its 206 or 304.
    File,
    /// A file with another status: a `404.html`, or a rewrite with 404, 410 or 451.
    ErrorPage,
    /// A response with `Location`.
    Redirect,
    /// A built-in response other than 401.
    BuiltIn,
    /// 401.
    Unauthorized,
}

impl ResponseKind {
    /// Whether a response of this kind has a field of a class; `by_canonical` is true if the field
    /// is a default of the response, or if the pattern of its block matches the canonical path.
    #[must_use]
    pub fn permits(self, class: FieldClass, by_canonical: bool) -> bool {
        use FieldClass::{Caching, Challenge, Coding, Content, General, Lifetime};
        match (self, class) {
            (_, General)
            | (Self::File, Content | Lifetime | Caching | Challenge)
            | (Self::Redirect, Lifetime | Caching | Challenge)
            | (Self::ErrorPage | Self::BuiltIn, Caching | Challenge) => true,
            (Self::File | Self::ErrorPage, Coding)
            | (Self::ErrorPage, Content | Lifetime)
            | (Self::BuiltIn, Lifetime) => by_canonical,
            // The head of a 401 has `Cache-Control` and `WWW-Authenticate` of its own.
            (Self::Redirect | Self::BuiltIn, Content | Coding)
            | (Self::Unauthorized, Content | Coding | Lifetime | Caching | Challenge) => false,
        }
    }
}

/// The class of a field, as far as it decides which responses have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldClass {
    /// Any other field.
    General,
    /// The field describes the content of a file, or is its address.
    Content,
    /// `Content-Encoding`, which is a fact of the file: it was verified for the canonical path.
    Coding,
    /// The field permits caches to keep the response. A block that names a path means the file
    /// there: its absence may end with the next deploy, so an error isn't kept as long.
    Lifetime,
    /// `Cache-Control` otherwise.
    Caching,
    /// `WWW-Authenticate`.
    Challenge,
}

impl FieldClass {
    /// The class of a field with this value; a value with placeholders is `None`.
    #[must_use]
    pub fn of(name: &str, value: Option<&str>) -> Self {
        let is = |other: &&str| other.eq_ignore_ascii_case(name);
        if OF_CONTENT.iter().any(is) {
            return Self::Content;
        }
        let grants = |member: &str| {
            let name = member.split('=').next().unwrap_or_default().trim();
            GRANTS.iter().any(|grant| grant.eq_ignore_ascii_case(name))
        };
        let grants_life = || value.is_some_and(|value| value.split(',').any(grants));
        match name {
            _ if is(&CONTENT_ENCODING) => Self::Coding,
            _ if is(&"WWW-Authenticate") => Self::Challenge,
            _ if is(&"Expires") && value.is_some() => Self::Lifetime,
            _ if is(&"Cache-Control") && grants_life() => Self::Lifetime,
            _ if is(&"Cache-Control") => Self::Caching,
            _ => Self::General,
        }
    }
}

/// The treatment of a repeated name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// The values are joined.
    Joins,
    /// Each value has a field line of its own: a cookie may have commas (RFC 6265 3).
    StandsAlone,
    /// The last value counts.
    Replaces,
}

impl Repeated {
    /// The treatment of a name. `Content-Encoding` is a list of codings applied one after the
    /// other (RFC 9110 8.4), but blocks state one and the same.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if name.eq_ignore_ascii_case("Content-Type") || name.eq_ignore_ascii_case(CONTENT_ENCODING)
        {
            Self::Replaces
        } else if name.eq_ignore_ascii_case("Set-Cookie") {
            Self::StandsAlone
        } else {
            Self::Joins
        }
    }
}

/// The separator of the members of a list (RFC 9110 5.6.1).
pub const JOIN: &str = ", ";

const CONTENT_ENCODING: &str = "Content-Encoding";
const OF_CONTENT: [&str; 5] =
    ["Content-Type", "Content-Language", "Content-Location", "Content-Disposition", "Location"];
/// Directives of `Cache-Control` that permit caches to keep a response (RFC 9111 5.2.2, RFC 8246).
const GRANTS: [&str; 6] =
    ["max-age", "s-maxage", "immutable", "public", "stale-while-revalidate", "stale-if-error"];
