//! How a subscriber gets the records that it asks for, and which of them.

use std::sync::{Arc, LazyLock};

use super::EventFormat;
use crate::authorize::Reach;

/// The wire form of a subscription, and how far it reaches.
///
/// A subscription has one word for both. Most share one of these few, which the process makes once: an idle subscriber of its
/// own topic costs no more for its grant.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    /// How its events look on the wire.
    pub(crate) form: EventFormat,
    /// Which private updates it gets, and whether the other topics of an update are named.
    pub(crate) reach: Reach,
}

static SHARED: LazyLock<Vec<Arc<Terms>>> = LazyLock::new(|| {
    let each = |form| Reach::SIMPLE.map(|reach| Arc::new(Terms { form, reach }));
    EventFormat::ALL.into_iter().flat_map(each).collect()
});

impl Terms {
    pub(crate) fn of(form: EventFormat, reach: Reach) -> Arc<Terms> {
        let reach = if form.names_topics() { reach } else { reach.without_names() };
        let terms = Terms { form, reach };
        match SHARED.iter().find(|shared| ***shared == terms) {
            Some(shared) => shared.clone(),
            None => Arc::new(terms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grant, Matchers, Selector, Topic, delivery::subscription::Subscription};

    #[test]
    fn a_subscription_whose_grant_covers_all_or_no_private_updates_needs_no_memory_for_it() {
        let mine: Selector = Topic::parse("users/alice/inbox").unwrap().into();
        let all = Grant::default().with_read(Matchers::all());
        let own =
            |name: &str| Grant::default().with_private(Matchers::parse([format!("users/{name}/*")]).unwrap());
        for form in EventFormat::ALL {
            let of = |grant: &Grant| Terms::of(form, grant.reading(mine.clone()).unwrap().reach);
            assert!(Arc::ptr_eq(&of(&all), &of(&all)));
            assert!(Arc::ptr_eq(&of(&own("alice")), &of(&own("alice"))));
            assert!(!Arc::ptr_eq(&of(&all), &of(&own("alice"))), "one of them gets private updates");
        }
        assert!(size_of::<Subscription>() <= size_of::<Selector>() + size_of::<usize>());
    }
}
