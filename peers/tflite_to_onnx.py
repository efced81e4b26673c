"""fp32 TFLite models as ONNX, for runtimes that read no TFLite: the operators of the MediaPipe CNNs and of single layers.

Images become NCHW. Inputs and outputs keep their layout through transpositions at the border, which take no time worth
mentioning.
"""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as tfl
from onnx import TensorProto, helper, numpy_helper

NAMES = {code: name for name, code in vars(tfl.BuiltinOperator).items() if not name.startswith("_")}
TYPES = {
    tfl.TensorType.FLOAT32: np.float32,
    tfl.TensorType.FLOAT16: np.float16,
    tfl.TensorType.INT32: np.int32,
}


class Converter:
    """One conversion."""

    def __init__(self, data):
        self.model = tfl.ModelT.InitFromPackedBuf(bytearray(data), 0)
        self.graph = self.model.subgraphs[0]
        self.nodes, self.constants, self.made = [], [], 0
        # Name in the ONNX graph of each tensor that is not constant; images are NCHW.
        self.values = {}
        # Constants behind DEQUANTIZE.
        self.dequantized = {}

    def shape(self, tensor):
        return [int(n) for n in self.graph.tensors[tensor].shape]

    def constant(self, tensor):
        """A constant's elements, or nothing."""
        if tensor in self.dequantized:
            return self.dequantized[tensor]
        made = self.graph.tensors[tensor]
        data = self.model.buffers[made.buffer].data
        if data is None or len(data) == 0:
            return None
        return np.frombuffer(bytes(data), TYPES[made.type]).reshape(self.shape(tensor))

    def put(self, array):
        """A constant of the ONNX graph."""
        self.made += 1
        name = f"constant_{self.made}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, inputs, **attributes):
        self.made += 1
        name = f"value_{self.made}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def value(self, tensor):
        array = self.constant(tensor)
        if array is None:
            return self.values[tensor]
        return self.put(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)

    def activation(self, name, kind):
        if kind == tfl.ActivationFunctionType.RELU:
            return self.node("Relu", [name])
        if kind == tfl.ActivationFunctionType.RELU6:
            return self.node("Clip", [name, self.put(np.float32(0)), self.put(np.float32(6))])
        assert kind == tfl.ActivationFunctionType.NONE
        return name

    def to_nhwc(self, name, tensor):
        if len(self.shape(tensor)) != 4:
            return name
        return self.node("Transpose", [name], perm=[0, 2, 3, 1])

    def window(self, o, kernel):
        pads = "SAME_UPPER" if o.padding == tfl.Padding.SAME else "VALID"
        return {"kernel_shape": list(kernel), "strides": [o.strideH, o.strideW], "auto_pad": pads}

    def convert(self, op):
        """The ONNX name of an operator's result."""
        name = NAMES[max(self.model.operatorCodes[op.opcodeIndex].builtinCode,
                         self.model.operatorCodes[op.opcodeIndex].deprecatedBuiltinCode)]
        o, inputs = op.builtinOptions, list(op.inputs)
        if name == "CONV_2D":
            w = self.constant(inputs[1]).astype(np.float32).transpose(0, 3, 1, 2)
            made = self.node("Conv", [self.values[inputs[0]], self.put(w), self.value(inputs[2])],
                             **self.window(o, w.shape[2:]))
        elif name == "DEPTHWISE_CONV_2D":
            w = self.constant(inputs[1]).astype(np.float32).transpose(3, 0, 1, 2)
            made = self.node("Conv", [self.values[inputs[0]], self.put(w), self.value(inputs[2])],
                             group=w.shape[0], **self.window(o, w.shape[2:]))
        elif name == "FULLY_CONNECTED":
            w = self.constant(inputs[1]).astype(np.float32)
            made = self.node("Gemm", [self.values[inputs[0]], self.put(w), self.value(inputs[2])],
                             transB=1)
        elif name == "ADD":
            made = self.node("Add", [self.value(i) for i in inputs])
        elif name == "PRELU":
            slopes = self.constant(inputs[1]).astype(np.float32).reshape(-1, 1, 1)
            return self.node("PRelu", [self.values[inputs[0]], self.put(slopes)])
        elif name == "MAX_POOL_2D":
            made = self.node("MaxPool", [self.values[inputs[0]]],
                             **self.window(o, (o.filterHeight, o.filterWidth)))
        elif name == "PAD":
            amounts = self.constant(inputs[1])[[0, 3, 1, 2]].T.reshape(-1).astype(np.int64)
            return self.node("Pad", [self.values[inputs[0]], self.put(amounts)])
        elif name == "RESIZE_BILINEAR":
            assert o.halfPixelCenters
            n, h, w, c = self.shape(op.outputs[0])
            none = self.put(np.zeros(0, np.float32))
            return self.node("Resize", [self.values[inputs[0]], none, none,
                                        self.put(np.array([n, c, h, w], np.int64))],
                             mode="linear", coordinate_transformation_mode="half_pixel")
        elif name == "RESHAPE":
            assert len(self.shape(op.outputs[0])) != 4
            flat = self.to_nhwc(self.values[inputs[0]], inputs[0])
            return self.node("Reshape",
                             [flat, self.put(np.array(self.shape(op.outputs[0]), np.int64))])
        elif name == "CONCATENATION":
            assert len(self.shape(op.outputs[0])) != 4
            made = self.node("Concat", [self.value(i) for i in inputs], axis=o.axis)
        elif name == "MEAN":
            assert sorted(self.constant(inputs[1])) == [1, 2]
            return self.node("ReduceMean", [self.values[inputs[0]],
                                            self.put(np.array([2, 3], np.int64))],
                             keepdims=int(o.keepDims))
        elif name == "LOGISTIC":
            return self.node("Sigmoid", [self.values[inputs[0]]])
        else:
            raise ValueError(f"no conversion of {name}")
        return self.activation(made, o.fusedActivationFunction)

    def run(self):
        ports = []
        for index, tensor in enumerate(self.graph.inputs):
            shape = self.shape(tensor)
            ports.append(helper.make_tensor_value_info(f"input_{index}", TensorProto.FLOAT, shape))
            name = f"input_{index}"
            if len(shape) == 4:
                name = self.node("Transpose", [name], perm=[0, 3, 1, 2])
            self.values[tensor] = name
        for op in self.graph.operators:
            array = self.constant(op.inputs[0])
            if array is not None:
                # Weights stored as fp16.
                self.dequantized[op.outputs[0]] = array.astype(np.float32)
                continue
            self.values[op.outputs[0]] = self.convert(op)
        results = []
        for index, tensor in enumerate(self.graph.outputs):
            name = self.to_nhwc(self.values[tensor], tensor)
            self.nodes.append(helper.make_node("Identity", [name], [f"output_{index}"]))
            results.append(helper.make_tensor_value_info(
                f"output_{index}", TensorProto.FLOAT, self.shape(tensor)))
        graph = helper.make_graph(self.nodes, "model", ports, results, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def convert(data):
    """Bytes of an ONNX file."""
    return Converter(data).run()
