//! Results in any order of channels against those in the order of the variant.

use std::sync::Arc;

use proptest::prelude::*;

use super::axes::Axes;
use super::cost::{Layer, layers};
use super::{apply, search};
use crate::graph::Graph;
use crate::kernels::CpuFeatures;
use crate::plan::fenced::{Fenced, OPERATORS, recipes};
use crate::plan::{Plan, Session};
use crate::quantize::{Recipe, default_recipe, quantize};
use crate::{Level, Serial, Tensor};

fn run(graph: &Graph, input: &Tensor) -> Vec<Tensor> {
    let plan = Plan::of(graph, &CpuFeatures::detect()).unwrap();
    Session::new(Arc::new(plan)).run(std::slice::from_ref(input), &Serial).unwrap()
}

fn quantized(operator: &Fenced, level: Level, recipe: &Recipe) -> Graph {
    quantize(&operator.graph, level, recipe, Some(&operator.calibration)).unwrap().graph
}

fn integer_graph(operator: &Fenced) -> Graph {
    quantized(operator, Level::Int8, &default_recipe(Level::Int8))
}

/// Each axis turned by some of its channels, and its first two exchanged.
fn turned(axes: &Axes, by: usize) -> Vec<Vec<usize>> {
    let turned = |&size: &usize| {
        let mut order: Vec<usize> = (0..size).map(|place| (place + by) % size).collect();
        order.swap(0, 1 % size);
        order
    };
    axes.sizes.iter().map(turned).collect()
}

/// As on a processor whose kernels all depend on the order.
fn every_layer(graph: &Graph, axes: &Axes) -> Vec<Layer> {
    layers(graph, axes, |_, _| true)
}

fn cost(layers: &[Layer]) -> u64 {
    layers.iter().map(Layer::cost).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(target_arch = "x86_64") { 4 } else { 1 }))]

    #[test]
    fn results_are_the_same_bits_in_every_order(
        shape in [1..3_usize, 3..9_usize, 3..9_usize, 1..80_usize],
        seed: u64,
        by in 1..50_usize,
    ) {
        for (index, &(name, make)) in OPERATORS.iter().enumerate() {
            // An emulator takes long, so there some operators have their turn.
            if !cfg!(target_arch = "x86_64") && !(index as u64).wrapping_add(seed).is_multiple_of(8) {
                continue;
            }
            let operator = Fenced::new(name, make, shape, seed, false);
            let integers = |&(level, _): &(Level, Recipe)| matches!(level, Level::Int8 | Level::Int4 | Level::Bin1);
            for (level, recipe) in recipes().into_iter().filter(integers) {
                let graph = quantized(&operator, level, &recipe);
                let axes = Axes::of(&graph);
                let other = apply::permuted(&graph, &axes, &turned(&axes, by));
                other.validate().unwrap();
                prop_assert_eq!(
                    run(&graph, &operator.input), run(&other, &operator.input), "{} at {} by {}", name, level, recipe
                );
            }
        }
    }

    #[test]
    fn what_is_found_costs_less_and_is_what_the_graph_then_has(
        shape in [1..2_usize, 5..9_usize, 5..9_usize, 16..80_usize],
        seed: u64,
        index in 0..OPERATORS.len(),
    ) {
        let (name, make) = OPERATORS[index];
        let graph = integer_graph(&Fenced::new(name, make, shape, seed, false));
        let axes = Axes::of(&graph);
        let mut layers_of_graph = every_layer(&graph, &axes);
        let before = cost(&layers_of_graph);
        let orders = search(&axes.sizes, &mut layers_of_graph);
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..order.len()));
        }
        let other = apply::permuted(&graph, &axes, &orders);
        let after = cost(&every_layer(&other, &axes));
        prop_assert_eq!(after, cost(&layers_of_graph));
        prop_assert!(after <= before);
    }
}

#[test]
fn layers_between_others_can_be_in_any_order() {
    let named = |wanted: &str| OPERATORS.iter().find(|(name, _)| *name == wanted).unwrap();
    for (name, axes) in [
        // The first layer's results; those of the operator; of two layers of the graph's own.
        ("conv 3x3", 4),
        // Its channels are those of the first layer.
        ("depthwise 5x5", 3),
        ("residual", 3),
        ("max pool", 3),
        ("prelu", 3),
        // Channels that are added up or move.
        ("mean of channels", 2),
        ("concat", 2),
        ("slice of channels", 2),
        ("transpose", 2),
    ] {
        let &(name, make) = named(name);
        let operator = Fenced::new(name, make, [1, 6, 6, 24], 3, false);
        let graph = integer_graph(&operator);
        assert_eq!(Axes::of(&graph).sizes.len(), axes, "{name}");
    }
}
