//! The token bucket of a client key.

use std::time::Instant;

use crate::settings::RateLimit;

/// A bucket that fills with time.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    level: f64,
    filled_at: Instant,
}

impl Bucket {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { level: limit.burst, limit, filled_at: Instant::now() }
    }

    pub(crate) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes one call out of the bucket; false when it is empty.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        self.level = (self.level + passed * self.limit.per_second).min(self.limit.burst);
        if self.level < 1.0 {
            return false;
        }
        self.level -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_burst_is_spent_and_refilled_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RateLimit::new(2.0, 3.0));
        let taken = |bucket: &mut Bucket, at| (0..10).filter(|_| bucket.take(at)).count();
        assert_eq!(taken(&mut bucket, start), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(1100)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_mins(1)), 3);
    }
}
