//! Running a plan allocates nothing after the first run: neither the session, nor operators, nor tasks on other threads.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Pool, RayonPool, Serial, Tensor, model};

/// The system's allocator; counts what threads ask for while they run the engine's code.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(usize::from(COUNTED.get()), Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted<T>(work: impl FnOnce() -> T) -> T {
    let before = COUNTED.replace(true);
    let result = work();
    COUNTED.set(before);
    result
}

fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = COUNTED.replace(false);
    let result = work();
    COUNTED.set(before);
    result
}

/// A pool that may allocate itself, but whose tasks may not.
struct Watched<'a>(&'a dyn Pool);

impl Pool for Watched<'_> {
    fn threads(&self) -> usize {
        self.0.threads()
    }

    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        uncounted(|| self.0.run(count, &|index| counted(|| task(index))));
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        uncounted(|| self.0.enter(&mut || counted(&mut *work)));
    }
}

#[test]
fn running_allocates_nothing_after_the_first_run() {
    let Some(folder) = support::data() else { return };
    let cpu = CpuFeatures::detect();
    let isas = [CpuFeatures::portable(), cpu.clone()];
    let pools = [2, 3].map(|threads| {
        RayonPool::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
    });
    let pools: [&dyn Pool; 3] = [&Serial, &pools[0], &pools[1]];
    for name in ["hand_landmark_lite", "palm_detection_lite", "canned_gesture_classifier"] {
        let bytes = std::fs::read(folder.join(format!("models/{name}.tflite"))).unwrap();
        let graph = model::import(&bytes).unwrap();
        let input = |&id: &usize| Tensor::from_elem(graph.values[id].shape.clone(), 0.5);
        let inputs: Vec<Tensor> = graph.inputs.iter().map(input).collect();
        let mut calibrator = Calibrator::new(&graph, &cpu).unwrap();
        calibrator.observe(&inputs, &Serial).unwrap();
        let calibration = calibrator.finish().unwrap();
        for level in Level::ALL {
            let variant = quantize(&graph, level, &default_recipe(level), Some(&calibration));
            let variant = variant.unwrap();
            for cpu in &isas {
                let mut session = Session::new(Arc::new(Plan::new(&variant, cpu).unwrap()));
                for pool in pools.map(Watched) {
                    session.run_in_place(&inputs, &pool).unwrap();
                    let before = ALLOCATIONS.load(Ordering::Relaxed);
                    counted(|| session.run_in_place(&inputs, &pool).map(drop)).unwrap();
                    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
                    let (threads, isas) = (pool.threads(), cpu.isas());
                    assert_eq!(count, 0, "{name} at {level}, {threads} threads, {isas:?}");
                }
            }
        }
    }
}
