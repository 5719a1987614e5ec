//! Valid and invalid command lines.

use super::*;

fn load(words: &[&str]) -> LoadOptions {
    let argv = ["uringload"].iter().chain(words);
    parse(argv).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// The message for an invalid command line.
fn refused(words: &[&str]) -> String {
    let argv = ["uringload"].iter().chain(words);
    let error = parse(argv).expect_err("the command line is invalid");
    assert_eq!(error.exit_code(), 2, "{words:?}");
    error.to_string()
}

#[test]
fn url_alone_means_64_connections_for_ten_seconds() {
    let options = load(&["http://127.0.0.1:10001/"]);
    assert_eq!(options.connections, [NonZeroU32::new(64).expect("not zero")]);
    assert_eq!(options.duration(), Some(Duration::from_secs(10)));
    assert_eq!(options.describe(), "GET HTTP/1.1, 10s");
}

#[test]
fn number_of_requests_replaces_the_default_duration() {
    let options = load(&["-n", "5", "-c", "1,2,3", "http://a/"]);
    assert_eq!(options.duration(), None);
    assert_eq!(options.connections.len(), 3);
    let both = load(&["-n", "5", "-d", "2s", "http://a/"]);
    assert_eq!(both.duration(), Some(Duration::from_secs(2)));
}

#[test]
fn ab_implies_close_and_http_1_0() {
    let options = load(&["--ab", "http://a/"]);
    assert!(options.close && options.http_1_0);
    assert_eq!(
        options.request(None).bytes(),
        load(&["--close", "--http1.0", "http://a/"]).request(None).bytes()
    );
}

#[test]
fn invalid_options_are_refused_with_a_hint() {
    for (words, hint) in [
        (&[][..], "URL"),
        (&["ftp://a/"], "scheme ftp is not supported"),
        (&["-c", "0", "http://a/"], "not a number of connections"),
        (&["-c", "1,x", "http://a/"], "not a number of connections"),
        (&["-n", "0", "http://a/"], "0"),
        (&["-d", "5", "http://a/"], "5s"),
        (&["--rate", "0", "http://a/"], "rate"),
        (&["--rate", "5", "--pipeline", "2", "http://a/"], "--pipeline"),
        (&["--close", "--pipeline", "2", "http://a/"], "--pipeline"),
        (&["--header", "a", "http://a/"], "write a name, a colon and a value"),
        (&["--header", "A: b\r\nC: d", "http://a/"], "can't contain '\\r'"),
        (&["--header", "A b: c", "http://a/"], "can't contain ' '"),
        (&["--status", "99", "http://a/"], "200 to 599"),
        (&["--insecure", "http://a/"], "for https"),
        (&["--cacert", "a.pem", "http://a/"], "for https"),
        (&["--insecure", "--cacert", "a.pem", "https://a/"], "cannot be used with"),
        (&["--bogus", "http://a/"], "--bogus"),
        (&["http://[::1]x:80/"], "[HOST]:PORT"),
        (&["-c", "1,2,1", "--hgrm", "a", "http://a/"], "-c has 1 twice"),
        (&["--json", "a", "--csv", "./a", "http://a/"], "a is named for two outputs"),
        (&["-c", "1,2", "--hgrm", "a", "--svg", "a-2", "http://a/"], "a-2 is named for two"),
    ] {
        let message = refused(words);
        assert!(message.contains(hint), "{words:?}: {message}");
    }
}

#[test]
fn connections_may_repeat_unless_a_file_would() {
    assert_eq!(load(&["-c", "1,2,1", "--json", "a", "http://a/"]).connections.len(), 3);
    let options = load(&["--json", "a", "--csv", "b/a", "--hgrm", "a-1", "http://a/"]);
    assert_eq!(options.outputs().len(), 3);
}

#[test]
fn https_trusts_the_system_unless_told_otherwise() {
    let tls = |words: &[&str]| load(words).tls();
    let plan = |trust| Some(TlsPlan { host: "::1".to_owned(), trust });
    assert_eq!(tls(&["http://[::1]/"]), None);
    assert_eq!(tls(&["https://[::1]/"]), plan(Trust::System));
    assert_eq!(tls(&["--insecure", "https://[::1]/"]), plan(Trust::Anything));
    let file = plan(Trust::File("a.pem".into()));
    assert_eq!(tls(&["--cacert", "a.pem", "https://[::1]/"]), file);
}
