//! What the sink knows of each channel: what is being received, what is confirmed, what was delivered.

use std::collections::VecDeque;

/// One channel.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// Octets of the current content's body still to come.
    pub(crate) left: u64,
    /// Contents received in confirm mode: the latest one's tag.
    pub(crate) published: u64,
    /// Whether publishes are confirmed.
    pub(crate) confirms: bool,
    /// Whether some are not confirmed yet.
    pub(crate) due: bool,
    /// The current content is to be sent back, and this is what has come of it.
    pub(crate) echo: Option<Echo>,
    /// The prefetch of consumers to come; 0 is no bound.
    pub(crate) prefetch: u16,
    /// The tag of the latest delivery.
    delivered: u64,
    /// Whose each delivery is that may still be settled, where that is of interest.
    unsettled: Option<Unsettled>,
}

/// A content that is to be sent back.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// Deliveries in the order of their tags.
#[derive(Debug, Default)]
struct Unsettled {
    /// The tag of the first.
    first: u64,
    /// Whose they are; `None` is settled.
    consumers: VecDeque<Option<usize>>,
}

impl Channel {
    /// From now on the consumers of settled deliveries are told.
    pub(crate) fn track(&mut self) {
        let first = self.delivered + 1;
        self.unsettled.get_or_insert(Unsettled { first, consumers: VecDeque::new() });
    }

    /// Takes the next delivery tag, for a consumer.
    #[inline]
    pub(crate) fn delivered(&mut self, consumer: Option<usize>) -> u64 {
        self.delivered += 1;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.consumers.push_back(consumer);
        }
        self.delivered
    }

    /// Settles one delivery or all up to it, and tells whose they were. `false` if there is no such.
    #[inline]
    pub(crate) fn settle(&mut self, tag: u64, multiple: bool, mut told: impl FnMut(usize)) -> bool {
        if tag > self.delivered {
            return false;
        }
        let Some(Unsettled { first, consumers }) = &mut self.unsettled else { return true };
        if multiple {
            let tag = if tag == 0 { self.delivered } else { tag };
            while *first <= tag
                && let Some(consumer) = consumers.pop_front()
            {
                *first += 1;
                consumer.into_iter().for_each(&mut told);
            }
            return true;
        }
        let index = tag.checked_sub(*first).and_then(|index| usize::try_from(index).ok());
        let consumer = index.and_then(|index| consumers.get_mut(index)).and_then(Option::take);
        consumer.into_iter().for_each(&mut told);
        while let Some(None) = consumers.front() {
            consumers.pop_front();
            *first += 1;
        }
        consumer.is_some()
    }
}

/// All channels of a connection.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    channels: Vec<Channel>,
}

impl Channels {
    /// The channel of this number.
    #[inline]
    pub(crate) fn get(&mut self, id: u16) -> &mut Channel {
        let at = usize::from(id);
        if at >= self.channels.len() {
            self.channels.resize_with(at + 1, Channel::default);
        }
        #[allow(clippy::indexing_slicing, reason = "just made")]
        &mut self.channels[at]
    }

    /// Forgets a channel.
    pub(crate) fn close(&mut self, id: u16) {
        *self.get(id) = Channel::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(channel: &mut Channel, tag: u64, multiple: bool) -> (bool, Vec<usize>) {
        let mut told = Vec::new();
        (channel.settle(tag, multiple, |consumer| told.push(consumer)), told)
    }

    #[test]
    fn whose_deliveries_are_settled_is_told_once() {
        let mut channel = Channel::default();
        assert_eq!(channel.delivered(None), 1);
        channel.track();
        for consumer in [0, 1, 0, 1, 0] {
            channel.delivered(Some(consumer));
        }
        assert_eq!(settle(&mut channel, 4, false), (true, vec![0]));
        assert_eq!(settle(&mut channel, 4, false), (false, vec![]));
        assert_eq!(settle(&mut channel, 3, true), (true, vec![0, 1]));
        assert_eq!(settle(&mut channel, 0, true), (true, vec![1, 0]));
        assert_eq!(settle(&mut channel, 7, false), (false, vec![]));
        assert_eq!(channel.delivered(Some(3)), 7);
        assert_eq!(settle(&mut channel, 7, false), (true, vec![3]));
    }
}
