//! Which kept messages a return may mean: those of one content together, found by their fingerprints.
//!
//! Made when a return comes, of the messages that may come back and are unanswered then; each is looked at once, however
//! many returns there are. What is answered leaves it, and the last one clears it: where nothing comes back, nothing here is
//! touched. Called by [`Keep`](super::Keep) alone.

use std::collections::{HashMap, VecDeque};

use super::changes::are_as_sent;
use super::class::Class;
use super::group::{Doubts, Group, Meant, Work};
use super::prints::{Printer, Prints};
use super::{Entry, position};
use crate::outcome::Returned;

/// What the answer to a publish means for it.
pub(in crate::session::publish) enum Verdict {
    /// What the answer says.
    Plain,
    /// It came back.
    Returned(Box<Returned>),
    /// A return came that may be of it, or of another.
    Doubt,
}

#[derive(Default)]
pub(super) struct Index {
    printer: Printer,
    /// Messages up to this tag were looked at.
    to: u64,
    /// How many unanswered ones it holds.
    open: usize,
    /// The numbers of classes count from 1.
    classes: Vec<Option<Class>>,
    free: Vec<u32>,
    by_content: HashMap<u64, u32>,
    groups: HashMap<u64, Group>,
    doubts: Doubts,
    /// What has come back shows that this broker changes only what all change.
    unchanging: bool,
    strays: Vec<Returned>,
    pub(super) work: Work,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.open == 0
    }

    #[cfg(test)]
    pub(super) fn given_away(&self) -> usize {
        self.classes.iter().flatten().map(Class::given_away).sum()
    }

    /// Takes in what was published since the last look.
    pub(super) fn update(&mut self, entries: &mut VecDeque<Entry>) {
        let from = entries.partition_point(|entry| entry.tag <= self.to);
        for at in from..entries.len() {
            let Some(entry) = entries.get(at) else { break };
            let (tag, may_come) = (entry.tag, entry.mandatory && !entry.failed);
            self.to = tag;
            let Some(message) = entry.message.as_ref().filter(|_| may_come) else { continue };
            self.work.count();
            let prints = self.printer.of_message(message, self.unchanging);
            let class = self.join(prints, tag, entries);
            if let Some(entry) = entries.get_mut(at) {
                entry.class = class;
            }
        }
    }

    /// Adds a message to its class and groups; gives the class.
    fn join(&mut self, prints: Prints, tag: u64, entries: &VecDeque<Entry>) -> u32 {
        let class = match self.by_content.get(&prints.whole) {
            Some(class) => *class,
            None => {
                let free = self.free.pop();
                let class = free.unwrap_or_else(|| {
                    self.classes.push(None);
                    u32::try_from(self.classes.len()).unwrap_or(0)
                });
                self.by_content.insert(prints.whole, class);
                class
            }
        };
        for group in prints.groups() {
            self.groups.entry(group).or_default().add(tag, class, entries);
        }
        self.open += 1;
        if let Some(place) = self.classes.get_mut(slot(class)) {
            place.get_or_insert_with(|| Class::new(prints)).add(tag);
        }
        class
    }

    /// Gives a return to the messages that it is of, if that is certain: to the first behind `past` and those that are equal to it.
    /// Gives that one's tag, or the return where it may mean several different ones or none: whose outcome is then in doubt.
    pub(super) fn give(
        &mut self,
        returned: Box<Returned>,
        entries: &VecDeque<Entry>,
        past: u64,
    ) -> Result<u64, Box<Returned>> {
        if !self.unchanging && are_as_sent(&returned.properties) {
            self.learn_that_it_is_unchanging(entries);
        }
        let suspects = self.printer.of_returned(&returned, self.unchanging);
        let known = |tag: u64, like: fn(&Entry, &Returned) -> bool| {
            let entry = position(entries, tag).and_then(|at| entries.get(at));
            entry.is_some_and(|entry| like(entry, &returned))
        };
        for alike in [suspects.unchanged, suspects.families] {
            let mut meant = Meant::None;
            for group in alike.into_iter().flatten() {
                meant = meant.or(self.meant(group, entries, past));
            }
            match meant {
                Meant::Equal(tag, class) if known(tag, Entry::comes_back_as) => {
                    return self.give_to(returned, tag, class, past);
                }
                Meant::Different => {
                    for group in alike.into_iter().flatten() {
                        self.doubt(group, entries, past);
                    }
                    return Err(returned);
                }
                _ => {}
            }
        }
        // A change that is not known. Where all that have this address and body are equal it is certain all the same.
        match self.meant(suspects.body, entries, past) {
            Meant::Equal(tag, class) if known(tag, Entry::has_body_of) => {
                return self.give_to(returned, tag, class, past);
            }
            Meant::Different => {
                self.doubt(suspects.body, entries, past);
                return Err(returned);
            }
            _ => {}
        }
        self.doubt_address(suspects.address, entries, past);
        Err(returned)
    }

    /// What could not be told apart so far can be from now on.
    #[cold]
    fn learn_that_it_is_unchanging(&mut self, entries: &VecDeque<Entry>) {
        self.unchanging = true;
        for entry in entries {
            let class = self.classes.get_mut(slot(entry.class)).and_then(Option::as_mut);
            let (Some(class), Some(message)) = (class, &entry.message) else { continue };
            self.work.count();
            let print = self.printer.unchanged(class.prints.body, message);
            class.prints.unchanged = Some(print);
            self.groups.entry(print).or_default().add(entry.tag, entry.class, entries);
        }
    }

    /// A message came back of which only the address is known: the outcome of those it could be is in doubt.
    pub(super) fn give_unreadable(
        &mut self,
        (exchange, routing_key): (&[u8], &[u8]),
        entries: &VecDeque<Entry>,
        past: u64,
    ) {
        let address = self.printer.address(exchange, routing_key);
        self.doubt_address(address, entries, past);
    }

    fn doubt_address(&mut self, address: u64, entries: &VecDeque<Entry>, past: u64) {
        match self.meant(address, entries, past) {
            Meant::None => self.doubts.add(past, self.to, front(entries)),
            _ => self.doubt(address, entries, past),
        }
    }

    fn meant(&mut self, group: u64, entries: &VecDeque<Entry>, past: u64) -> Meant {
        let Self { groups, work, .. } = self;
        groups.get_mut(&group).map_or(Meant::None, |group| group.meant(entries, past, work))
    }

    fn doubt(&mut self, group: u64, entries: &VecDeque<Entry>, past: u64) {
        let to = self.to;
        if let Some(group) = self.groups.get_mut(&group) {
            group.doubts.add(past, to, front(entries));
        }
    }

    fn give_to(
        &mut self,
        returned: Box<Returned>,
        tag: u64,
        class: u32,
        past: u64,
    ) -> Result<u64, Box<Returned>> {
        match self.classes.get_mut(slot(class)) {
            Some(Some(class)) => {
                class.give(past, self.to, returned, &mut self.work);
                Ok(tag)
            }
            _ => Err(returned),
        }
    }

    /// The broker acks `tag`. A return goes to the first that is acked of those that it may be of: brokers ack all that they return.
    pub(super) fn verdict(&mut self, tag: u64, class: u32) -> Verdict {
        let Some(Some(class)) = self.classes.get_mut(slot(class)) else { return Verdict::Plain };
        let mut groups = class.prints.groups().filter_map(|group| self.groups.get(&group));
        let doubt = self.doubts.contain(tag) || groups.any(|group| group.doubts.contain(tag));
        class.verdict(tag, doubt, &mut self.work)
    }

    /// One of this class is answered.
    pub(super) fn leave(&mut self, tag: u64, class: u32) {
        let at = slot(class);
        let Some(place) = self.classes.get_mut(at) else { return };
        let Some(members) = place else { return };
        let (groups, whole) = (members.prints.groups(), members.prints.whole);
        if members.leave(tag, &mut self.strays, &mut self.work) {
            *place = None;
            self.free.push(class);
            self.by_content.remove(&whole);
        }
        for print in groups {
            if let Some(group) = self.groups.get_mut(&print) {
                group.open -= 1;
                if group.open == 0 {
                    self.groups.remove(&print);
                }
            }
        }
        self.open -= 1;
        if self.open == 0 {
            self.doubts = Doubts::default();
            self.classes.clear();
            self.free.clear();
            if self.groups.capacity() > 1024 {
                (self.groups, self.by_content) = Default::default();
                (self.classes, self.free) = Default::default();
            }
        }
    }

    /// The channel ended: what came back is no outcome any more.
    pub(super) fn give_up(&mut self) {
        let classes = self.classes.iter_mut().flatten();
        let mut back: Vec<_> = classes.flat_map(Class::take_back).collect();
        back.sort_unstable_by_key(|(past, _)| *past);
        self.strays.extend(back.into_iter().map(|(_, returned)| returned));
    }

    pub(super) fn take_strays(&mut self) -> Vec<Returned> {
        std::mem::take(&mut self.strays)
    }
}

fn slot(class: u32) -> usize {
    usize::try_from(class).unwrap_or(usize::MAX).wrapping_sub(1)
}

/// The first tag that is of interest.
fn front(entries: &VecDeque<Entry>) -> u64 {
    entries.front().map_or(0, |entry| entry.tag)
}
