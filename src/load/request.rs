//! The request of a load. Its bytes are built once and sent for every request.

use std::fmt::Write;

/// The parts of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTemplate {
    /// The method, a token (RFC 9110 9.1).
    pub method: String,
    /// The request target in origin form, beginning with a slash.
    pub target: String,
    /// Host and port, the value of `Host`.
    pub authority: String,
    /// Whether to send HTTP/1.0 instead of HTTP/1.1.
    pub http_1_0: bool,
    /// Whether the connection stays open after the response (RFC 9112 9.3).
    pub persist: bool,
    /// Additional field lines; each replaces the client's own line of the same name.
    pub headers: Vec<(String, String)>,
    /// The content, if any.
    pub body: Option<Vec<u8>>,
}

impl RequestTemplate {
    /// The bytes of the request: head and content.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let version = if self.http_1_0 { "1.0" } else { "1.1" };
        let mut head = format!("{} {} HTTP/{version}\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut field = |name: &str, value: &str| {
            write!(head, "{name}: {value}\r\n").expect("writing to a string does not fail");
        };
        if !has("Host") {
            field("Host", &self.authority);
        }
        if !has("User-Agent") {
            field("User-Agent", concat!("uringload/", env!("CARGO_PKG_VERSION")));
        }
        if !has("Accept") {
            field("Accept", "*/*");
        }
        // HTTP/1.1 persists and HTTP/1.0 closes by default (RFC 9112 9.3).
        match (self.http_1_0, self.persist) {
            (true, true) if !has("Connection") => field("Connection", "keep-alive"),
            (false, false) if !has("Connection") => field("Connection", "close"),
            _ => {}
        }
        // Methods that anticipate content send a length of 0 without it (RFC 9110 8.6).
        let needs_length = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        let length = match &self.body {
            Some(body) => Some(body.len()),
            None if needs_length && !has("Transfer-Encoding") => Some(0),
            None => None,
        };
        if let Some(length) = length.filter(|_| !has("Content-Length")) {
            field("Content-Length", &length.to_string());
        }
        for (name, value) in &self.headers {
            field(name, value);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> RequestTemplate {
        RequestTemplate {
            method: "GET".into(),
            target: "/a?b".into(),
            authority: "127.0.0.1:10001".into(),
            http_1_0: false,
            persist: true,
            headers: Vec::new(),
            body: None,
        }
    }

    fn text(request: &RequestTemplate) -> String {
        String::from_utf8(request.bytes()).expect("the request is ASCII")
    }

    const OWN: &str =
        concat!("User-Agent: uringload/", env!("CARGO_PKG_VERSION"), "\r\nAccept: */*\r\n");

    #[test]
    fn connection_field_is_sent_only_against_the_default_of_the_version() {
        let host = "Host: 127.0.0.1:10001\r\n";
        for (http_1_0, persist, connection) in [
            (false, true, ""),
            (false, false, "Connection: close\r\n"),
            (true, false, ""),
            (true, true, "Connection: keep-alive\r\n"),
        ] {
            let minor = u8::from(!http_1_0);
            let expected = format!("GET /a?b HTTP/1.{minor}\r\n{host}{OWN}{connection}\r\n");
            assert_eq!(text(&RequestTemplate { http_1_0, persist, ..request() }), expected);
        }
    }

    #[test]
    fn given_fields_replace_the_clients_own_and_a_body_sets_its_length() {
        let headers = vec![("host".into(), "a".into()), ("X".into(), String::new())];
        let body = Some(b"abc".to_vec());
        let found = text(&RequestTemplate { method: "POST".into(), headers, body, ..request() });
        let expected =
            format!("POST /a?b HTTP/1.1\r\n{OWN}Content-Length: 3\r\nhost: a\r\nX: \r\n\r\nabc");
        assert_eq!(found, expected);
    }

    #[test]
    fn methods_that_anticipate_content_send_a_length_of_zero() {
        for (method, has_length) in
            [("POST", true), ("PUT", true), ("PATCH", true), ("GET", false), ("DELETE", false)]
        {
            let request = RequestTemplate { method: method.into(), ..request() };
            assert_eq!(text(&request).contains("Content-Length: 0\r\n"), has_length, "{method}");
        }
        let headers = vec![("transfer-encoding".into(), "chunked".into())];
        let own = RequestTemplate { method: "POST".into(), headers, ..request() };
        assert!(!text(&own).contains("Content-Length"));
    }
}
