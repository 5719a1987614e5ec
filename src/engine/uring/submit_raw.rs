//! Entries that no operation makes: what a program would submit that had taken the process over.
//! For tests of the lockdown; it is in no release build.

use super::Uring;
use io_uring::squeue::Entry;

impl Uring {
    /// Submits an entry and returns what the kernel answers; other completions are lost.
    ///
    /// # Safety
    /// What the entry points to must be there until this returns.
    pub unsafe fn submit_raw(&mut self, entry: Entry) -> i32 {
        let entry = entry.user_data(FOREIGN);
        // SAFETY: the caller sees to what it points to.
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

/// No token is of this kind.
const FOREIGN: u64 = u64::MAX;
