//! Every operator with values worked out by hand.

use super::*;
use crate::Level;
use crate::graph::{Activation, Constant, Padding, ReduceOp, Value, Window};

/// Runs one operator on constants or inputs given as shape and elements.
fn run_op(op: Op, operands: &[(&[usize], &[f32])], result: &[usize]) -> Vec<f32> {
    let mut graph = Graph::default();
    let mut inputs = Vec::new();
    for (index, (shape, elements)) in operands.iter().enumerate() {
        let constant = (index > 0).then(|| Constant::f32(elements.to_vec()));
        if index == 0 {
            graph.inputs.push(0);
            inputs.push(dense(shape, elements.to_vec()));
        }
        graph.values.push(Value {
            name: format!("operand {index}"),
            shape: shape.to_vec(),
            encoding: Encoding::F32,
            constant,
        });
    }
    graph.values.push(Value {
        name: "result".into(),
        shape: result.to_vec(),
        encoding: Encoding::F32,
        constant: None,
    });
    let outputs = vec![operands.len()];
    graph.outputs = outputs.clone();
    let node = Node {
        name: "result".into(),
        op,
        inputs: (0..operands.len()).collect(),
        outputs,
        level: Level::Fp32,
    };
    graph.nodes.push(node);
    run(&graph, &inputs).unwrap()[0].iter().copied().collect()
}

fn window(kernel: usize, stride: usize, dilation: usize, padding: Padding) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], padding }
}

#[test]
fn convolution_pads_strides_and_sums_over_channels() {
    // One row of padding above and one column to the left of a 2x2 image with two channels.
    let padding = Padding { top: 1, left: 1, ..Padding::default() };
    let op = Op::Conv2d { window: window(2, 1, 1, padding), activation: Activation::None };
    let x: (&[usize], &[f32]) = (&[1, 2, 2, 2], &[1., 10., 2., 20., 3., 30., 4., 40.]);
    // Taps 1, 2, 3, 4 on the first channel, 0 on the second but for the last tap.
    let w: (&[usize], &[f32]) = (&[1, 2, 2, 2], &[1., 0., 2., 0., 3., 0., 4., 1.]);
    let result = run_op(op, &[x, w, (&[1], &[0.5])], &[1, 2, 2, 1]);
    let expected = [4. + 10., 3. + 8. + 20., 2. + 12. + 30., 1. + 4. + 9. + 16. + 40.];
    assert_eq!(result, expected.map(|v| v + 0.5));
}

#[test]
fn convolution_dilates_and_applies_prelu_per_channel() {
    let op =
        Op::Conv2d { window: window(2, 1, 2, Padding::default()), activation: Activation::Prelu };
    let x: Vec<f32> = (0..9).map(|v| v as f32).collect();
    let w = [1., 1., 1., 1., -1., -1., -1., -1.];
    let operands: [(&[usize], &[f32]); 4] =
        [(&[1, 3, 3, 1], &x), (&[2, 2, 2, 1], &w), (&[2], &[0., 0.]), (&[2], &[9., 0.25])];
    assert_eq!(run_op(op, &operands, &[1, 1, 1, 2]), [16., -4.]);
}

#[test]
fn depthwise_convolution_keeps_channels_apart() {
    let op = Op::DepthwiseConv2d {
        window: window(2, 2, 1, Padding { bottom: 1, right: 1, ..Padding::default() }),
        activation: Activation::Relu6,
    };
    let x = [1., -1., 2., -2., 3., -3., 4., -4., 5., -5., 6., -6., 7., -7., 8., -8., 9., -9.];
    let w = [0.5, -1., 0., 0., 0., 0., 1., 1.];
    let operands: [(&[usize], &[f32]); 3] =
        [(&[1, 3, 3, 2], &x), (&[1, 2, 2, 2], &w), (&[2], &[0., 0.])];
    // First channel: x00 / 2 + x11; second: -x00 + x11, both with what lies outside left out.
    let expected = [5.5, 0., 1.5, 3., 3.5, 6., 4.5, 6.];
    assert_eq!(run_op(op, &operands, &[1, 2, 2, 2]), expected);
}

