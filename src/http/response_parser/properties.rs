//! What must hold for the bytes of any server at all: the fuzzer calls this, and the test over
//! its corpus.

use super::{Asked, CompleteResponse, End, Malformed, Progress, ResponseParser};

/// The same bytes are the same responses and the same content in whatever pieces they come, and
/// whether or not content is skipped; a response is what its own bytes say, and no fewer of them.
/// Of the first three bytes, one says what was asked and two choose the pieces.
///
/// # Panics
/// If that isn't so.
pub fn response(data: &[u8]) {
    let Some((&[heads, low, high], bytes)) = data.split_first_chunk::<3>() else { return };
    let choice = u16::from_le_bytes([low, high]);
    let at = usize::from(choice) % (bytes.len() + 1);
    let whole = Reading::of(heads, [bytes], 0);
    let (first, second) = bytes.split_at(at);
    assert_eq!(Reading::of(heads, [first, second], 0), whole, "split at {at}");
    assert_eq!(Reading::of(heads, bytes.chunks(1), 0), whole, "byte by byte");
    let skip_max = u64::from(choice % 7) + 1;
    assert_eq!(Reading::of(heads, [first, second], u64::MAX), whole, "skipped from {at}");
    assert_eq!(Reading::of(heads, [bytes], skip_max), whole, "skipped by {skip_max}");
    let mut rest = bytes;
    for (count, &(len, response)) in whole.responses.iter().enumerate() {
        let (own, behind) = rest.split_at(len);
        rest = behind;
        let asked = asked(heads, count);
        assert_eq!(
            ResponseParser::new().read(asked, own, &mut |_| {}),
            (len, Progress::Whole(response))
        );
        let (used, progress) = ResponseParser::new().read(asked, &own[..len - 1], &mut |_| {});
        assert_eq!((used, progress), (len - 1, Progress::More), "it was whole before its end");
        check(asked, len, response);
    }
}

/// What holds for a response that ended by itself.
fn check(asked: Asked, len: usize, response: CompleteResponse) {
    let framed = u64::from(response.head_bytes) + response.body_bytes;
    assert!(framed <= len as u64, "{response:?} in {len} bytes");
    assert!(!(100..200).contains(&response.status), "an interim response isn't final");
    if asked == Asked::Head || matches!(response.status, 204 | 304) {
        assert_eq!((response.body_bytes, framed), (0, len as u64), "there is no content");
    }
}

/// What was asked before the response of this number, by the bits of `heads`.
fn asked(heads: u8, count: usize) -> Asked {
    if heads >> (count % 8) & 1 == 1 { Asked::Head } else { Asked::Other }
}

/// All that was read from a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Reading {
    /// Those that ended before the stream did, each with the bytes it took.
    pub(in crate::http) responses: Vec<(usize, CompleteResponse)>,
    /// Of all responses.
    pub(in crate::http) content: Vec<u8>,
    pub(in crate::http) end: Option<Result<End, Malformed>>,
}

impl Reading {
    /// Reads a stream that comes in these pieces and ends. Content is skipped where it can be, at
    /// most so many bytes of it at a time.
    pub(in crate::http) fn of<'b>(
        heads: u8,
        pieces: impl IntoIterator<Item = &'b [u8]>,
        skip_max: u64,
    ) -> Self {
        let mut responses = ResponseParser::new();
        let mut reading = Self::default();
        // Of the response that is next.
        let mut len = 0;
        for mut piece in pieces {
            while !piece.is_empty() && reading.end.is_none() {
                let (used, progress) = reading.step(&mut responses, piece, heads, skip_max);
                piece = &piece[used..];
                len += used;
                match progress {
                    Progress::More => assert!(responses.begun(), "a byte of it has come"),
                    Progress::Whole(response) => {
                        assert!(!responses.begun() && responses.skippable() == 0, "none has begun");
                        reading.responses.push((std::mem::take(&mut len), response));
                    }
                    Progress::Malformed(malformed) => reading.end = Some(Err(malformed)),
                }
            }
        }
        let begun = responses.begun();
        let end = responses.end();
        assert_eq!(begun, end != End::Between, "only what has begun is cut short");
        assert_eq!((responses.begun(), responses.end()), (false, End::Between), "it ends once");
        reading.end.get_or_insert(Ok(end));
        reading
    }

    fn step(
        &mut self,
        responses: &mut ResponseParser,
        piece: &[u8],
        heads: u8,
        skip_max: u64,
    ) -> (usize, Progress) {
        let before = responses.skippable();
        let count = before.min(skip_max).min(piece.len() as u64);
        if count > 0 {
            let used = usize::try_from(count).expect("it is at most the piece's length");
            self.content.extend_from_slice(&piece[..used]);
            let progress = responses.skipped(count);
            assert_eq!(responses.skippable(), before - count, "what was skipped is left behind");
            return (used, progress);
        }
        let (used, progress) =
            responses.read(asked(heads, self.responses.len()), piece, &mut |part| {
                assert!(!part.is_empty(), "there is content in what is given as content");
                self.content.extend_from_slice(part);
            });
        let is_taken = used == piece.len() || (used < piece.len() && progress != Progress::More);
        assert!(is_taken, "{progress:?} after {used} of {} bytes", piece.len());
        (used, progress)
    }
}
