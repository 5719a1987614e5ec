//! Entries that no operation creates, as an attacker in control of the process would submit them.
//! For tests of the sandbox; release builds don't contain this.

use super::ring::Uring;
use io_uring::squeue::Entry;

impl Uring {
    /// Submits an entry and returns its result; other completions are lost.
    ///
    /// # Safety
    /// The memory that the entry points to must be valid until this returns.
    pub unsafe fn submit_raw(&mut self, entry: Entry) -> i32 {
        let entry = entry.user_data(FOREIGN);
        // SAFETY: the caller guarantees that the memory is valid until this function returns, which
        // it does after the entry's completion.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("there is room for one");
        loop {
            self.ring.submit_and_wait(1).expect("the ring is allowed to be entered");
            let answers: Vec<_> = self.ring.completion().collect();
            if let Some(answer) = answers.iter().find(|entry| entry.user_data() == FOREIGN) {
                return answer.result();
            }
        }
    }
}

/// A `user_data` that is no token's.
const FOREIGN: u64 = u64::MAX;
