//! Tensors on the wire, and the random inputs of measurements.

use ndarray::{ArrayD, IxDyn};
use quantrack_engine::Tensor;

use super::engine::Port;
use super::message;

/// Inputs in [0, 1), the same for the same seed on every board.
pub(super) fn random(ports: &[Port], seed: u64) -> Vec<Tensor> {
    let mut state = seed;
    let tensor = |port: &Port| {
        let draw = || (split_mix(&mut state) >> 40) as f32 / (1u32 << 24) as f32;
        ArrayD::from_shape_simple_fn(IxDyn(&port.shape), draw)
    };
    ports.iter().map(tensor).collect()
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The inputs that a message holds, in the order of `ports`. A message of one tensor needs no name.
pub(super) fn from_message(
    given: &[message::Tensor],
    ports: &[Port],
) -> Result<Vec<Tensor>, String> {
    if given.len() != ports.len() {
        return Err(format!("{} inputs were given, the model has {}", given.len(), ports.len()));
    }
    let find = |port: &Port| {
        let named = given.iter().find(|tensor| tensor.name == port.name);
        let only = given.first().filter(|first| given.len() == 1 && first.name.is_empty());
        let tensor = named.or(only);
        tensor.ok_or_else(|| format!("no input is named {:?}", port.name))
    };
    ports.iter().map(|port| decode(find(port)?, port)).collect()
}

fn decode(tensor: &message::Tensor, port: &Port) -> Result<Tensor, String> {
    let shape: Option<Vec<usize>> = tensor.shape.iter().map(|&n| usize::try_from(n).ok()).collect();
    if shape.as_ref() != Some(&port.shape) {
        let (name, expected, found) = (&port.name, &port.shape, &tensor.shape);
        return Err(format!("input {name:?} has the shape {expected:?}, not {found:?}"));
    }
    let (words, rest) = tensor.f32_le.as_chunks::<4>();
    let elements: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let wrong = || format!("input {:?} has {} bytes", port.name, tensor.f32_le.len());
    if !rest.is_empty() {
        return Err(wrong());
    }
    ArrayD::from_shape_vec(IxDyn(&port.shape), elements).map_err(|_| wrong())
}

/// Outputs as a message.
pub(super) fn to_message(outputs: &[Tensor], ports: &[Port]) -> Vec<message::Tensor> {
    let encode = |(tensor, port): (&Tensor, &Port)| message::Tensor {
        name: port.name.clone(),
        shape: tensor.shape().iter().map(|&extent| extent as u64).collect(),
        f32_le: tensor.iter().flat_map(|element| element.to_le_bytes()).collect(),
    };
    outputs.iter().zip(ports).map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_inputs_follow_the_published_generator() {
        // First output of SplitMix64 for seed 0, from its reference implementation.
        assert_eq!(split_mix(&mut 0), 0xe220_a839_7b1d_cdaf);
        let ports = [Port { name: "x".to_owned(), shape: vec![2, 3] }];
        assert_eq!(random(&ports, 7), random(&ports, 7));
        assert_ne!(random(&ports, 7), random(&ports, 8));
        assert!(random(&ports, 7)[0].iter().all(|x| (0.0..1.0).contains(x)));
    }

    #[test]
    fn inputs_are_matched_by_name_and_checked() {
        let port =
            |name: &str, shape: &[usize]| Port { name: name.to_owned(), shape: shape.to_vec() };
        let ports = [port("a", &[2]), port("b", &[1, 1])];
        let tensors = random(&ports, 1);
        let mut wire = to_message(&tensors, &ports);
        wire.reverse();
        assert_eq!(from_message(&wire, &ports).unwrap(), tensors);
        wire[0].f32_le.pop();
        assert!(from_message(&wire, &ports).unwrap_err().contains("\"b\" has 3 bytes"));
        wire[0].shape = vec![u64::MAX];
        assert!(from_message(&wire, &ports).unwrap_err().contains("shape"));
        assert!(from_message(&wire[..1], &ports).unwrap_err().contains("1 inputs"));
    }
}