#[test]
fn fully_connected_multiplies_rows() {
    let op = Op::FullyConnected { activation: Activation::Relu };
    let operands: [(&[usize], &[f32]); 3] = [
        (&[2, 3], &[1., 2., 3., -1., -2., -3.]),
        (&[2, 3], &[1., 0., 1., 0., 2., 0.]),
        (&[2], &[10., 1.]),
    ];
    assert_eq!(run_op(op, &operands, &[2, 2]), [14., 5., 6., 0.]);
}

#[test]
fn activations_and_unary_functions() {
    let x: (&[usize], &[f32]) = (&[5], &[-2., 0., 3., 7., -0.5]);
    let unary = |function| run_op(Op::Unary(function), &[x], &[5]);
    assert_eq!(unary(UnaryOp::Relu), [0., 0., 3., 7., 0.]);
    assert_eq!(unary(UnaryOp::Relu6), [0., 0., 3., 6., 0.]);
    assert_eq!(unary(UnaryOp::Sign), [-1., 0., 1., 1., -1.]);
    assert_eq!(unary(UnaryOp::Bipolar), [-1., 1., 1., 1., -1.]);
    assert_eq!(unary(UnaryOp::Logistic)[1..3], [0.5, 0.952_574_13]);
    let slopes: (&[usize], &[f32]) = (&[2], &[2., 4.]);
    let x: (&[usize], &[f32]) = (&[2, 2], &[-1., -1., 1., 3.]);
    assert_eq!(run_op(Op::Prelu, &[x, slopes], &[2, 2]), [-2., -4., 1., 3.]);
}

#[test]
fn binary_operators_broadcast() {
    let binary = |op| {
        let operands: [(&[usize], &[f32]); 2] =
            [(&[2, 1, 2], &[8., 2., 4., 6.]), (&[2, 1], &[2., 4.])];
        run_op(Op::Binary { op, activation: Activation::None }, &operands, &[2, 2, 2])
    };
    assert_eq!(binary(BinaryOp::Add), [10., 4., 12., 6., 6., 8., 8., 10.]);
    assert_eq!(binary(BinaryOp::Sub), [6., 0., 4., -2., 2., 4., 0., 2.]);
    assert_eq!(binary(BinaryOp::Mul), [16., 4., 32., 8., 8., 12., 16., 24.]);
    assert_eq!(binary(BinaryOp::Div), [4., 1., 2., 0.5, 2., 3., 1., 1.5]);
    assert_eq!(binary(BinaryOp::Maximum), [8., 2., 8., 4., 4., 6., 4., 6.]);
    assert_eq!(binary(BinaryOp::Minimum), [2., 2., 4., 2., 2., 2., 4., 4.]);
}

#[test]
fn pools_leave_the_padding_out() {
    let padding = Padding { bottom: 1, right: 1, ..Padding::default() };
    let window = window(2, 2, 1, padding);
    let x: (&[usize], &[f32]) = (&[1, 3, 3, 1], &[-1., -2., -3., -4., -5., -6., -7., -8., -9.]);
    let activation = Activation::None;
    let max = run_op(Op::MaxPool2d { window, activation }, &[x], &[1, 2, 2, 1]);
    assert_eq!(max, [-1., -3., -7., -9.]);
    let mean = run_op(Op::AveragePool2d { window, activation }, &[x], &[1, 2, 2, 1]);
    assert_eq!(mean, [-3., -4.5, -7.5, -9.]);
}

#[test]
fn padding_adds_zeros_on_any_axis() {
    let x: (&[usize], &[f32]) = (&[1, 2], &[1., 2.]);
    let op = Op::Pad { amounts: vec![[1, 0], [0, 2]] };
    assert_eq!(run_op(op, &[x], &[2, 4]), [0., 0., 0., 0., 1., 2., 0., 0.]);
}

#[test]
fn resizing_interpolates_in_three_conventions() {
    let x: (&[usize], &[f32]) = (&[1, 1, 2, 1], &[0., 4.]);
    let resize = |half_pixel_centers, align_corners| {
        let op = Op::ResizeBilinear { size: [1, 4], half_pixel_centers, align_corners };
        run_op(op, &[x], &[1, 1, 4, 1])
    };
    assert_eq!(resize(true, false), [0., 1., 3., 4.]);
    assert_eq!(resize(false, false), [0., 2., 4., 4.]);
    assert_eq!(resize(false, true), [0., 4. / 3., 8. / 3., 4.]);
}

