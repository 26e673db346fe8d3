use super::*;
use crate::ErrorKind;

fn kind(table: Result<FieldTable>) -> ErrorKind {
    table.unwrap_err().kind()
}

#[test]
fn times_are_whole_milliseconds_that_the_broker_s_timers_take() {
    let ttl = |time| QueueArguments::new().message_ttl(time).into_table();
    let most = Duration::from_millis(u32::MAX.into());
    assert_eq!(ttl(most).unwrap().get_i64("x-message-ttl"), Some(u32::MAX.into()));
    assert_eq!(ttl(Duration::ZERO).unwrap().get_i64("x-message-ttl"), Some(0));
    assert_eq!(kind(ttl(most + Duration::from_millis(1))), ErrorKind::Invalid);
    assert_eq!(kind(ttl(Duration::from_micros(1500))), ErrorKind::Invalid);
    assert_eq!(kind(ttl(Duration::MAX)), ErrorKind::Invalid);
    assert_eq!(
        kind(QueueArguments::new().expires(Duration::ZERO).into_table()),
        ErrorKind::Invalid
    );
    assert_eq!(expiration(Duration::from_secs(5)).unwrap(), "5000");
    assert_eq!(expiration(Duration::from_nanos(1)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn values_that_no_broker_takes_are_invalid_and_the_first_one_is_told() {
    let table = QueueArguments::new().max_length(u64::MAX).max_priority(0).into_table();
    assert!(table.unwrap_err().to_string().contains("63 bits"));
    assert_eq!(kind(QueueArguments::new().max_priority(0).into_table()), ErrorKind::Invalid);
    let long = "x".repeat(256);
    let table = QueueArguments::new().dead_letter_exchange(&long).into_table();
    assert_eq!(kind(table), ErrorKind::Invalid);
    let half = Duration::from_millis(500);
    assert_eq!(kind(QueueArguments::new().stream_max_age(half).into_table()), ErrorKind::Invalid);
    let table = ConsumeArguments::new().stream_offset(u64::MAX).into_table();
    assert_eq!(kind(table), ErrorKind::Invalid);
}

#[test]
fn an_argument_that_is_set_again_is_there_once() {
    let table = QueueArguments::new().max_length(1).max_length(2).into_table().unwrap();
    assert_eq!((table.len(), table.get_i64("x-max-length")), (1, Some(2)));
}

#[test]
fn offsets_have_the_type_that_their_kind_wants() {
    let value = |offset: StreamOffset| {
        let table = ConsumeArguments::new().stream_offset(offset).into_table().unwrap();
        table.get("x-stream-offset").cloned().unwrap()
    };
    assert_eq!(value(StreamOffset::First), FieldValue::from("first"));
    assert_eq!(value(7_u64.into()), FieldValue::I64(7));
    let time = amqp_types::Timestamp(1_600_000_000);
    assert_eq!(value(time.into()), FieldValue::Timestamp(time));
    assert_eq!(value(StreamOffset::Interval("1h".into())), FieldValue::from("1h"));
}

#[test]
fn typed_entries_replace_those_of_a_plain_table() {
    let mut entries = Entries::default();
    entries.put(short_str!("x-max-length"), Ok(FieldValue::I64(1)));
    let further = FieldTable::new()
        .with(short_str!("x-max-length"), 9_i64)
        .with(short_str!("x-other"), "kept");
    entries.set_further(further);
    let table = entries.into_table().unwrap();
    assert_eq!(table.get_i64("x-max-length"), Some(1));
    assert_eq!((table.len(), table.get_str("x-other")), (2, Some("kept")));
}
