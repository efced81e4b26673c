//! The order of channels within a network, such that more products add up in 16 bits.
//!
//! In-order cores add up the products of four neighbouring channels in 16 bits where the magnitudes of their weights sum to 255
//! at most in all eight columns of a panel, and those of a depthwise window for as long as this holds for all eight channels of
//! a block. If these have their right shift in common, their results are narrowed by fewer instructions. Which channels are
//! neighbours is arbitrary: a layer's results can be in any order if all that reads them expects it, so channels with large
//! weights are put beside such with small ones, and those that are alike beside each other. Integer sums are the same in every
//! order, so results are the same bits, and nothing is done for it while the plan runs.
//!
//! Orders begin with channels sorted by what depthwise layers have in common, and are improved by exchanging two channels as
//! long as that saves cycles. The search compares twice as many weights as an
//! inference has products, so that it takes about as long as some inferences whatever the model.

mod apply;
mod axes;
mod cost;
#[cfg(test)]
#[cfg(all(unix, not(miri)))]
mod tests;

use axes::Axes;
use cost::{Layer, layers};

use crate::graph::Graph;
use crate::kernels::CpuFeatures;

/// Times that the search goes through all axes.
const ROUNDS: u64 = 8;

/// The graph with its channels in the order that suits `cpu`; nothing where the order does not matter.
pub(super) fn ordered(graph: &Graph, cpu: &CpuFeatures) -> Option<Graph> {
    let axes = Axes::of(graph);
    let mut layers = layers(graph, &axes, |kind, work| kind.depends_on_order(cpu, work));
    if layers.is_empty() {
        return None;
    }
    let orders = search(&axes.sizes, &mut layers);
    Some(apply::permuted(graph, &axes, &orders))
}

/// For each axis the channels in their new order, for which `layers` are exchanged as well.
fn search(sizes: &[usize], layers: &mut [Layer]) -> Vec<Vec<usize>> {
    let mut orders: Vec<Vec<usize>> =
        sizes.iter().enumerate().map(|(axis, &size)| sorted(layers, axis, size)).collect();
    let budget = 2 * layers.iter().map(Layer::products).sum::<u64>();
    // Knuth's linear congruential generator.
    let mut state: u64 = 1;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % below as u64) as usize
    };
    for _ in 0..ROUNDS {
        let costs: Vec<u64> = (0..sizes.len())
            .map(|axis| layers.iter().filter(|layer| layer.has(axis)).map(Layer::cost).sum())
            .collect();
        let all: u64 = costs.iter().sum();
        for (axis, order) in orders.iter_mut().enumerate() {
            let mut layers: Vec<&mut Layer> =
                layers.iter_mut().filter(|layer| layer.has(axis)).collect();
            let per_trial: u64 = layers.iter().map(|layer| layer.compared(axis)).sum();
            // Where there is more to be saved more is tried.
            let share = u128::from(budget) * u128::from(costs[axis]) / u128::from(all.max(1));
            for _ in 0..share as u64 / ROUNDS / per_trial.max(1) {
                let places = [random(order.len()), random(order.len())];
                if exchanged(&mut layers, axis, places) {
                    order.swap(places[0], places[1]);
                }
            }
        }
    }
    orders
}

/// The channels of an axis by their likeness in a depthwise layer, if it has one and that saves cycles; and `layers` in that
/// order.
fn sorted(layers: &mut [Layer], axis: usize, size: usize) -> Vec<usize> {
    let natural: Vec<usize> = (0..size).collect();
    let mut order = natural.clone();
    if let Some(layer) = layers.iter().find(|layer| layer.has(axis) && layer.likeness(0).is_some())
    {
        order.sort_by_key(|&channel| layer.likeness(channel));
    }
    let cost = |layers: &[Layer]| -> u64 {
        layers.iter().filter(|layer| layer.has(axis)).map(Layer::cost).sum()
    };
    let before = cost(layers);
    arrange(layers, axis, natural.clone(), &order);
    if cost(layers) <= before {
        return order;
    }
    arrange(layers, axis, order, &natural);
    natural
}

/// Exchanges channels of an axis until the order is the wanted one.
fn arrange(layers: &mut [Layer], axis: usize, mut order: Vec<usize>, wanted: &[usize]) {
    for (place, channel) in wanted.iter().enumerate() {
        let from = order.iter().position(|there| there == channel).unwrap_or(place);
        layers.iter_mut().for_each(|layer| layer.exchange(axis, [place, from]));
        order.swap(place, from);
    }
}

/// Exchanges two channels of an axis unless that costs cycles, and says whether it did.
fn exchanged(layers: &mut [&mut Layer], axis: usize, places: [usize; 2]) -> bool {
    let cost = |layers: &[&mut Layer]| layers.iter().map(|layer| layer.cost_at(axis, places)).sum();
    let before: u64 = cost(layers);
    layers.iter_mut().for_each(|layer| layer.exchange(axis, places));
    if cost(layers) <= before {
        return true;
    }
    layers.iter_mut().for_each(|layer| layer.exchange(axis, places));
    false
}
