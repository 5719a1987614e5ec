//! Properties of the response parser that hold for arbitrary bytes. The fuzz target calls them, and
//! the test over its corpus.

use super::ResponseParser;
use super::outcome::{
    CompleteResponse, MalformedResponse, RequestKind, ResponseProgress, StreamEnd,
};

/// Asserts that bytes give the same responses and content in whatever pieces they arrive, with
/// content skipped or not, and that the outcome of a complete response depends on its own bytes
/// only, and on all of them. The first byte of `data` chooses the kinds of requests, the next two
/// the pieces.
///
/// # Panics
/// If an assertion fails.
pub fn response(data: &[u8]) {
    let Some((&[heads, low, high], bytes)) = data.split_first_chunk::<3>() else { return };
    let choice = u16::from_le_bytes([low, high]);
    let at = usize::from(choice) % (bytes.len() + 1);
    let at_once = StreamTranscript::of(heads, [bytes], 0);
    let (first, second) = bytes.split_at(at);
    assert_eq!(StreamTranscript::of(heads, [first, second], 0), at_once, "split at {at}");
    assert_eq!(StreamTranscript::of(heads, bytes.chunks(1), 0), at_once, "byte by byte");
    let skip_max = u64::from(choice % 7) + 1;
    assert_eq!(
        StreamTranscript::of(heads, [first, second], u64::MAX),
        at_once,
        "skipped from {at}"
    );
    assert_eq!(StreamTranscript::of(heads, [bytes], skip_max), at_once, "skipped by {skip_max}");
    let mut rest = bytes;
    for (count, &(len, response)) in at_once.responses.iter().enumerate() {
        let (own, after) = rest.split_at(len);
        rest = after;
        let request = request_kind(heads, count);
        assert_eq!(
            ResponseParser::new().read(request, own, &mut |_| {}),
            (len, ResponseProgress::Complete(response))
        );
        let (used, progress) = ResponseParser::new().read(request, &own[..len - 1], &mut |_| {});
        assert_eq!(
            (used, progress),
            (len - 1, ResponseProgress::More),
            "the response was complete before its last byte"
        );
        check(request, len, response);
    }
}

/// Asserts the properties of a response that doesn't extend to the end of the stream.
fn check(request: RequestKind, len: usize, response: CompleteResponse) {
    let framed = u64::from(response.head_bytes) + response.body_bytes;
    assert!(framed <= len as u64, "{response:?} in {len} bytes");
    assert!(!(100..200).contains(&response.status), "an interim response was reported as final");
    if request == RequestKind::Head || matches!(response.status, 204 | 304) {
        assert_eq!(
            (response.body_bytes, framed),
            (0, len as u64),
            "the response can't have content"
        );
    }
}

/// The kind of the request for the response of this number, by the bits of `heads`.
fn request_kind(heads: u8, count: usize) -> RequestKind {
    if heads >> (count % 8) & 1 == 1 { RequestKind::Head } else { RequestKind::Other }
}

/// Everything that was parsed from a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct StreamTranscript {
    /// The responses that ended before the stream, each with its length in bytes.
    pub(in crate::http) responses: Vec<(usize, CompleteResponse)>,
    /// The content of all responses.
    pub(in crate::http) content: Vec<u8>,
    pub(in crate::http) end: Option<Result<StreamEnd, MalformedResponse>>,
}

impl StreamTranscript {
    /// Parses a stream of these pieces to its end. Content is skipped where possible, at most
    /// `skip_max` bytes at a time.
    pub(in crate::http) fn of<'b>(
        heads: u8,
        pieces: impl IntoIterator<Item = &'b [u8]>,
        skip_max: u64,
    ) -> Self {
        let mut parser = ResponseParser::new();
        let mut transcript = Self::default();
        // The length so far of the current response.
        let mut len = 0;
        for mut piece in pieces {
            while !piece.is_empty() && transcript.end.is_none() {
                let (used, progress) = transcript.step(&mut parser, piece, heads, skip_max);
                piece = &piece[used..];
                len += used;
                match progress {
                    ResponseProgress::More => {
                        assert!(parser.begun(), "a byte of the response arrived");
                    }
                    ResponseProgress::Complete(response) => {
                        assert!(
                            !parser.begun() && parser.skippable() == 0,
                            "no other response has begun"
                        );
                        transcript.responses.push((std::mem::take(&mut len), response));
                    }
                    ResponseProgress::Malformed(malformed) => transcript.end = Some(Err(malformed)),
                }
            }
        }
        let begun = parser.begun();
        let end = parser.end();
        assert_eq!(
            begun,
            end != StreamEnd::BetweenResponses,
            "a stream is truncated exactly within a response"
        );
        assert_eq!(
            (parser.begun(), parser.end()),
            (false, StreamEnd::BetweenResponses),
            "the end resets the parser"
        );
        transcript.end.get_or_insert(Ok(end));
        transcript
    }

    fn step(
        &mut self,
        parser: &mut ResponseParser,
        piece: &[u8],
        heads: u8,
        skip_max: u64,
    ) -> (usize, ResponseProgress) {
        let before = parser.skippable();
        let count = before.min(skip_max).min(piece.len() as u64);
        if count > 0 {
            let used = usize::try_from(count).expect("at most the length of the piece");
            self.content.extend_from_slice(&piece[..used]);
            let progress = parser.skipped(count);
            assert_eq!(
                parser.skippable(),
                before - count,
                "skipping advances by the bytes skipped"
            );
            return (used, progress);
        }
        let (used, progress) =
            parser.read(request_kind(heads, self.responses.len()), piece, &mut |part| {
                assert!(!part.is_empty(), "content is never passed empty");
                self.content.extend_from_slice(part);
            });
        let is_consumed =
            used == piece.len() || (used < piece.len() && progress != ResponseProgress::More);
        assert!(is_consumed, "{progress:?} after {used} of {} bytes", piece.len());
        (used, progress)
    }
}
