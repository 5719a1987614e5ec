//! Places labels that would overlap at a minimum distance, by isotonic regression (pool adjacent
//! violators). Works on numbers only.

/// The positions nearest to the wanted ones (by least squares), in the same order, at least `gap`
/// apart and within `low` to `high`. The gap shrinks if there are too many positions for the range.
pub(super) fn apart(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    assert!(low <= high && gap >= 0.0, "the range from {low} to {high} is not empty");
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));

    let gaps: f64 = order.iter().skip(1).map(|_| 1.0).sum();
    let gap = if gaps > 0.0 { gap.min((high - low) / gaps) } else { gap };

    // After subtracting the gaps below each position, the result need only be ascending. The least
    // squares solution of that consists of the means of neighbours that are out of order.
    let mut pools: Vec<Pool> = Vec::new();
    let mut below = 0.0;
    for &index in &order {
        let mut pool = Pool { sum: wanted[index] - below, weight: 1.0, members: 1 };
        while let Some(last) = pools.pop_if(|last| last.mean() > pool.mean()) {
            pool = last.with(&pool);
        }
        pools.push(pool);
        below += gap;
    }

    let mut places = vec![0.0; wanted.len()];
    let (mut below, mut next) = (0.0, order.iter());
    for pool in &pools {
        let base = pool.mean().min(high - gap * gaps).max(low);
        for &index in next.by_ref().take(pool.members) {
            places[index] = base + below;
            below += gap;
        }
    }
    places
}

/// Neighbours that share one mean.
struct Pool {
    sum: f64,
    weight: f64,
    members: usize,
}

impl Pool {
    fn mean(&self) -> f64 {
        self.sum / self.weight
    }

    fn with(&self, other: &Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            weight: self.weight + other.weight,
            members: self.members + other.members,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn distant_positions_stay() {
        assert_eq!(apart(&[50.0, 10.0, 30.0], 20.0, 0.0, 100.0), [50.0, 10.0, 30.0]);
        assert_eq!(apart(&[], 20.0, 0.0, 100.0), [0.0; 0]);
    }

    #[test]
    fn close_neighbours_move_by_the_same_amount() {
        assert_eq!(apart(&[50.0, 50.0], 10.0, 0.0, 100.0), [45.0, 55.0]);
        assert_eq!(
            apart(&[50.0, 50.0, 52.0], 10.0, 0.0, 100.0),
            [122.0 / 3.0, 152.0 / 3.0, 182.0 / 3.0]
        );
    }

    #[test]
    fn positions_stay_within_the_range() {
        assert_eq!(apart(&[-5.0, 0.0, 90.0], 10.0, 0.0, 95.0), [0.0, 10.0, 90.0]);
        assert_eq!(apart(&[99.0, 99.0, 99.0], 10.0, 0.0, 100.0), [80.0, 90.0, 100.0]);
        assert_eq!(apart(&[7.0, 7.0, 7.0], 10.0, 0.0, 10.0), [0.0, 5.0, 10.0]);
    }
}
