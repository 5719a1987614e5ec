//! Lines as an operator reads them.

use super::*;
use serde_json::{Value, json};

fn entry<'a>() -> AccessEntry<'a> {
    AccessEntry {
        line: b"GET /a?b HTTP/1.1",
        is_cut: false,
        referer: b"http://a.example/",
        agent: b"curl/8.14",
        peer: PeerAddress::ip([192, 0, 2, 7].into(), 4711),
        listener: ListenerKind::Public,
        worker: 1,
        status: 200,
        count: 1,
        head_bytes: 200,
        bytes: 5312,
        first_byte_ns: 5_250_000_000,
        duration_ns: 1_234_567_890,
        is_whole: true,
    }
}

fn lines(format: LogFormat, entry: &AccessEntry<'_>) -> String {
    let mut writer = AccessLineWriter::new(format);
    // 1795836792 is 2026-11-28T03:33:12Z.
    writer.set_clocks(1_795_836_792_000_000_000, 5_000_000_000);
    let mut bytes = Vec::new();
    let count = writer.push(&mut bytes, entry);
    let text = String::from_utf8(bytes).expect("it is ASCII");
    assert_eq!(text.lines().count(), count as usize);
    text
}

#[test]
fn combined_lines_are_those_of_nginx() {
    assert_eq!(
        lines(LogFormat::Combined, &entry()),
        "192.0.2.7 - - [28/Nov/2026:03:33:12 +0000] \"GET /a?b HTTP/1.1\" 200 5112 \
         \"http://a.example/\" \"curl/8.14\"\n"
    );
    let bare = AccessEntry {
        line: b"GET /\"\n",
        referer: b"",
        agent: b"",
        peer: PeerAddress::Unix,
        status: 400,
        bytes: 20,
        ..entry()
    };
    assert_eq!(
        lines(LogFormat::Combined, &bare),
        "unix: - - [28/Nov/2026:03:33:12 +0000] \"GET /\\x22\\x0A\" 400 0 \"-\" \"-\"\n"
    );
}

#[test]
fn json_lines_have_the_documented_members() {
    let text = lines(LogFormat::Json, &entry());
    let value: Value = serde_json::from_str(&text).expect("it is JSON");
    let expected = json!({
        "schema": "uringstatic-access/1",
        "time": "2026-11-28T03:33:12.250Z",
        "duration_s": 1.234_567,
        "remote": "192.0.2.7",
        "port": 4711,
        "listener": "public",
        "tls": "none",
        "method": "GET",
        "target": "/a?b",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 5112,
        "sent_bytes": 5312,
        "complete": true,
        "referer": "http://a.example/",
        "user_agent": "curl/8.14",
        "worker": 1,
    });
    assert_eq!(value, expected);
}

#[test]
fn json_of_a_line_that_is_no_request_has_it_as_a_whole() {
    let request = |line: &[u8], is_cut: bool| {
        let entry = AccessEntry { line, is_cut, agent: b"", peer: PeerAddress::Unknown, ..entry() };
        let value: Value = serde_json::from_str(&lines(LogFormat::Json, &entry)).expect("JSON");
        assert_eq!((&value["remote"], &value["port"]), (&Value::Null, &Value::Null));
        assert_eq!(value["user_agent"], Value::Null);
        let member = |name: &str| value.get(name).cloned();
        (member("request"), member("method"), member("target"), member("protocol"), member("cut"))
    };
    let text = |text: &str| Some(json!(text));
    let none = Some(Value::Null);
    assert_eq!(request(b"\x16\x03 x", false), (text("\\x16\\x03 x"), None, None, None, None));
    assert_eq!(request(b"GET / x HTTP/1.1", false).0, text("GET / x HTTP/1.1"));
    assert_eq!(request(b"", false).0, none);
    let (whole, method, target, protocol, cut) = request(b"GET /long", true);
    assert_eq!((whole, method, target), (None, text("GET"), text("/long")));
    assert_eq!((protocol, cut), (none, Some(json!(true))));
}

#[test]
fn equal_responses_have_a_line_each_and_their_bytes_add_up() {
    let three = AccessEntry { count: 3, head_bytes: 10, bytes: 130, ..entry() };
    let text = lines(LogFormat::Json, &three);
    let sum = |name: &str| -> u64 {
        let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        text.lines().map(|it| line(it)[name].as_u64().expect("a number")).sum()
    };
    assert_eq!((sum("bytes"), sum("sent_bytes")), (100, 130));
}

#[test]
fn numbers_have_their_digits() {
    let mut bytes = Vec::new();
    for (number, width) in [(0, 1), (7, 3), (1234, 3), (u64::MAX, 1)] {
        push_padded(&mut bytes, number, width);
        bytes.push(b' ');
    }
    assert_eq!(bytes, b"0 007 1234 18446744073709551615 ");
}
