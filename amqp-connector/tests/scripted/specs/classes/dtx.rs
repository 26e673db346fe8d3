//! Class `dtx`: distributed transactions.

use amqp_connector::protocol::dtx;

use crate::specs::wire::{Wire, short};

pub(super) async fn exchange(wire: &mut Wire) {
    wire.call(dtx::Select::default(), dtx::SelectOk::default()).await;
    let start = dtx::Start { dtx_identifier: short("xid-1") };
    wire.call(start, dtx::StartOk::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_distributed_transaction_is_selected_and_started() {
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
