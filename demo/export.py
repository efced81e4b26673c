"""Writes Keras models as .tflite with a batch of one and float16 weights, which readers widen to float32."""

import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def export(model, path):
    """`model` as a .tflite file; its outputs keep their order and get the names of the layers they come from."""
    shape = [1, *model.inputs[0].shape[1:]]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name=model.inputs[0].name)])
    def run(x):
        return model(x, training=False)

    constant = convert_variables_to_constants_v2(run.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([constant])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(named(converter.convert(), model.output_names))


def named(content, names):
    """A .tflite file whose outputs have these names."""
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    graph = model.subgraphs[0]
    for index, name in zip(graph.outputs, names, strict=True):
        graph.tensors[index].name = name.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
