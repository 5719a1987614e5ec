//! What must hold for the bytes of any server at all: the fuzzer calls this, and the test over
//! its corpus.

use super::{Asked, End, Malformed, Progress, Replies, Reply};

/// The same bytes are the same replies and the same content in whatever pieces they come, and
/// whether or not content is skipped; a reply is what its own bytes say, and no fewer of them.
/// Of the first three bytes, one says what was asked and two choose the pieces.
///
/// # Panics
/// If that isn't so.
pub fn reply(data: &[u8]) {
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
    for (count, &(len, reply)) in whole.replies.iter().enumerate() {
        let (own, behind) = rest.split_at(len);
        rest = behind;
        let asked = asked(heads, count);
        assert_eq!(Replies::new().read(asked, own, &mut |_| {}), (len, Progress::Whole(reply)));
        let (used, progress) = Replies::new().read(asked, &own[..len - 1], &mut |_| {});
        assert_eq!((used, progress), (len - 1, Progress::More), "it was whole before its end");
        check(asked, len, reply);
    }
}

/// What holds for a reply that ended by itself.
fn check(asked: Asked, len: usize, reply: Reply) {
    let framed = u64::from(reply.head_bytes) + reply.body_bytes;
    assert!(framed <= len as u64, "{reply:?} in {len} bytes");
    assert!(!(100..200).contains(&reply.status), "an interim reply isn't final");
    if asked == Asked::Head || matches!(reply.status, 204 | 304) {
        assert_eq!((reply.body_bytes, framed), (0, len as u64), "there is no content");
    }
}

/// What was asked before the reply of this number, by the bits of `heads`.
fn asked(heads: u8, count: usize) -> Asked {
    if heads >> (count % 8) & 1 == 1 { Asked::Head } else { Asked::Other }
}

/// All that was read from a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Reading {
    /// Those that ended before the stream did, each with the bytes it took.
    pub(in crate::http) replies: Vec<(usize, Reply)>,
    /// Of all replies.
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
        let mut replies = Replies::new();
        let mut reading = Self::default();
        // Of the reply that is next.
        let mut len = 0;
        for mut piece in pieces {
            while !piece.is_empty() && reading.end.is_none() {
                let (used, progress) = reading.step(&mut replies, piece, heads, skip_max);
                piece = &piece[used..];
                len += used;
                match progress {
                    Progress::More => assert!(replies.begun(), "a byte of it has come"),
                    Progress::Whole(reply) => {
                        assert!(!replies.begun() && replies.skippable() == 0, "none has begun");
                        reading.replies.push((std::mem::take(&mut len), reply));
                    }
                    Progress::Malformed(malformed) => reading.end = Some(Err(malformed)),
                }
            }
        }
        let begun = replies.begun();
        let end = replies.end();
        assert_eq!(begun, end != End::Between, "only what has begun is cut short");
        assert_eq!((replies.begun(), replies.end()), (false, End::Between), "it ends once");
        reading.end.get_or_insert(Ok(end));
        reading
    }

    fn step(
        &mut self,
        replies: &mut Replies,
        piece: &[u8],
        heads: u8,
        skip_max: u64,
    ) -> (usize, Progress) {
        let before = replies.skippable();
        let count = before.min(skip_max).min(piece.len() as u64);
        if count > 0 {
            let used = usize::try_from(count).expect("it is at most the piece's length");
            self.content.extend_from_slice(&piece[..used]);
            let progress = replies.skipped(count);
            assert_eq!(replies.skippable(), before - count, "what was skipped is left behind");
            return (used, progress);
        }
        let (used, progress) = replies.read(asked(heads, self.replies.len()), piece, &mut |part| {
            assert!(!part.is_empty(), "there is content in what is given as content");
            self.content.extend_from_slice(part);
        });
        let is_taken = used == piece.len() || (used < piece.len() && progress != Progress::More);
        assert!(is_taken, "{progress:?} after {used} of {} bytes", piece.len());
        (used, progress)
    }
}
