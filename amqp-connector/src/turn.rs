//! Tokio's cooperative budget, spent by the octet rather than by the call.
//!
//! A task has 128 units each time it is polled. One unit for each message would hand over to the driver after
//! some 10 KiB of small ones, with a system call for as little; so a unit is several messages. Used by
//! publishes, confirmations and consumers, which decide for themselves what a unit is. Whatever else may resolve
//! without having waited spends one: a loop of failures must leave the driver its turns, too.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::task::coop;

/// Pending if the task has used its turn up; it is woken for the next one.
#[inline]
pub(crate) fn poll_turn(cx: &mut Context<'_>) -> Poll<()> {
    if !coop::has_budget_remaining() {
        drop(ready!(coop::poll_proceed(cx)));
    }
    Poll::Ready(())
}

/// Takes a unit of the turn.
#[inline]
pub(crate) fn spend(cx: &mut Context<'_>) {
    if let Poll::Ready(unit) = coop::poll_proceed(cx) {
        unit.made_progress();
    }
}

/// Takes a unit of the turn, or waits for the next one.
pub(crate) fn poll_unit(cx: &mut Context<'_>) -> Poll<()> {
    ready!(poll_turn(cx));
    spend(cx);
    Poll::Ready(())
}

/// As [`poll_unit`], for what fails before there is anything to wait for.
pub(crate) async fn unit() {
    poll_fn(poll_unit).await;
}
