//! What changes exchanges, queues and bindings: one call each, and its answer.

use amqp_connector::{
    Channel, ExchangeBind, ExchangeDeclare, ExchangeDelete, ExchangeUnbind, QueueBind,
    QueueDeclare, QueueDelete, QueueUnbind, Result,
};
use serde_json::json;

use crate::args::{BindArgs, Declare, DeclareExchange, DeclareQueue, Delete, Entry};
use crate::broker::Work;
use crate::fail::{Ended, Ending, Failure};
use crate::show::text;

/// What a command does on a channel: its connection is closed in any case.
async fn on_channel<T>(
    work: &Work,
    doing: &str,
    act: impl AsyncFnOnce(&Channel) -> Result<T>,
) -> Result<T, Failure> {
    let (connection, channel) = work.open().await?;
    let done = work.interrupts.or(act(&channel)).await;
    drop(channel);
    connection.close().await;
    match done {
        Some(done) => done.map_err(|error| Failure::of(doing, &error)),
        None => Err(Failure::interrupted()),
    }
}

pub(crate) async fn declare(work: &Work, what: Declare) -> Ended {
    match what {
        Declare::Queue(args) => declare_queue(work, args).await,
        Declare::Exchange(args) => declare_exchange(work, args).await,
    }
}

async fn declare_queue(work: &Work, args: DeclareQueue) -> Ended {
    let doing = format!("declaring queue {:?}", args.name);
    let declare = QueueDeclare::new(args.name.as_str())
        .durable(args.durable)
        .auto_delete(args.auto_delete)
        .passive(args.passive)
        .arguments(Entry::table(args.arguments));
    let queue = on_channel(work, &doing, async |channel| channel.queue_declare(declare).await);
    let queue = queue.await?;
    let name = text(&queue.queue);
    let told = json!({
        "queue": name, "message-count": queue.message_count, "consumer-count": queue.consumer_count,
    });
    work.output.tell(&name, &told)?;
    Ok(Ending::Done)
}

async fn declare_exchange(work: &Work, args: DeclareExchange) -> Ended {
    let doing = format!("declaring exchange {:?}", args.name);
    let declare = ExchangeDeclare::new(args.name.as_str(), args.exchange_type.as_str())
        .durable(args.durable)
        .auto_delete(args.auto_delete)
        .internal(args.internal)
        .passive(args.passive)
        .arguments(Entry::table(args.arguments));
    on_channel(work, &doing, async |channel| channel.exchange_declare(declare).await).await?;
    work.output.tell("", &json!({ "exchange": args.name }))?;
    Ok(Ending::Done)
}

pub(crate) async fn bind(work: &Work, args: BindArgs) -> Ended {
    let doing = format!("binding {:?} to {:?}", args.destination, args.source);
    let (to, from, key) = (&*args.destination, &*args.source, &*args.routing_key);
    let arguments = Entry::table(args.arguments);
    on_channel(work, &doing, async |channel| match args.exchange {
        true => channel.exchange_bind(ExchangeBind::new(to, from, key).arguments(arguments)).await,
        false => {
            channel.queue_bind(QueueBind::new(to, from, key).arguments(arguments)).await.map(drop)
        }
    })
    .await?;
    work.output.tell("", &json!({ "destination": to, "source": from, "routing-key": key }))?;
    Ok(Ending::Done)
}

pub(crate) async fn unbind(work: &Work, args: BindArgs) -> Ended {
    let doing = format!("unbinding {:?} from {:?}", args.destination, args.source);
    let (to, from, key) = (&*args.destination, &*args.source, &*args.routing_key);
    let arguments = Entry::table(args.arguments);
    on_channel(work, &doing, async |channel| match args.exchange {
        true => {
            channel.exchange_unbind(ExchangeUnbind::new(to, from, key).arguments(arguments)).await
        }
        false => channel.queue_unbind(QueueUnbind::new(to, from, key).arguments(arguments)).await,
    })
    .await?;
    work.output.tell("", &json!({ "destination": to, "source": from, "routing-key": key }))?;
    Ok(Ending::Done)
}

pub(crate) async fn delete(work: &Work, what: Delete) -> Ended {
    match what {
        Delete::Queue { name, if_unused, if_empty } => {
            let doing = format!("deleting queue {name:?}");
            let delete = QueueDelete::new(&*name).if_unused(if_unused).if_empty(if_empty);
            let deleted =
                on_channel(work, &doing, async |channel| channel.queue_delete(delete).await);
            let count = deleted.await?.message_count;
            work.output.tell("", &json!({ "queue": name, "message-count": count }))?;
        }
        Delete::Exchange { name, if_unused } => {
            let doing = format!("deleting exchange {name:?}");
            let delete = ExchangeDelete::new(&*name).if_unused(if_unused);
            on_channel(work, &doing, async |channel| channel.exchange_delete(delete).await).await?;
            work.output.tell("", &json!({ "exchange": name }))?;
        }
    }
    Ok(Ending::Done)
}

pub(crate) async fn purge(work: &Work, queue: &str) -> Ended {
    let doing = format!("purging queue {queue:?}");
    let purged = on_channel(work, &doing, async |channel| channel.queue_purge(queue).await).await?;
    let count = purged.message_count;
    work.output.tell(&count.to_string(), &json!({ "queue": queue, "message-count": count }))?;
    Ok(Ending::Done)
}
