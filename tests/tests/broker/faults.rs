//! That nothing is lost, under load, whatever goes wrong: links that are cut, reset and silenced, connections that the
//! broker closes, nodes that are killed. What "lost" means is in `amqp_tests::faults`; longer is `cargo xtask soak`.
//!
//! Where nodes are killed they are the test's own. Specifications without confirms publish in transactions, and a message
//! counts as taken once it is committed.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_tests::faults::{Break, Fault, Gust, Load, Node, Nodes, Plan, Storm, Totals};
use amqp_tests::{broker_test, broker_test_with};

fn plan(prefix: String) -> Plan {
    Plan {
        prefix,
        publishers: 2,
        republishers: 0,
        consumers: 2,
        rate: 400,
        quorum: false,
        rejecting: true,
    }
}

const CLIENTS: usize = 4;

fn after(pause: u64, faults: impl Into<Vec<Fault>>) -> Gust {
    Gust { pause: Duration::from_millis(pause), faults: faults.into() }
}

/// A load through these gusts; with what it has come to, printed.
async fn weather(nodes: &[Node], plan: &Plan, gusts: impl IntoIterator<Item = Gust>) -> Totals {
    let load = Load::start(nodes, plan).await.unwrap();
    load.round(async {
        for gust in gusts {
            load.inflict(&gust).await?;
        }
        // What comes back has to go on, too.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    })
    .await;
    let totals = load.end().await.unwrap_or_else(|faults| panic!("{faults}"));
    println!("{totals:?}");
    assert!(totals.acked > 0 && totals.consumed >= totals.acked, "{totals:?}");
    totals
}

#[test]
fn nothing_is_lost_through_closes_cuts_resets_and_silences() {
    broker_test(async |t| {
        let node = Node::shared(t.broker(), t.port());
        let breaks = |how| move |client| Fault::Break(client, how);
        let mut gusts = vec![after(300, [Fault::Close])];
        for how in [Break::Cut, Break::Reset, Break::Silence] {
            // Each client alone, then all at once.
            gusts.extend((0..CLIENTS).map(|client| after(300, [breaks(how)(client)])));
            gusts.push(after(300, (0..CLIENTS).map(breaks(how)).collect::<Vec<_>>()));
        }
        // Two heartbeats, until silence is noticed.
        gusts.push(after(3000, [Fault::Close]));
        let totals = weather(&[node], &plan(t.name("")), gusts).await;
        assert!(totals.losses >= 5 * 2, "{totals:?}");
    });
}

#[test]
fn nothing_is_lost_while_the_broker_is_killed_again_and_again() {
    broker_test_with(1, async |t, nodes: &Nodes| {
        let kill = |down| Fault::Kill(Duration::from_millis(down));
        // Alone, in the middle of a recovery from a cut, and with everything else at once.
        let gusts = [
            after(500, [kill(0)]),
            after(500, [Fault::Break(0, Break::Reset), kill(700)]),
            after(500, [kill(100), Fault::Close, Fault::Break(3, Break::Silence)]),
        ];
        let plan = Plan { republishers: 1, ..plan(t.name("")) };
        let totals = weather(nodes.all(), &plan, gusts).await;
        assert_eq!(totals.kills, 3);
    });
}

#[test]
fn nothing_is_lost_in_a_storm_of_any_seed() {
    broker_test(async |t| {
        let node = Node::shared(t.broker(), t.port());
        let seed = std::process::id().into();
        println!("seed {seed}");
        let pauses = (Duration::ZERO, Duration::from_millis(400));
        let storm = Storm::new(seed, CLIENTS, false, pauses);
        weather(&[node], &plan(t.name("")), storm.take(30)).await;
    });
}

if_spec! { confirm.select => {
    #[test]
    fn nothing_is_unknown_where_messages_are_published_again_through_any_storm() {
        broker_test(async |t| {
            let node = Node::shared(t.broker(), t.port());
            let seed = u64::from(std::process::id()) + 1;
            println!("seed {seed}");
            let pauses = (Duration::ZERO, Duration::from_millis(400));
            let storm = Storm::new(seed, CLIENTS, false, pauses);
            let plan = Plan { republishers: 2, ..plan(t.name("")) };
            let totals = weather(&[node], &plan, storm.take(30)).await;
            assert!(totals.unknown == 0 && totals.republished > 0, "{totals:?}");
        });
    }

    #[test]
    fn nothing_is_lost_while_the_leader_of_a_quorum_queue_is_killed() {
        broker_test_with(3, async |t, nodes: &Nodes| {
            let plan = Plan { quorum: true, rejecting: false, ..plan(t.name("")) };
            let gusts = (0..3).map(|n| after(1000, [Fault::Kill(Duration::from_millis(n * 500))]));
            let totals = weather(nodes.all(), &plan, gusts).await;
            // Whoever led next was killed, too.
            assert!(totals.kills == 3 && totals.killed >= 2, "{totals:?}");
        });
    }
} else {} }
