//! Class `test`: each side asks the other one to compute something.

use amqp_connector::Bytes;
use amqp_connector::protocol::test;

use crate::specs::wire::{Wire, short, table};

fn integer() -> test::Integer {
    test::Integer {
        integer_1: 0xff,
        integer_2: 0xfffe,
        integer_3: 0xffff_fffd,
        integer_4: u64::MAX,
        operation: 1,
    }
}

fn string() -> test::String {
    test::String {
        string_1: short("short"),
        string_2: Bytes::from_static(b"long\0"),
        operation: 2,
    }
}

fn a_table() -> test::Table {
    test::Table { table: table(), integer_op: 3, string_op: 4 }
}

pub(super) async fn exchange(wire: &mut Wire) {
    let result = u64::MAX - 1;
    assert_eq!(wire.call(integer(), test::IntegerOk { result }).await.result, result);
    let result = Bytes::from_static(b"shortlong");
    let ok = wire.call(string(), test::StringOk { result: result.clone() }).await;
    assert_eq!(ok.result, result);
    let ok = test::TableOk { integer_result: 7, string_result: result.clone() };
    assert_eq!(wire.call(a_table(), ok.clone()).await, ok);

    let mut incoming = wire.channel.incoming().expect("mine");
    wire.unasked(&mut incoming, integer()).await;
    wire.sent(test::IntegerOk { result: 1 }).await;
    wire.unasked(&mut incoming, string()).await;
    wire.sent(test::StringOk { result: result.clone() }).await;
    wire.unasked(&mut incoming, a_table()).await;
    wire.sent(test::TableOk { integer_result: 7, string_result: result }).await;

    // A content cannot be called, so its answer is one of the incoming methods.
    let properties = test::Properties::default;
    wire.content_sent(test::Content::default(), properties(), "sum me").await;
    let ok = test::ContentOk { content_checksum: 0xdead_beef };
    wire.content_unasked(&mut incoming, ok.clone(), properties(), "sum me").await;
    wire.content_unasked(&mut incoming, test::Content::default(), properties(), "me too").await;
    wire.content_sent(ok, properties(), "me too").await;
}

#[tokio::test(start_paused = true)]
async fn each_side_answers_what_the_other_one_asks() {
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
