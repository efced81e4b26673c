//! The threads that a caller lends to the engine.

/// Runs independent tasks, on as many threads as the caller decided.
///
/// Kernels split their output so that each element is computed by exactly one task, in an order of its own:
/// results do not depend on the number of threads.
pub trait Pool: Sync {
    /// How many tasks run at the same time, at least 1.
    fn threads(&self) -> usize;

    /// Calls `task(0)` … `task(count - 1)`, each once, and returns when all have ended.
    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync));

    /// Calls `work`, which will run many tasks one set after the other, where they start soonest.
    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}

/// The calling thread only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

impl Pool for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(task);
    }
}

/// The threads of a rayon pool.
#[derive(Debug)]
pub struct RayonPool(rayon::ThreadPool);

impl RayonPool {
    /// Wraps a pool that the caller has built (and, where that matters, pinned to cores).
    pub fn new(pool: rayon::ThreadPool) -> Self {
        Self(pool)
    }
}

impl Pool for RayonPool {
    fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        if count < 2 || self.threads() == 1 {
            return Serial.run(count, task);
        }
        self.0.install(|| halve(0, count, task));
    }

    /// On one of the pool's threads: from any other, each set of tasks would wait for one of them to wake, and it for them.
    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        if self.threads() == 1 {
            return work();
        }
        self.0.install(work);
    }
}

/// Runs the tasks `first..end`. Joining two halves allocates nothing, which a list of tasks would.
fn halve(first: usize, end: usize, task: &(dyn Fn(usize) + Sync)) {
    if end - first == 1 {
        return task(first);
    }
    let middle = first.midpoint(end);
    rayon::join(|| halve(first, middle, task), || halve(middle, end, task));
}
