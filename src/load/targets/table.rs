//! The requests of a load as bytes, and the order in which they are sent.

use super::{ENTRIES_MAX, MethodAndTarget, REQUEST_BYTES_MAX, RequestList};
use crate::bytes::Span;

/// Distinct requests as bytes, and the share of the sequence that one worker sends.
///
/// Entry `i` of the load belongs to worker `i % workers`. So a number of requests, of which each
/// worker has its share, sends exactly the first entries of the sequence, however many workers
/// there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTable {
    /// The bytes of all distinct requests, one behind the other.
    bytes: Vec<u8>,
    requests: Vec<TableRequest>,
    /// Indices of `requests`: one cycle of the load.
    sequence: Vec<u32>,
    /// The time of each of this worker's entries after the start, in nanoseconds; empty unless the
    /// requests have times.
    due_ns: Vec<u64>,
    /// This worker's first entry.
    first: u64,
    /// The distance between two of this worker's entries: the number of workers.
    stride: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TableRequest {
    span: Span,
    is_head: bool,
}

impl RequestTable {
    /// A table of one request, given as bytes.
    ///
    /// # Panics
    /// If the request has 4 GiB or more.
    #[must_use]
    pub fn of_one(bytes: Vec<u8>, is_head: bool) -> Self {
        let len = u32::try_from(bytes.len()).expect("a request has less than 4 GiB");
        let span = Span { offset: 0, len: len.into() };
        let requests = vec![TableRequest { span, is_head }];
        Self { bytes, requests, sequence: vec![0], due_ns: Vec::new(), first: 0, stride: 1 }
    }

    /// The table of a list, for a single worker; `bytes_of` builds the bytes of each request.
    ///
    /// # Errors
    /// If all requests together have more than [`REQUEST_BYTES_MAX`] bytes: their number of bytes
    /// so far.
    pub fn of_list(
        list: RequestList,
        mut bytes_of: impl FnMut(&MethodAndTarget) -> Vec<u8>,
    ) -> Result<Self, usize> {
        let mut table = Self { first: 0, stride: 1, ..Self::default() };
        for request in &list.requests {
            let bytes = bytes_of(request);
            let span = Span { offset: table.bytes.len() as u64, len: bytes.len() as u64 };
            table.requests.push(TableRequest { span, is_head: request.method == "HEAD" });
            table.bytes.extend(bytes);
            if table.bytes.len() > REQUEST_BYTES_MAX {
                return Err(table.bytes.len());
            }
        }
        (table.sequence, table.due_ns) = (list.sequence, list.due_ns);
        Ok(table)
    }

    /// The part of worker `index` of a table for a single worker.
    #[must_use]
    pub fn share(&self, index: u32, workers: u32) -> Self {
        let due_ns = self.due_ns.iter().skip(index as usize).step_by(workers as usize);
        Self {
            due_ns: due_ns.copied().collect(),
            first: index.into(),
            stride: workers.into(),
            ..self.clone()
        }
    }

