//! Every interleaving of a few users, a broker and a cut, as far as a bounded search goes.
//!
//! Each scenario has users that do one thing after the other on channels of one connection, and a broker that answers
//! and does some things of its own accord. The search takes every order in which their actions can happen, and from each state that it
//! comes to it takes each end: the transport is cut, or the broker falls silent and time passes, or all that is under way arrives and
//! the connection is closed. Checked in every state: the frames sent follow the protocol's dialogues; whoever waits for
//! something that is over has been woken; replies, outcomes and deliveries are those of the very call, publish and
//! consumer; no delivery is settled twice or on another channel; and at every end nobody waits and nothing is left.
//!
//! `AMQP_EXPLORE_DEPTH=<n>` has each search go n actions deeper.

mod broker;
mod ends;
mod reader;
mod rules;
mod search;
mod user;
mod wait;
mod world;

use broker::Event;
use search::explore;
use user::Step::{
    Abort, Ack, AckAll, Cancel, Close, CloseConnection, Confirm, Consume, Declare, DropConsumer,
    Flush, Get, Mandatory, Open, Publish, Recv, Reject, Release, Select,
};
use world::Scenario;

/// Searches, and tells how far that went.
fn search(scenario: &'static Scenario, depth: usize, at_least: usize) {
    let deeper = std::env::var("AMQP_EXPLORE_DEPTH").ok().and_then(|text| text.parse().ok());
    let seen = explore(scenario, depth + deeper.unwrap_or(0));
    println!("{}: {seen:?}, each with three ends", scenario.name);
    assert!(seen.states >= at_least, "the search has shrunk: {seen:?}");
}

#[test]
fn calls_of_two_channels_get_their_own_replies_in_every_order() {
    static SCENARIO: Scenario = Scenario {
        name: "calls",
        users: &[(&[Open, Declare, Get, Declare], 1), (&[Open, Get, Declare], 0)],
        events: &[Event::CloseChannel(1)],
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 7, 1000);
}

#[test]
fn what_is_let_go_of_is_undone_in_every_order() {
    static SCENARIO: Scenario = Scenario {
        name: "letting go",
        users: &[(&[Open, Open, Consume, Get, Recv, Close], 3), (&[Open, Consume, Release], 1)],
        events: &[Event::Deliver(1), Event::CloseChannel(1)],
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 6, 1000);
}

#[test]
fn every_publish_has_its_outcome_whatever_comes_between() {
    static SCENARIO: Scenario = Scenario {
        name: "publishes",
        users: &[(&[Open, Select, Mandatory, Publish, Confirm, Publish, Confirm, Close], 1)],
        events: &[
            Event::Return(1),
            Event::AckAll(1),
            Event::Nack(1),
            Event::FlowOff(1),
            Event::FlowOn(1),
            Event::CloseChannel(1),
        ],
        prelude: 2,
        unconfirmed_max: 2,
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 8, if has_confirms() { 2000 } else { 200 });
}

#[test]
fn no_delivery_is_lost_or_settled_twice_whatever_comes_between() {
    static SCENARIO: Scenario = Scenario {
        name: "deliveries",
        users: &[
            (&[Open, Consume, Get, AckAll, Recv, Reject, Cancel, Recv], 1),
            (&[Open, Consume, Recv, Ack, Release], 0),
        ],
        events: &[Event::Deliver(1), Event::Deliver(1), Event::Deliver(2), Event::Cancel(1)],
        prelude: 2,
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 5, 1000);
}

#[test]
fn contents_may_come_in_pieces_with_anything_between_them() {
    static SCENARIO: Scenario = Scenario {
        name: "pieces",
        users: &[(&[Open, Consume, Get, DropConsumer, Ack, Close], 1), (&[Open, Get, Ack], 1)],
        events: &[Event::Deliver(1), Event::Cancel(1), Event::CloseChannel(2)],
        prelude: 2,
        pieces: true,
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 5, 1000);
}

#[test]
fn closes_of_both_sides_meet_in_every_order() {
    static SCENARIO: Scenario = Scenario {
        name: "closes",
        users: &[(&[Open, Get, Close, Open, Declare], 0), (&[Open, Declare, CloseConnection], 1)],
        events: &[Event::CloseChannel(1), Event::CloseChannel(2), Event::CloseConnection],
        prelude: 1,
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 6, 2000);
}

#[test]
fn a_number_is_used_again_only_when_its_channel_is_over_for_both_sides() {
    static SCENARIO: Scenario = Scenario {
        name: "reuse",
        users: &[
            (&[Open, Consume, Recv, Open, Get, Ack, Ack], 1),
            (&[Open, Release, Open, Get, Ack], 0),
        ],
        events: &[Event::Deliver(1), Event::CloseChannel(1), Event::Late(1)],
        prelude: 2,
        pieces: true,
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 6, 1000);
}

#[test]
fn whatever_is_not_written_yet_is_resolved_too() {
    static SCENARIO: Scenario = Scenario {
        name: "slow link",
        users: &[
            (&[Open, Select, Publish, Flush, Confirm, CloseConnection], 1),
            (&[Open, Consume, Recv, Ack, Flush, Abort], 0),
        ],
        events: &[Event::Deliver(2), Event::Ack(1)],
        prelude: 2,
        slow: true,
        ..Scenario::PLAIN
    };
    search(&SCENARIO, 7, if has_confirms() { 1500 } else { 800 });
}

amqp_types::if_spec! { connection.blocked => {
    #[test]
    fn a_block_holds_publishes_and_nothing_for_ever() {
        static SCENARIO: Scenario = Scenario {
            name: "blocked",
            users: &[
                (&[Open, Select, Publish, Confirm, Publish, Close], 1),
                (&[Open, Declare, CloseConnection], 0),
            ],
            events: &[Event::Block, Event::Unblock, Event::AckLast(1), Event::Ack(1)],
            prelude: 2,
            ..Scenario::PLAIN
        };
        search(&SCENARIO, 7, 1000);
    }
} else {} }

const fn has_confirms() -> bool {
    amqp_types::if_spec! { confirm.select => { true } else { false } }
}
