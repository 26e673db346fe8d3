//! All channels of a connection: which number and which incarnation is which channel.
//!
//! Called by the session. Encodes, sends and ends nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use amqp_types::content::Assembler;
use amqp_types::protocol::Spec;

use crate::error::{CloseReason, Initiator};
use crate::outcome::Epoch;
use crate::session::channel::{ChannelKey, ChannelState};

/// So many incarnations are remembered of a channel that is reopened again and again.
const FORMER_MAX: usize = 4;

/// All channels of a connection: open ones by number, closed ones that still have handles by epoch.
pub(in crate::session) struct ChannelTable {
    slots: Vec<Option<Box<ChannelState>>>,
    retired: HashMap<u64, Box<ChannelState>>,
    free: BinaryHeap<Reverse<u16>>,
    /// Those whose channels the peer has closed: they rest as long as there are others. What RabbitMQ had in hand for
    /// such a channel it may send even after it has opened the next one of its number, where it would be taken for that
    /// one's.
    resting: VecDeque<u16>,
    next_id: u32,
    max: u16,
    epochs: u64,
    /// How incarnations ended that were reopened as others, for whoever still knows the channel by those.
    former: HashMap<u64, Arc<CloseReason>>,
    /// What the key is now of those that got another number while they came back with their connection.
    moved: HashMap<u64, ChannelKey>,
}

impl ChannelTable {
    pub(crate) fn new(max: u16) -> Self {
        Self {
            slots: Vec::new(),
            retired: HashMap::new(),
            free: BinaryHeap::new(),
            resting: VecDeque::new(),
            next_id: 1,
            max,
            epochs: 0,
            former: HashMap::new(),
            moved: HashMap::new(),
        }
    }

    /// A free number, and whether it was in use: the lowest one, or the one that has rested longest if all others are
    /// in use.
    fn free_id(&mut self) -> Option<(u16, bool)> {
        if let Some(Reverse(id)) = self.free.pop() {
            return Some((id, true));
        }
        if let Some(id) = u16::try_from(self.next_id).ok().filter(|id| *id <= self.max) {
            self.next_id += 1;
            return Some((id, false));
        }
        self.resting.pop_front().map(|id| (id, true))
    }

