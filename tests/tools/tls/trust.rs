//! Certificates that are accepted and refused, and the words in which they are refused.

use super::certificates::{
    AUTHORITY, Identity, VERSIONS, authority, authority_file, params, valid,
};
use super::session::Pair;
use crate::common::TemporaryFile;
use uringstatic::load::tls::{TlsPlan, Trust};

/// The outcome of a handshake with `identity` as seen by a client that wants this host.
fn outcome(identity: &Identity, host: &str, trust: &Trust) -> Result<(), String> {
    let outcomes = VERSIONS.map(|version| {
        let mut pair = Pair::new(host, trust.clone(), identity.server(version));
        pair.run(usize::MAX).map_err(|failure| failure.to_string())
    });
    assert_eq!(outcomes[0], outcomes[1], "both versions refuse the same certificates");
    outcomes.into_iter().next().expect("there are two")
}

fn trusted() -> Trust {
    Trust::File(authority_file().to_owned())
}

#[test]
fn names_and_addresses_in_the_certificate_are_accepted() {
    let identity = Identity::of(&["localhost", "*.example.com", "127.0.0.1", "::1"]);
    for host in ["localhost", "LOCALHOST", "a.example.com", "127.0.0.1", "::1"] {
        assert_eq!(outcome(&identity, host, &trusted()), Ok(()), "{host}");
    }
}

#[test]
fn each_refused_certificate_is_refused_in_words_that_help() {
    let names = &["localhost", "127.0.0.1"][..];
    let good = Identity::of(names);
    let other = authority("Other");
    let not_for = "the server's certificate is not for";
    for (identity, host, text) in [
        (&good, "example.com", format!("{not_for} example.com, but for localhost, 127.0.0.1")),
        (&good, "127.0.0.2", format!("{not_for} 127.0.0.2, but for localhost, 127.0.0.1")),
        (&Identity::of(&[]), "localhost", format!("{not_for} localhost; it has no subjectAltName")),
        (
            &Identity::issued(&params(names), &other),
            "localhost",
            "no trusted authority issued the server's certificate; --cacert FILE names one, \
             --insecure accepts any certificate"
                .to_owned(),
        ),
        (
            &Identity::issued(&valid(names, 2020, 2021), &AUTHORITY),
            "localhost",
            "the server's certificate expired on Fri, 01 Jan 2021 00:00:00 GMT".to_owned(),
        ),
        (
            &Identity::issued(&valid(names, 2150, 2151), &AUTHORITY),
            "localhost",
            "the server's certificate is valid from Thu, 01 Jan 2150 00:00:00 GMT on".to_owned(),
        ),
    ] {
        let found = outcome(identity, host, &trusted()).expect_err("it is refused");
        assert!(found.starts_with(text.split(", but for").next().unwrap()), "{found}");
        assert!(!text.contains("but for") || found.contains("localhost"), "{found}");
        assert_eq!(outcome(identity, host, &Trust::Anything), Ok(()), "--insecure: {found}");
    }
}

#[test]
fn a_self_signed_certificate_is_its_own_authority() {
    for is_ca in [false, true] {
        let identity = Identity::self_signed(params(&["localhost"]), is_ca);
        let file = TemporaryFile::with("pem", identity.pem.as_bytes());
        let pinned = Trust::File(file.0.clone());
        assert_eq!(outcome(&identity, "localhost", &pinned), Ok(()), "as an authority: {is_ca}");
        let found = outcome(&identity, "example.com", &pinned).expect_err("it is for localhost");
        assert!(found.contains("not for example.com"), "{found}");
        let other = Identity::self_signed(params(&["localhost"]), is_ca);
        for (identity, trust) in [(&other, &pinned), (&identity, &trusted())] {
            let found = outcome(identity, "localhost", trust).expect_err("it is another one");
            // Without the mark, it is taken for one that the trusted certificate has signed.
            let is_wrong = found.contains("a signature of the server's certificate") && !is_ca;
            assert!(is_wrong || found.contains("no trusted authority issued"), "{found}");
        }

        let expired = Identity::self_signed(valid(&["localhost"], 2020, 2021), is_ca);
        let file = TemporaryFile::with("pem", expired.pem.as_bytes());
        let pinned = Trust::File(file.0.clone());
        let found = outcome(&expired, "localhost", &pinned).expect_err("it has expired");
        assert!(found.contains("expired on Fri, 01 Jan 2021"), "{found}");
    }
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_never_accepted() {
    let names = &["localhost"];
    for trust in [trusted(), Trust::Anything] {
        let thief = Identity::of(names).with_key_of(Identity::of(names));
        let found = outcome(&thief, "localhost", &trust).expect_err("it has another key");
        assert_eq!(
            found, "a signature of the server's certificate or handshake is wrong",
            "{trust:?}"
        );
    }
}

#[test]
fn files_without_certificates_are_refused() {
    for (content, why) in [
        (&b""[..], "there are none"),
        (b"not PEM at all", "there are none"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "section end"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "none is a valid"),
    ] {
        let file = TemporaryFile::with("pem", content);
        let trust = Trust::File(file.0.clone());
        let plan = TlsPlan { host: "localhost".to_owned(), trust };
        let failure = plan.load().expect_err("there is nothing to trust").to_string();
        assert!(failure.contains(why) && failure.contains("--cacert"), "{failure}");
    }
    let trust = Trust::File("/nonexistent/a.pem".into());
    let plan = TlsPlan { host: "localhost".to_owned(), trust };
    let failure = plan.load().expect_err("there is no file").to_string();
    assert!(failure.contains("No such file"), "{failure}");
}
