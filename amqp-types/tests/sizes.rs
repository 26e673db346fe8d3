//! How big the values are that a receiver moves about: a field that grows shows here.

#![cfg(test)]

use amqp_types::content::Incoming;
use amqp_types::{Body, FieldArray, FieldTable, FieldValue, LongStr, ShortStr};

mod rabbit {
    amqp_types::protocol! { "specs/amqp0-9-1-rabbitmq.xml" }
}

const fn with_option<T>() -> (usize, usize) {
    (size_of::<T>(), size_of::<Option<T>>())
}

/// On 64 bits; elsewhere they are no bigger.
#[cfg(target_pointer_width = "64")]
#[test]
fn values_are_of_these_sizes_and_optional_for_free() {
    assert_eq!(with_option::<ShortStr>(), (24, 24));
    assert_eq!(with_option::<FieldTable>(), (24, 24));
    assert_eq!(with_option::<FieldArray>(), (24, 24));
    assert_eq!(with_option::<LongStr>(), (24, 24));
    assert_eq!(with_option::<FieldValue>(), (32, 32));
    assert_eq!(size_of::<rabbit::basic::Properties>(), 288);
    assert_eq!(size_of::<rabbit::basic::Deliver>(), 88);
    assert_eq!(with_option::<rabbit::Method>(), (112, 112));
    assert_eq!(size_of::<Body>(), 32);
    assert_eq!(with_option::<Incoming<rabbit::Spec>>(), (432, 432));
}
