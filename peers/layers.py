"""TFLite files: the single layers that `agent bench` times, and models as the quantizer wants them."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl

# Name, kind, extent, window, input and output channels: as in engine/src/bench/mod.rs.
LAYERS = [
    ("gemm-256", "fc", 256, 1, 256, 256),
    ("conv1x1-128-28", "conv", 28, 1, 128, 128),
    ("conv3x3-256-14", "conv", 14, 3, 256, 256),
    ("conv3x3-64-56", "conv", 56, 3, 64, 64),
    ("fc-1024", "fc", 1, 1, 1024, 1024),
    ("depthwise3x3-128-28", "depthwise", 28, 3, 128, 128),
    ("depthwise5x5-128-28", "depthwise", 28, 5, 128, 128),
]
CODES = {
    "fc": tfl.BuiltinOperator.FULLY_CONNECTED,
    "conv": tfl.BuiltinOperator.CONV_2D,
    "depthwise": tfl.BuiltinOperator.DEPTHWISE_CONV_2D,
}


def options(kind):
    """The layer's options: stride 1, SAME padding, no activation."""
    if kind == "fc":
        return tfl.BuiltinOptions.FullyConnectedOptions, tfl.FullyConnectedOptionsT()
    which = "Conv2DOptions" if kind == "conv" else "DepthwiseConv2DOptions"
    made = getattr(tfl, which + "T")()
    made.padding, made.strideW, made.strideH = tfl.Padding.SAME, 1, 1
    made.dilationWFactor = made.dilationHFactor = 1
    if kind == "depthwise":
        made.depthMultiplier = 1
    return getattr(tfl.BuiltinOptions, which), made


def layer(kind, extent, window, in_c, out_c, int8):
    """Bytes of a TFLite file with one layer, of fp32 or of 8-bit operands with weight scales per channel."""
    rng = np.random.default_rng(0)
    weights = {
        "fc": (out_c, in_c),
        "conv": (out_c, window, window, in_c),
        "depthwise": (1, window, window, in_c),
    }[kind]
    x = (extent, in_c) if kind == "fc" else (1, extent, extent, in_c)
    y = (extent, out_c) if kind == "fc" else (1, extent, extent, out_c)
    model = tfl.ModelT()
    model.version, model.buffers, graph = 3, [tfl.BufferT()], tfl.SubGraphT()
    graph.tensors = []

    def tensor(name, shape, data=None, scales=None, axis=0, kind_=None):
        made = tfl.TensorT()
        made.name, made.shape = name, np.array(shape, np.int32)
        made.type = kind_ if kind_ is not None else tfl.TensorType.FLOAT32
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        if scales is not None:
            q = tfl.QuantizationParametersT()
            q.scale, q.zeroPoint = np.array(scales, np.float32), np.zeros(len(scales), np.int64)
            q.quantizedDimension = axis
            made.quantization = q
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    if int8:
        byte, word = tfl.TensorType.INT8, tfl.TensorType.INT32
        scales, axis = [0.01] * out_c, 3 if kind == "depthwise" else 0
        inputs = [
            tensor("x", x, scales=[0.02], kind_=byte),
            tensor("w", weights, rng.integers(-127, 128, weights, np.int8), scales, axis, byte),
            tensor("b", (out_c,), np.zeros(out_c, np.int32), [0.0002] * out_c, 0, word),
        ]
        outputs = [tensor("y", y, scales=[0.5], kind_=byte)]
    else:
        inputs = [
            tensor("x", x),
            tensor("w", weights, rng.standard_normal(weights, np.float32)),
            tensor("b", (out_c,), np.zeros(out_c, np.float32)),
        ]
        outputs = [tensor("y", y)]
    code = tfl.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = CODES[kind]
    code.version = 5 if int8 and kind == "fc" else 3
    operator = tfl.OperatorT()
    operator.inputs, operator.outputs, operator.opcodeIndex = inputs, outputs, 0
    operator.builtinOptionsType, operator.builtinOptions = options(kind)
    graph.inputs, graph.outputs, graph.operators = inputs[:1], outputs, [operator]
    model.subgraphs, model.operatorCodes = [graph], [code]
    return packed(model)


def packed(model):
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def quantizable(data):
    """A model with fp32 weights in place of fp16 behind DEQUANTIZE, and with a signature `run` of an input `x`."""
    model = tfl.ModelT.InitFromPackedBuf(bytearray(data), 0)
    graph, kept = model.subgraphs[0], []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        source = model.buffers[graph.tensors[operator.inputs[0]].buffer].data
        is_dequantize = code.deprecatedBuiltinCode == tfl.BuiltinOperator.DEQUANTIZE
        if not is_dequantize or source is None or len(source) == 0:
            kept.append(operator)
            continue
        wide = np.frombuffer(bytes(source), np.float16).astype(np.float32)
        buffer = tfl.BufferT()
        buffer.data = np.frombuffer(wide.tobytes(), np.uint8)
        model.buffers.append(buffer)
        graph.tensors[operator.outputs[0]].buffer = len(model.buffers) - 1
    graph.operators = kept
    signature = tfl.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "run", 0
    signature.inputs = [port("x", graph.inputs[0])]
    signature.outputs = [port(f"y{i}", tensor) for i, tensor in enumerate(graph.outputs)]
    model.signatureDefs = [signature]
    return packed(model)


def port(name, tensor):
    made = tfl.TensorMapT()
    made.name, made.tensorIndex = name, tensor
    return made
