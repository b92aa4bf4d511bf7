//! How many requests are with the upstream at once.

use prometheus_client::metrics::gauge::Gauge;

/// Lets in as many requests as may be with the upstream, whether or not they ask for a stream: each has a connection to it, and
/// costs its operator money.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    admitted: Gauge,
}

/// A request that was let in; makes room for another when dropped.
#[derive(Debug)]
pub(super) struct Admitted(Gauge);

impl Admission {
    /// Lets in `most` at once, and counts them in `admitted`.
    pub(super) fn new(most: usize, admitted: Gauge) -> Admission {
        Admission { most, admitted }
    }

    /// Lets one in; `None` while there are as many as there may be.
    pub(super) fn admit(&self) -> Option<Admitted> {
        let before = self.admitted.inc();
        let admitted = Admitted(self.admitted.clone());
        usize::try_from(before).is_ok_and(|before| before < self.most).then_some(admitted)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_makes_room_for_one() {
        let admission = Admission::new(2, Gauge::default());
        let both = [admission.admit(), admission.admit()];
        assert!(
            both.iter().all(Option::is_some) && admission.admit().is_none() && admission.admit().is_none()
        );
        assert_eq!(admission.admitted.get(), 2, "one that was refused is not counted");
        drop(both);
        assert!(admission.admit().is_some());
        assert_eq!(admission.admitted.get(), 0);
    }
}