    /// An epoch that no incarnation had.
    pub(crate) fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }

    /// Gives a free number a new incarnation, or nothing when all are in use.
    pub(crate) fn allocate(&mut self, assembler: Assembler<Spec>) -> Option<&mut ChannelState> {
        let (id, reused) = self.free_id()?;
        let key = ChannelKey { id, epoch: self.next_epoch().0 };
        self.place(Box::new(ChannelState::new(key, reused, assembler)))
    }

    fn place(&mut self, channel: Box<ChannelState>) -> Option<&mut ChannelState> {
        let index = usize::from(channel.key.id);
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        Some(self.slots.get_mut(index)?.insert(channel))
    }

    /// Whether a channel holds or has held number `id`.
    pub(crate) fn was_used(&self, id: u16) -> bool {
        id != 0 && u32::from(id) < self.next_id
    }

    /// The channel that holds number `id` now.
    pub(crate) fn by_id(&mut self, id: u16) -> Option<&mut ChannelState> {
        self.slots.get_mut(usize::from(id))?.as_deref_mut()
    }

    /// The incarnation `key`, closed or not, as long as a handle of it exists.
    pub(crate) fn get(&mut self, key: ChannelKey) -> Option<&mut ChannelState> {
        match self.slots.get_mut(usize::from(key.id)) {
            Some(Some(channel)) if channel.key == key => Some(channel),
            _ => self.retired.get_mut(&key.epoch).map(|channel| &mut **channel),
        }
    }

    /// As [`get`](Self::get); of an incarnation that is not known any more, how it ended if it was reopened.
    pub(crate) fn find(
        &mut self,
        key: ChannelKey,
    ) -> Result<&mut ChannelState, Option<Arc<CloseReason>>> {
        let Self { slots, retired, former, .. } = self;
        match slots.get_mut(usize::from(key.id)) {
            Some(Some(channel)) if channel.key == key => Ok(channel),
            _ => match retired.get_mut(&key.epoch) {
                Some(channel) => Ok(channel),
                None => Err(former.get(&key.epoch).cloned()),
            },
        }
    }

    /// Another highest number holds from now on, on another connection. Those that were too high till now may be free again.
    pub(crate) fn set_max(&mut self, max: u16) {
        self.max = max;
        let used = (1..=max).take_while(|id| u32::from(*id) < self.next_id);
        let is_free = |id: &u16| self.slots.get(usize::from(*id)).is_none_or(Option::is_none);
        self.free = used.filter(is_free).map(Reverse).collect();
        // Nothing comes late on a connection that has just begun.
        self.resting.clear();
    }

    /// Frees the number of a closed channel; its state stays while a handle of it exists.
    pub(crate) fn retire(&mut self, key: ChannelKey) {
        let Some(slot) = self.slots.get_mut(usize::from(key.id)) else { return };
        if slot.as_ref().is_none_or(|channel| channel.key != key) {
            return;
        }
        if let Some(channel) = slot.take() {
            if key.id <= self.max {
                match channel.close_reason().map(|reason| reason.initiator()) {
                    Some(Initiator::Peer) => self.resting.push_back(key.id),
                    _ => self.free.push(Reverse(key.id)),
                }
            }
            match channel.released {
                true => self.drop_former(&channel),
                false => drop(self.retired.insert(key.epoch, channel)),
            }
        }
    }

    fn drop_former(&mut self, channel: &ChannelState) {
        for epoch in &channel.former {
            self.former.remove(epoch);
            self.moved.remove(epoch);
        }
    }

    /// Gives a channel that the peer does not know another number and another incarnation; not if there is none. Its last
    /// incarnation ended for this reason.
    pub(crate) fn renew(
        &mut self,
        key: ChannelKey,
        reason: &Arc<CloseReason>,
    ) -> Option<ChannelKey> {
        let new = self.move_to_free(key)?;
        self.former.insert(key.epoch, reason.clone());
        Some(new)
    }

    /// Gives a channel another number, and so another key, though it is the same incarnation for its user. Not if there is
    /// none.
    pub(crate) fn renumber(&mut self, key: ChannelKey) -> Option<ChannelKey> {
        let new = self.move_to_free(key)?;
        for moved in self.moved.values_mut().filter(|moved| **moved == key) {
            *moved = new;
        }
        self.moved.insert(key.epoch, new);
        Some(new)
    }

    /// The key of the incarnation that had this one when it was asked for.
    pub(crate) fn current(&self, key: ChannelKey) -> ChannelKey {
        self.moved.get(&key.epoch).copied().unwrap_or(key)
    }

    fn move_to_free(&mut self, key: ChannelKey) -> Option<ChannelKey> {
        let in_slot = self.slots.get_mut(usize::from(key.id));
        let mut channel = match in_slot.and_then(|slot| slot.take_if(|it| it.key == key)) {
            Some(channel) => {
                // It was closed by the peer.
                self.resting.push_back(key.id);
                channel
            }
            None => self.retired.remove(&key.epoch)?,
        };
        let Some((id, reused)) = self.free_id() else {
            self.retired.insert(key.epoch, channel);
            return None;
        };
        if channel.former.len() >= FORMER_MAX
            && let Some(oldest) = channel.former.pop_front()
        {
            self.former.remove(&oldest);
            self.moved.remove(&oldest);
        }
        channel.former.push_back(key.epoch);
        let key = ChannelKey { id, epoch: self.next_epoch().0 };
        (channel.key, channel.reused) = (key, reused);
        self.place(channel);
        Some(key)
    }

    /// How the incarnation ended that was reopened as another one.
    pub(crate) fn former(&self, key: ChannelKey) -> Option<&Arc<CloseReason>> {
        self.former.get(&key.epoch)
    }

    /// Forgets a closed channel whose last handle is gone.
    pub(crate) fn forget(&mut self, key: ChannelKey) {
        if let Some(channel) = self.retired.remove(&key.epoch) {
            self.drop_former(&channel);
        }
    }

    /// Every channel that holds a number.
    pub(crate) fn keys(&self) -> Vec<ChannelKey> {
        self.slots.iter().flatten().map(|channel| channel.key).collect()
    }

    /// Channels of the user's that hold a number.
    pub(crate) fn users_count(&self) -> usize {
        self.slots.iter().flatten().filter(|channel| !channel.own).count()
    }

    /// Channels that hold a number, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn open_count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Streamed bodies that closed channels still have for their readers.
    #[cfg(feature = "testing")]
    pub(crate) fn retired_bodies(&self) -> usize {
        self.retired.values().filter_map(|channel| channel.bodies.as_ref()).map(|it| it.len()).sum()
    }

    /// Octets of messages that are kept for handles of channels that are over.
    #[cfg(feature = "testing")]
    pub(crate) fn retired_kept(&self) -> usize {
        self.retired
            .values()
            .filter_map(|channel| channel.confirms.as_ref())
            .map(|it| it.kept())
            .sum()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn retired_count(&self) -> usize {
        self.retired.len()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ChannelState> {
        self.slots.iter_mut().flatten().map(|channel| &mut **channel)
    }
}
