//! The names of images, `[REGISTRY/]PATH[:TAG]`, by the grammar of the distribution project
//! (reference.go), which docker, podman and containerd share.

use std::fmt;
use std::str::FromStr;

/// A name with a tag, but without a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// The host and port of a registry; `None` stands for Docker's own.
    registry: Option<String>,
    path: String,
    tag: String,
}

impl ImageName {
    /// The last part of the path: `site` of `registry.example/team/site:1`.
    #[must_use]
    pub fn title(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The name with a registry, as containerd stores it: `docker.io/library/site:latest`.
    #[must_use]
    pub fn canonical(&self) -> String {
        let Self { registry, path, tag } = self;
        match registry {
            Some(registry) => format!("{registry}/{path}:{tag}"),
            None if path.contains('/') => format!("docker.io/{path}:{tag}"),
            None => format!("docker.io/library/{path}:{tag}"),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        write!(f, "{}:{}", self.path, self.tag)
    }
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (registry, rest) = match text.split_once('/') {
            Some((first, rest)) if is_registry_like(first) => (Some(first), rest),
            _ => (None, text),
        };
        let (path, tag) = rest.split_once(':').unwrap_or((rest, DEFAULT_TAG));
        if let Some(registry) = registry.filter(|registry| !is_registry(registry)) {
            return Err(format!("{registry:?} is no host with an optional port"));
        }
        if !path.split('/').all(is_part) {
            return Err("a path has parts such as my-site, of lower-case letters and digits with \
                        single dots, one or two underscores, or hyphens between them"
                .to_owned());
        }
        if !is_tag(tag) {
            return Err("a tag has up to 128 letters, digits, underscores, dots and hyphens, and \
                        begins with neither a dot nor a hyphen"
                .to_owned());
        }
        if registry.map_or(0, str::len) + path.len() > NAME_BYTES_MAX {
            return Err(format!("a name has up to {NAME_BYTES_MAX} characters"));
        }
        let registry = registry.map(str::to_owned);
        Ok(Self { registry, path: path.to_owned(), tag: tag.to_owned() })
    }
}

/// Whether the part before the first slash is a registry, and not a part of the path.
fn is_registry_like(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':']) || text.contains(|c: char| c.is_uppercase())
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_label = |label: &str| {
        let is_inner = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
        !label.is_empty()
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label)
        && !port.is_empty()
        && port.bytes().all(|octet| octet.is_ascii_digit())
}

/// Runs of lower-case letters and digits, with one separator between two of them.
fn is_part(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |text: &str| {
        ["", ".", "_", "__"].contains(&text) || text.bytes().all(|octet| octet == b'-')
    };
    part.starts_with(is_plain) && part.ends_with(is_plain) && part.split(is_plain).all(is_separator)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
    (1..=TAG_BYTES_MAX).contains(&tag.len())
        && tag.bytes().all(|octet| is_word(octet) || b".-".contains(&octet))
        && is_word(tag.as_bytes()[0])
}

const DEFAULT_TAG: &str = "latest";
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_completes_them() {
        for (text, shown, canonical) in [
            ("site", "site:latest", "docker.io/library/site:latest"),
            ("team/site:1.2", "team/site:1.2", "docker.io/team/site:1.2"),
            ("localhost/site", "localhost/site:latest", "localhost/site:latest"),
            ("localhost:5000/a/b:v_1", "localhost:5000/a/b:v_1", "localhost:5000/a/b:v_1"),
            ("r.example/a__b-c--d.e:x", "r.example/a__b-c--d.e:x", "r.example/a__b-c--d.e:x"),
        ] {
            let name: ImageName = text.parse().expect(text);
            assert_eq!((&*name.to_string(), &*name.canonical()), (shown, canonical));
            assert_eq!(shown.parse(), Ok(name), "the name of a name is that name");
        }
    }

    #[test]
    fn what_a_registry_would_refuse_is_refused() {
        let long = "a".repeat(256);
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "Site",
            "a/Site",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a._b",
            "site:",
            "site:.a",
            "site:-a",
            "site:a/b",
            "site:ä",
            "r.example:/a",
            "r.example:x/a",
            "r..example/a",
            "-r.example/a",
            "r.example/",
            "a b",
            "a@sha256:0",
            &long,
            &format!("a:{}", "t".repeat(129)),
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text:?}");
        }
    }
}
