//! Where nothing is measured: all of it is empty.

use super::{Answer, Standing};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp;

impl Stamp {
    #[inline(always)]
    pub(crate) fn now() -> Self {
        Self
    }
}

#[derive(Debug, Default)]
pub(crate) struct Batch {}

impl Batch {
    #[inline(always)]
    pub(crate) fn sent(&mut self, _octets: usize) {}

    #[inline(always)]
    pub(crate) fn received(&mut self, _octets: usize) {}
}

#[derive(Debug, Default)]
pub(crate) struct Counts;

impl Counts {
    #[inline(always)]
    pub(crate) fn opened(&mut self) {}

    #[inline(always)]
    pub(crate) fn reopened(&mut self) {}

    #[inline(always)]
    pub(crate) fn ended(&mut self, _wanted: bool) {}

    #[inline(always)]
    pub(crate) fn is_live(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn touch(&mut self) {}

    #[inline(always)]
    pub(crate) fn is_stale(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn has_changed(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn recount(&mut self, _standing: Standing) {}

    #[inline(always)]
    pub(crate) fn take(&mut self, _batch: &mut Batch) {}

    #[inline(always)]
    pub(crate) fn publish_at(&mut self, _now: Stamp) {}

    #[inline(always)]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp
    }

    #[inline(always)]
    pub(crate) fn published(&mut self, _octets: usize, _confirms: bool) {}

    #[inline(always)]
    pub(crate) fn republished(&mut self) {}

    #[inline(always)]
    pub(crate) fn answered(&mut self, _published: Stamp, _answer: Answer) {}

    #[inline(always)]
    pub(crate) fn unanswered(&mut self, _publishes: usize) {}

    #[inline(always)]
    pub(crate) fn returned(&mut self) {}

    #[inline(always)]
    pub(crate) fn delivered(&mut self, _octets: usize, _redelivered: bool) {}

    #[inline(always)]
    pub(crate) fn piece_delivered(&mut self, _octets: usize) {}
}

#[derive(Debug)]
pub(crate) struct Instruments;

impl Instruments {
    #[inline(always)]
    pub(crate) fn new(_connection_name: Option<&str>) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn tell(&self, _batch: &mut Batch) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_where_nothing_is_measured() {
        assert_eq!(size_of::<Stamp>() + size_of::<Batch>(), 0);
        assert_eq!(size_of::<Counts>() + size_of::<Instruments>(), 0);
    }
}
