//! A model of the memory that supervised servers share: a page for each, of which the supervisor
//! writes the allowance and the server the rest.

use crate::server::{Supervision, Usage};
use crate::service::supervisor::{Published, WorkerId};
use crate::stats::Stats;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The pages of all workers, from the request to fork one until its sockets are closed.
#[derive(Debug, Default)]
pub(super) struct ModelPages(RefCell<BTreeMap<WorkerId, ModelPage>>);

/// The page of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ModelPage {
    pub(super) allowance: u32,
    pub(super) usage: Usage,
    pub(super) turns: u64,
    /// The allowance as the server sees it, and whether others have room. It looks after a wait
    /// only: the simulated engine returns from a wait also where that begins, and nothing may have
    /// changed for the server then.
    seen: (u32, bool),
    /// Whether the server waits, and sees the present numbers when the wait is over.
    waits: bool,
    /// Whether the next turn began before the allowance was written, and took longer than that.
    lags: bool,
    /// The process has ended; the numbers stay until its sockets are closed.
    has_ended: bool,
}

impl ModelPage {
    fn has_room(&self) -> bool {
        !self.has_ended && self.usage.connections < self.allowance
    }
}

impl ModelPages {
    pub(super) fn open(&self, id: WorkerId) {
        self.0.borrow_mut().insert(id, ModelPage::default());
    }

    /// Notes that a server has begun to wait, so that it will see the numbers as they are then.
    pub(super) fn begin_wait(&self, id: WorkerId) {
        self.0.borrow_mut().entry(id).and_modify(|page| page.waits = true);
    }

    /// Notes that the process of a worker has ended.
    pub(super) fn end(&self, id: WorkerId) {
        if let Some(page) = self.0.borrow_mut().get_mut(&id) {
            page.has_ended = true;
        }
    }

    pub(super) fn close(&self, id: WorkerId) {
        self.0.borrow_mut().remove(&id);
    }

    /// The page of a worker; an empty one without a worker.
    pub(super) fn of(&self, id: WorkerId) -> ModelPage {
        self.0.borrow().get(&id).copied().unwrap_or_default()
    }

    /// Writes an allowance, which the server sees in its next turn, or `lags` for one more.
    pub(super) fn set_allowance(&self, id: WorkerId, allowance: u32, lags: bool) {
        if let Some(page) = self.0.borrow_mut().get_mut(&id) {
            (page.allowance, page.lags) = (allowance, lags);
        }
    }

    /// Of each worker, the allowance that it has adopted: the first half of a read.
    pub(super) fn adopted(&self) -> BTreeMap<WorkerId, u32> {
        self.0.borrow().iter().map(|(&id, page)| (id, page.usage.adopted)).collect()
    }

    /// What the supervisor reads of a worker, if `adopted` was read first.
    pub(super) fn read(&self, id: WorkerId, adopted: &BTreeMap<WorkerId, u32>) -> Published {
        let ModelPage { usage, turns, .. } = self.of(id);
        let adopted = adopted.get(&id).copied().unwrap_or(usage.adopted);
        Published { adopted, in_use: usage.in_use, turns }
    }

    /// Whether any worker has a free slot.
    pub(super) fn have_room(&self) -> bool {
        self.0.borrow().values().any(ModelPage::has_room)
    }

    fn have_room_beside(&self, id: WorkerId) -> bool {
        self.0.borrow().iter().any(|(&other, page)| other != id && page.has_room())
    }
}

/// The end of a worker's page that its server has.
pub(super) struct ModelLink {
    pub(super) pages: Rc<ModelPages>,
    pub(super) id: WorkerId,
}

impl Supervision for ModelLink {
    fn allowance(&self) -> u32 {
        let others_have_room = self.pages.have_room_beside(self.id);
        let mut pages = self.pages.0.borrow_mut();
        let Some(page) = pages.get_mut(&self.id) else { return 0 };
        if std::mem::take(&mut page.waits) && !std::mem::take(&mut page.lags) {
            page.seen = (page.allowance, others_have_room);
        }
        page.seen.0
    }

    fn others_have_room(&self) -> bool {
        self.pages.of(self.id).seen.1
    }

    fn publish(&mut self, usage: Usage, _: &Stats) {
        if let Some(page) = self.pages.0.borrow_mut().get_mut(&self.id) {
            page.usage = usage;
            page.turns = page.turns.wrapping_add(1);
        }
    }
}