#[test]
fn structure_operators_move_elements() {
    let x: (&[usize], &[f32]) = (&[2, 3], &[1., 2., 3., 4., 5., 6.]);
    assert_eq!(run_op(Op::Reshape, &[x], &[3, 2]), x.1);
    let concat = run_op(Op::Concat { axis: 1 }, &[x, (&[2, 1], &[7., 8.])], &[2, 4]);
    assert_eq!(concat, [1., 2., 3., 7., 4., 5., 6., 8.]);
    let op = Op::StridedSlice { begin: vec![1, 2], strides: vec![1, -2], counts: vec![1, 2] };
    assert_eq!(run_op(op, &[x], &[2]), [6., 4.]);
}

#[test]
fn reductions_work_on_any_axes() {
    let x: (&[usize], &[f32]) = (&[2, 1, 3], &[1., 2., 3., 4., 5., 9.]);
    let reduce = |op, axes: &[usize], keep_dims, shape: &[usize]| {
        run_op(Op::Reduce { op, axes: axes.to_vec(), keep_dims }, &[x], shape)
    };
    assert_eq!(reduce(ReduceOp::Mean, &[0, 1], false, &[3]), [2.5, 3.5, 6.]);
    assert_eq!(reduce(ReduceOp::Sum, &[2], true, &[2, 1, 1]), [6., 18.]);
    assert_eq!(reduce(ReduceOp::Max, &[0, 1, 2], false, &[]), [9.]);
    assert_eq!(reduce(ReduceOp::Min, &[0], true, &[1, 1, 3]), [1., 2., 3.]);
}

#[test]
fn softmax_survives_large_numbers() {
    let x: (&[usize], &[f32]) = (&[2, 2], &[1000., 1000., 0., f32::ln(3.)]);
    let result = run_op(Op::Softmax { beta: 1.0 }, &[x], &[2, 2]);
    for (found, expected) in result.iter().zip([0.5, 0.5, 0.25, 0.75]) {
        assert!((found - expected).abs() < 1e-6, "{result:?}");
    }
}

#[test]
fn gather_and_unpack_take_slices() {
    let mut graph = Graph::default();
    let value = |name: &str, shape: &[usize], constant: Option<Constant>| Value {
        name: name.into(),
        shape: shape.to_vec(),
        encoding: if constant.is_some() { Encoding::I32 } else { Encoding::F32 },
        constant,
    };
    graph.values = vec![
        value("x", &[2, 3], None),
        value("indices", &[2, 1], Some(Constant::i32(vec![2, 0]))),
        value("gathered", &[2, 2, 1], None),
        value("first", &[2, 1], None),
        value("second", &[2, 1], None),
    ];
    let node =
        |op, inputs, outputs| Node { name: "node".into(), op, inputs, outputs, level: Level::Fp32 };
    graph.nodes = vec![
        node(Op::Gather { axis: 1 }, vec![0, 1], vec![2]),
        node(Op::Unpack { axis: 1 }, vec![2], vec![3, 4]),
    ];
    (graph.inputs, graph.outputs) = (vec![0], vec![2, 3, 4]);
    let x = dense(&[2, 3], vec![1., 2., 3., 4., 5., 6.]);
    let [gathered, first, second] = run(&graph, &[x]).unwrap().try_into().unwrap();
    assert_eq!(gathered, dense(&[2, 2, 1], vec![3., 1., 6., 4.]));
    assert_eq!(first, dense(&[2, 1], vec![3., 6.]));
    assert_eq!(second, dense(&[2, 1], vec![1., 4.]));
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let mut graph = Graph::default();
    graph.values.push(Value {
        name: "pixels".into(),
        shape: vec![2],
        encoding: Encoding::F32,
        constant: None,
    });
    (graph.inputs, graph.outputs) = (vec![0], vec![0]);
    let wrong = run(&graph, &[dense(&[3], vec![0.; 3])]).unwrap_err().to_string();
    assert!(wrong.contains("\"pixels\"") && wrong.contains("[3]"), "{wrong}");
    assert_eq!(run(&graph, &[]), Err(OracleError::InputCount { expected: 1, found: 0 }));
}
