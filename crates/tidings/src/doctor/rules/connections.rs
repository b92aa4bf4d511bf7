//! Faults that show with many connections.

use super::super::{case::Case, finding::Finding};

/// A browser opens six connections to a site, and there may be a second browser.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let few = case.connections.as_ref().filter(|fan| fan.cap().is_some());
    let evidence = "the same stream many times at once, each over its own connection";
    few.map(|fan| Finding::of("few-connections", fan.shown(), evidence)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::{case::made::case, fan::made::seven};

    #[test]
    fn a_stream_that_waits_for_another_to_end_is_found() {
        let found = |connections| {
            let case = Case { connections, ..case("http://localhost/", vec![]) };
            names(&findings(&case))
        };
        assert!(found(None).is_empty());
        assert!(found(Some(seven(7, 0, 0))).is_empty());
        assert!(found(Some(seven(5, 0, 100))).is_empty());
        assert_eq!(found(Some(seven(5, 0, 1400))), ["few-connections"]);
        assert_eq!(found(Some(seven(5, 2, 0))), ["few-connections"]);
    }
}
