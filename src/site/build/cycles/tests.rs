//! Cycles over several rules, and ways that end.

use crate::site::build::listing::{Listed, Listing};
use crate::site::build::options::SiteOptions;
use crate::site::build::plan::plan;
use crate::site::build::site_plan::SitePlan;

fn planned(names: &[&str], rules: &str) -> SitePlan {
    let mut listing = Listing::default();
    let listed = |name: &&str| Listed { name: name.as_bytes().to_vec(), ..Listed::default() };
    listing.files = names.iter().map(listed).collect();
    listing.files.sort_by(|a, b| a.name.cmp(&b.name));
    let options = SiteOptions { clean_urls: true, ..SiteOptions::default() };
    plan(&listing, &options, None, Some(rules))
}

#[test]
fn rules_of_a_cycle_are_marked_and_no_others() {
    for (names, rules, expected) in [
        (&[][..], "/a /b\n/b /a\n", &[1, 2][..]),
        (&["b.html"], "/a /b\n/b /a\n", &[]),
        (&["b/index.html"], "/a /b\n/b/ /a\n", &[]),
        (&[], "/old /a\n/a /b\n/b /a\n", &[2, 3]),
        (&[], "/x/* /x/y/:splat\n", &[1]),
        (&[], "/* /en/:splat\n", &[1]),
        (&[], "/* /:splat/:splat\n", &[1]),
        (&[], "/en/* /:splat\n", &[]),
        (&[], "/en/* /:splat\n/:x /en/:x\n", &[1, 2]),
        // The redirect from /y to itself is not sent, and all others end there.
        (&[], "/:x /y\n", &[]),
        (&[], "/:x/:z /y/:z\n", &[]),
        (&[], "/:a/:b /:b/:a\n", &[1]),
        // Only /p/q and /q/p.
        (&[], "/p/:x /:x/p\n/q/:x /:x/q\n", &[1, 2]),
        // From /a?x&id=1 to /a?id=1, and no further.
        (&[], "/a id=:id /a?id=:id\n", &[]),
        (&[], "/a id=:id /b/:id\n/b/:id /a\n", &[]),
        (&[], "/a id=:id /b/:id\n/b/:id /a?id=:id\n", &[1, 2]),
        (&[], "/a /b 302 Language=de\n/b /a\n", &[1, 2]),
        (&[], "/a /b 302 Language=de\n/b /a 302 Language=fr\n", &[]),
        (&[], "https://x.example/a /b\n/b https://x.example/a\n", &[1, 2]),
        (&[], "https://x.example/a /b\nhttps://y.example/b /a\n", &[]),
        (&[], "/* https://new.example/:splat\n", &[]),
        // Without the first two rules, the others apply.
        (&[], "/a /b\n/b /a\n/a /c\n/c /a\n", &[1, 2, 3, 4]),
        // Only after /p/q and /q/p are known, the third rule applies to other paths.
        (&[], "/p/:x /:x/p\n/q/:x /:x/q\n/p/:x /z/:x\n/z/:x /p/:x\n", &[1, 2, 3, 4]),
        (&["docs/index.html"], "/docs /docs/x 301!\n/docs/x /docs 301!\n", &[1, 2]),
        (&["about.html"], "/about.html /about 301!\n", &[]),
    ] {
        let plan = planned(names, rules);
        let marked = plan.redirects.rules().iter().filter(|rule| rule.may_cycle);
        let lines: Vec<_> = marked.map(|rule| rule.line).collect();
        assert_eq!(lines, expected, "{names:?} {rules}");
        let reported = plan.left_out.len() + plan.problems.len();
        assert_eq!(reported, expected.len(), "{rules} {:?} {:?}", plan.left_out, plan.problems);
    }
}

#[test]
fn message_shows_the_cycle() {
    let plan = planned(&[], "/a /b\n/b /a\n");
    let messages: Vec<_> = plan.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages[0],
        "_redirects:1: redirects lead back to it (/a, /b), so it is sent only to paths of files"
    );
}

#[test]
fn forced_rule_of_a_cycle_that_hides_a_file_is_a_problem() {
    let plan = planned(&["secret.html"], "/secret /login 303!\n/login /secret 303\n");
    assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    let message = plan.problems[0].to_string();
    assert!(message.contains("the rule hides /secret, so it can't be left out"), "{message}");
}

#[test]
fn ten_thousand_rules_in_a_row_are_followed_in_time() {
    use std::fmt::Write;
    let mut rules = String::new();
    for number in 0..9_990 {
        writeln!(rules, "/{number} /{}", number + 1).expect("writing to a string doesn't fail");
    }
    assert!(planned(&[], &rules).left_out.is_empty());
    rules.push_str("/9990 /0\n");
    assert_eq!(planned(&[], &rules).left_out.len(), 9_991);
}
