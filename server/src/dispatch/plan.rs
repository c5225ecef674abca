//! Who is offered an order now. Pure: a snapshot goes in, offers come out.

use crate::store::row::{Delivery, InstanceKey};

/// Of those for whom orders wait, the ones to offer them to now: linked, and while they may still be accepted. The others
/// stay waiting, and are looked at again when their link opens.
#[must_use]
pub(crate) fn offers(waiting: &[Delivery], linked: impl Fn(InstanceKey) -> bool, now_ms: i64) -> Vec<InstanceKey> {
    let offered = waiting.iter().filter(|delivery| now_ms < delivery.order.expires_ms && linked(delivery.instance));
    offered.map(|delivery| delivery.instance).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::row::{OrderHead, OrderKind};

    proptest! {
        #[test]
        fn only_linked_instances_that_wait_are_offered_an_order_and_none_twice(
            waiting in proptest::collection::btree_set(1_i64..200, 0..60),
            linked in proptest::collection::btree_set(1_i64..200, 0..60),
            expires_ms in 0_i64..1000,
            now_ms in 0_i64..1000,
        ) {
            let head = OrderHead { key: 1, invocation: 1, kind: OrderKind::Run, expires_ms, rolled: false };
            let list: Vec<_> = waiting.iter().map(|instance| Delivery { order: head, instance: *instance }).collect();
            let planned = offers(&list, |instance| linked.contains(&instance), now_ms);
            let set: BTreeSet<_> = planned.iter().copied().collect();
            prop_assert_eq!(set.len(), planned.len());
            let expected: BTreeSet<_> = waiting.intersection(&linked).copied().collect();
            prop_assert_eq!(set, if now_ms < expires_ms { expected } else { BTreeSet::new() });
        }
    }
}