    /// Number of distinct requests.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.requests.len()
    }

    /// Number of entries of the sequence, for all workers.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.sequence.len() as u64
    }

    /// The times at which this worker's requests are due, in nanoseconds after the start; empty
    /// unless they have times.
    #[must_use]
    pub fn due_ns(&self) -> &[u64] {
        &self.due_ns
    }

    /// Takes those times out of the table.
    pub fn take_due_ns(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.due_ns)
    }

    /// The bytes of all requests, which the spans of [`Self::span`] are in.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length of the longest request, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        let longest = self.requests.iter().map(|request| request.span.len).max().unwrap_or(0);
        usize::try_from(longest).expect("it is in memory")
    }

    /// The index of the request that this worker sends as its `number`th, from 0.
    #[must_use]
    pub fn request(&self, number: u64) -> usize {
        if self.requests.len() == 1 {
            return 0;
        }
        let entry = number.wrapping_mul(self.stride).wrapping_add(self.first);
        let place = usize::try_from(entry % self.entries()).expect("below a length");
        self.sequence[place] as usize
    }

    /// The place of a request within [`Self::bytes`].
    #[must_use]
    pub fn span(&self, request: usize) -> Span {
        self.requests[request].span
    }

    /// Whether a request is a HEAD, whose response has no content.
    #[must_use]
    pub fn is_head(&self, request: usize) -> bool {
        self.requests[request].is_head
    }

    /// The table for a worker process, as bytes.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let lengths = [self.requests.len(), self.sequence.len(), self.due_ns.len()];
        let mut words: Vec<u64> = lengths.map(|length| length as u64).to_vec();
        words.extend([self.first, self.stride]);
        for TableRequest { span, is_head } in &self.requests {
            words.extend([span.offset, span.len, u64::from(*is_head)]);
        }
        words.extend(&self.due_ns);
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        let sequence = self.sequence.iter().flat_map(|number| number.to_le_bytes());
        words.chain(sequence).chain(self.bytes.iter().copied()).collect()
    }

    /// The table that was [encoded](Self::encoded); `None` if the bytes are none.
    #[must_use]
    pub fn decoded(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let [requests, sequence, due_ns] = [length(bytes)?, length(bytes)?, length(bytes)?];
        let (first, stride) = (word(bytes)?, word(bytes)?);
        let requests = (0..requests)
            .map(|_| {
                let span = Span { offset: word(bytes)?, len: word(bytes)? };
                Some(TableRequest { span, is_head: word(bytes)? != 0 })
            })
            .collect::<Option<Vec<_>>>()?;
        let due_ns = (0..due_ns).map(|_| word(bytes)).collect::<Option<Vec<_>>>()?;
        let sequence = (0..sequence)
            .map(|_| Some(u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?)))
            .collect::<Option<Vec<_>>>()?;
        let len = bytes.len() as u64;
        let is_valid = requests.iter().all(|request| request.span.offset + request.span.len <= len)
            && sequence.iter().all(|&number| (number as usize) < requests.len())
            && !sequence.is_empty();
        let bytes = bytes.to_vec();
        is_valid.then_some(Self { bytes, requests, sequence, due_ns, first, stride })
    }
}

fn word(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?))
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(word(bytes)?).ok().filter(|&length| length <= ENTRIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(sequence: &[u32]) -> RequestTable {
        let request = |target: &str| MethodAndTarget {
            method: if target == "/b" { "HEAD" } else { "GET" }.to_owned(),
            target: target.to_owned(),
        };
        let list = RequestList {
            requests: ["/a", "/b", "/cc"].map(request).to_vec(),
            sequence: sequence.to_vec(),
            due_ns: (0..).map(|k| k * 10).take(sequence.len()).collect(),
        };
        RequestTable::of_list(list, |request| request.target.clone().into()).expect("it is short")
    }

    #[test]
    fn requests_are_found_in_the_bytes() {
        let table = table(&[2, 0, 1]);
        let text = |number| {
            let request = table.request(number);
            (&table.bytes()[table.span(request).range()], table.is_head(request))
        };
        assert_eq!(text(0), (&b"/cc"[..], false));
        assert_eq!(text(2), (&b"/b"[..], true));
        assert_eq!(text(3), (&b"/cc"[..], false));
        assert_eq!((table.distinct(), table.entries(), table.longest()), (3, 3, 3));
    }

    proptest! {
        #[test]
        fn workers_together_send_the_first_entries(
            sequence in prop::collection::vec(0u32..3, 1..40),
            workers in 1u32..7,
            requests in 0u64..100,
        ) {
            let table = table(&sequence);
            let mut sent = [0; 3];
            for index in 0..workers {
                let share = table.share(index, workers);
                prop_assert_eq!(&RequestTable::decoded(&share.encoded()), &Some(share.clone()));
                // A worker's share of a number, as of `requests` with remainders to the first.
                let (all, index) = (u64::from(workers), u64::from(index));
                let own = requests / all + u64::from(index < requests % all);
                (0..own).for_each(|number| sent[share.request(number)] += 1);
                let due = (index..sequence.len() as u64).step_by(workers as usize);
                let due: Vec<u64> = due.map(|k| k * 10).collect();
                prop_assert_eq!(share.due_ns(), &due[..]);
            }
            let mut expected = [0; 3];
            let first = sequence.iter().cycle().take(usize::try_from(requests).expect("few"));
            first.for_each(|&number| expected[number as usize] += 1);
            prop_assert_eq!(sent, expected);
        }

        #[test]
        fn other_bytes_are_no_table(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(table) = RequestTable::decoded(&bytes) {
                prop_assert!(table.entries() > 0);
            }
        }
    }
}
