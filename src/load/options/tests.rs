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
        options.request("GET", "/", "a", None).bytes(),
        load(&["--close", "--http1.0", "http://a/"]).request("GET", "/", "a", None).bytes()
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
        (&["http://a/", "http://b/"], "given twice: http://a/ and http://b/; use --urls"),
        (&["--urls", "a", "--replay", "b", "http://a/"], "--replay"),
        (&["--speed", "1", "http://a/"], "--replay"),
        (&["--replay", "a", "--speed", "0", "http://a/"], "a factor from"),
        (&["--replay", "a", "--speed", "1", "--shuffle", "http://a/"], "--shuffle"),
        (&["--replay", "a"], "URL"),
        (&["--shuffle", "http://a/"], "--shuffle needs several"),
        (&["--seed", "2", "http://a/"], "--shuffle"),
        (&["--urls", "-", "--body", "@-", "http://a/"], "standard input can't be both"),
        (&["--urls", "a", "-m", "PUT", "http://a/"], "--method"),
        (&["--rate", "5", "--think-time", "1s", "http://a/"], "--think-time"),
        (&["--close", "--requests-per-connection", "2", "http://a/"], "--close"),
        (&["--source", "127.0.0.2", "unix:/a"], "Unix socket"),
        (&["--insecure", "http://a/"], "for https"),
        (&["--cacert", "a.pem", "http://a/"], "for https"),
        (&["--insecure", "--cacert", "a.pem", "https://a/"], "cannot be used with"),
        (&["--bogus", "http://a/"], "--bogus"),
        (&["http://[::1]x:80/"], "[HOST]:PORT"),
        (&["-c", "1,2,1", "--hgrm", "a", "http://a/"], "-c has 1 twice"),
        (&["-c", "1,2", "--hgrm", "-", "http://a/"], "--hgrm - writes one histogram"),
        (&["--json", "a", "--csv", "./a", "http://a/"], "a is named for two outputs"),
        (&["-c", "1,2", "--hgrm", "a", "--svg", "a-2", "http://a/"], "a-2 is named for two"),
    ] {
        let message = refused(words);
        assert!(message.contains(hint), "{words:?}: {message}");
    }
}

#[test]
fn short_options_are_those_of_other_clients() {
    let options = load(&["-H", "A: b", "-m", "PUT", "-t", "3", "http://a/"]);
    assert_eq!(options.headers, [("A".to_owned(), "b".to_owned())]);
    assert_eq!((options.method.as_str(), options.processes), ("PUT", Some(3)));
    assert_eq!(load(&["--threads", "2", "http://a/"]).processes, Some(2));
    let kind = |words: &[&str]| load(words).proxy_protocol;
    assert_eq!(kind(&["--proxy-protocol", "http://a/"]), Some(ProxyHeader::Tcp));
    assert_eq!(kind(&["--proxy-protocol=local", "http://a/"]), Some(ProxyHeader::Local));
}

#[test]
fn replay_ends_with_its_log_unless_told_otherwise() {
    let replay = |words: &[&str]| load(&[&["--replay", "a", "http://a/"], words].concat());
    assert_eq!(replay(&[]).duration(), None);
    assert_eq!(replay(&["-d", "2s"]).duration(), Some(Duration::from_secs(2)));
    assert_eq!(load(&["--urls", "a"]).duration(), Some(Duration::from_secs(10)));
}

#[test]
fn connections_may_repeat_unless_a_file_would() {
    assert_eq!(load(&["-c", "1,2,1", "--json", "a", "http://a/"]).connections.len(), 3);
    let options = load(&["--json", "a", "--csv", "b/a", "--hgrm", "a-1", "http://a/"]);
    assert_eq!(options.outputs().len(), 3);
}

#[test]
fn https_trusts_the_system_unless_told_otherwise() {
    let tls = |words: &[&str]| {
        let options = load(words);
        options.tls(&options.url[0])
    };
    let plan = |trust| Some(TlsPlan { host: "::1".to_owned(), trust });
    assert_eq!(tls(&["http://[::1]/"]), None);
    assert_eq!(tls(&["https://[::1]/"]), plan(Trust::System));
    assert_eq!(tls(&["--insecure", "https://[::1]/"]), plan(Trust::Anything));
    let file = plan(Trust::File("a.pem".into()));
    assert_eq!(tls(&["--cacert", "a.pem", "https://[::1]/"]), file);
}

#[test]
fn search_has_an_objective_and_varies_the_rate_alone() {
    let options = load(&["--find-limit", "--slo", "10ms@p99", "http://a/"]);
    let (objective, start) = options.search().expect("there is an objective");
    assert_eq!((objective.to_string(), start), ("10ms@p99".to_owned(), 1000.0));
    assert_eq!(options.duration(), Some(Duration::from_secs(5)));
    assert_eq!(options.describe(), "GET HTTP/1.1, rates in search of 10ms@p99, 5s");
    let from = load(&["--find-limit", "--slo", "1ms@p50", "--rate", "70", "-d", "2s", "http://a/"]);
    assert_eq!(from.search().map(|(_, start)| start), Some(70.0));
    assert_eq!(from.duration(), Some(Duration::from_secs(2)));

    let search = ["--find-limit", "--slo", "10ms@p99", "http://a/"];
    for (words, hint) in [
        (&["-n", "5"][..], "with -n"),
        (&["-c", "1,2"], "a list of -c"),
        (&["--rate", "1,2"], "a list of --rate"),
        (&["--repeat", "2"], "with --repeat"),
        (&["--pipeline", "2"], "with --pipeline"),
        (&["--hgrm", "a"], "with --hgrm"),
    ] {
        let message = refused(&[words, &search].concat());
        assert!(message.contains(hint), "{words:?}: {message}");
    }
    assert!(refused(&["--find-limit", "http://a/"]).contains("--slo"));
    assert!(refused(&["--slo", "10ms@p99", "http://a/"]).contains("--find-limit"));
}

#[test]
fn start_is_a_time_in_utc() {
    let options = load(&["--start-at", "2030-01-01T12:00:00.5Z", "http://a/"]);
    let since_1970 = options.start_at.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(since_1970, Duration::from_millis(1_893_499_200_500));
    assert!(refused(&["--start-at", "12:00", "http://a/"]).contains("2030-01-01T12:00:00Z"));
}

#[test]
fn figures_are_not_printed_among_an_output_on_stdout() {
    assert!(load(&["--json", "a", "http://a/"]).prints_figures());
    assert!(!load(&["--json", "-", "http://a/"]).prints_figures());
    assert!(!load(&["--quiet", "http://a/"]).prints_figures());
}
