//! The responses in the buffer, parsed independently; dates while sends are in flight.

use super::*;

const SECOND: u64 = 784_111_777;

fn build(page: Page, bytes: u64) -> (Single, Vec<u8>) {
    let fill = |place: &mut [u8]| {
        place.fill(b'p');
        Ok(())
    };
    let (mut site, mut fixed) = Single::build(page, bytes, 4, |bytes| Ok(vec![0; bytes]), fill)
        .expect("filling does not fail");
    site.tick(SECOND, &mut fixed);
    (site, fixed)
}

fn pages(site: &Single, count: u32) -> Spans {
    site.prebuilt(Prebuilt::Page, Persistence::Keep, false).repeated(count)
}

fn text(output: Spans, fixed: &[u8]) -> String {
    let bytes = [&fixed[output.first.range()], &fixed[output.then.range()]].concat();
    String::from_utf8(bytes).expect("responses are text here")
}

fn field<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let head = response.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn every_response_has_the_length_in_its_content_length() {
    for bytes in [0, 100, 65_536, 65_537, 1 << 20] {
        let (site, fixed) = build(Page::built_in(), bytes);
        for which in Prebuilt::ALL {
            for persistence in Persistence::ALL {
                let response = text(site.prebuilt(which, persistence, false), &fixed);
                let (head, body) = response.split_once("\r\n\r\n").expect("a head ends");
                let length = field(&response, "Content-Length").map(str::parse);
                match which {
                    Prebuilt::NotModified | Prebuilt::Allow => {
                        assert_eq!((length, body), (None, ""), "{response}");
                    }
                    _ => assert_eq!(length, Some(Ok(body.len())), "{which:?} of {bytes}"),
                }
                assert_eq!(field(&response, "Date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
                let connection = match persistence {
                    Persistence::Keep => None,
                    Persistence::KeepHttp10 => Some("keep-alive"),
                    Persistence::Close => Some("close"),
                };
                assert_eq!(field(&response, "Connection"), connection);
                let head_only = text(site.prebuilt(which, persistence, true), &fixed);
                assert_eq!(head_only, format!("{head}\r\n\r\n"), "HEAD has the fields of GET");
            }
        }
    }
}

#[test]
fn copies_in_a_row_are_equal() {
    for bytes in [0, 100, 65_536, 65_537] {
        let (site, fixed) = build(Page::built_in(), bytes);
        let one = text(pages(&site, 1), &fixed);
        let pending = PendingResponse {
            answer: Answer::Whole(Prebuilt::Page),
            persistence: Persistence::Keep,
            head_only: false,
        };
        let count = site.copies_in_a_row(&pending);
        assert_eq!(count > 1, bytes <= 65_536, "of {bytes} bytes");
        assert_eq!(text(pages(&site, count), &fixed), one.repeat(count as usize));
    }
}

#[test]
fn page_with_its_own_status_has_no_validators() {
    let mut page = Page::built_in();
    page.status = 503;
    page.headers.push(("Retry-After".to_owned(), "600".to_owned()));
    let (site, fixed) = build(page, 10);
    let response = text(pages(&site, 1), &fixed);
    assert!(response.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert_eq!(field(&response, "Retry-After"), Some("600"));
    assert_eq!((field(&response, "ETag"), field(&response, "Accept-Ranges")), (None, None));
}

#[test]
fn not_modified_has_the_fields_that_caches_need() {
    let mut page = Page::built_in();
    page.headers.push(("Cache-Control".to_owned(), "no-cache".to_owned()));
    page.headers.push(("X-Other".to_owned(), "y".to_owned()));
    page.last_modified = Some(SECOND - 100);
    let (site, fixed) = build(page, 10);
    let response = text(site.prebuilt(Prebuilt::NotModified, Persistence::Keep, false), &fixed);
    assert_eq!(field(&response, "Cache-Control"), Some("no-cache"));
    assert_eq!(field(&response, "Last-Modified"), Some("Sun, 06 Nov 1994 08:47:57 GMT"));
    assert!(field(&response, "ETag").is_some() && field(&response, "X-Other").is_none());
}

#[test]
fn date_of_a_send_in_flight_never_changes() {
    let (mut site, mut fixed) = build(Page::built_in(), 100);
    let first = pages(&site, 1).first;
    site.mark_in_flight(first.into());
    let before = fixed[first.range()].to_vec();
    site.tick(SECOND + 1, &mut fixed);
    let second = pages(&site, 1).first;
    assert_ne!(first, second, "the next second is in the other copy");
    site.mark_in_flight(second.into());
    for seconds in 2..5 {
        site.tick(SECOND + seconds, &mut fixed);
        assert_eq!(fixed[first.range()], before, "in flight for {seconds} s");
        assert_eq!(pages(&site, 1).first, second, "both copies are in flight: no third second");
    }
    site.mark_sent(first.into());
    site.tick(SECOND + 5, &mut fixed);
    assert!(text(pages(&site, 1), &fixed).contains("08:49:42 GMT"));
}

#[test]
#[should_panic(expected = "wasn't in flight")]
fn span_is_returned_only_once() {
    let (mut site, _) = build(Page::built_in(), 100);
    let span = pages(&site, 1).first;
    site.mark_in_flight(span.into());
    site.mark_sent(span.into());
    site.mark_sent(span.into());
}

#[test]
fn head_of_a_range_is_written_into_the_block_of_the_slot() {
    let (site, mut fixed) = build(Page::built_in(), 1 << 30 >> 10);
    let last = site.body.len - 1;
    let output = site.part((0, last), Persistence::KeepHttp10, ScratchPlace::Slot(3), &mut fixed);
    let response = text(output, &fixed);
    let total = site.body.len;
    assert_eq!(field(&response, "Content-Range"), Some(&*format!("bytes 0-{last}/{total}")));
    assert_eq!(field(&response, "Date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(field(&response, "Connection"), Some("keep-alive"));
}

#[test]
fn send_cut_anywhere_in_a_head_keeps_its_date() {
    let (mut site, mut fixed) = build(Page::built_in(), 50);
    let whole = text(pages(&site, 3), &fixed);
    for cut in 0..u32::try_from(whole.len()).expect("small") {
        let output = pages(&site, 3);
        let left = output.after(u64::from(cut));
        let kept = site.keep(left, ScratchPlace::Slot(1), &mut fixed);
        let now = site.now + 1;
        for seconds in 0..2 {
            site.tick(now + seconds, &mut fixed);
        }
        let rest = text(kept, &fixed);
        assert_eq!(rest.len(), whole.len() - cut as usize, "cut at {cut}");
        let mask = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
        let expected = &whole[cut as usize..];
        assert!(mask(&rest).ends_with(&mask(&expected[expected.len().min(30)..])), "cut at {cut}");
        site = build(Page::built_in(), 50).0;
        site.tick(SECOND, &mut fixed);
    }
}

#[test]
fn image_is_never_written() {
    for bytes in [100, 70_000] {
        let (mut site, mut fixed) = build(Page::built_in(), bytes);
        let layout = site.layout();
        assert_eq!(fixed.len(), layout.buffer_bytes());
        assert_eq!((layout.image().len, layout.scratch().offset % 4096), (bytes, 0));
        let image_end = layout.scratch().range().start;
        let image = fixed[..image_end].to_vec();
        let last = site.body.len - 1;
        for second in 0..3 {
            site.tick(SECOND + second, &mut fixed);
            for scratch in (0..4).map(ScratchPlace::Slot) {
                let part = site.part((0, last), Persistence::Keep, scratch, &mut fixed);
                assert!(part.first.offset >= layout.scratch().offset);
                let left = pages(&site, 1).after(20);
                let _ = site.keep(left, scratch, &mut fixed);
            }
        }
        assert!(fixed[..image_end] == image);
    }
}
