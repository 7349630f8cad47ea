"""Which ONNX operations are read, and by which handler.

A handler takes the `Site` of its node, and returns what the node's first output stands for, or a
tuple with one entry for each output. What it does not take it refuses with `Site.refusal`.
"""

from collections.abc import Callable

from compiler.frontends import onnx_compare as compare
from compiler.frontends import onnx_constants as constants
from compiler.frontends import onnx_dense as dense
from compiler.frontends import onnx_elementwise as elementwise
from compiler.frontends import onnx_quant as quant
from compiler.frontends import onnx_shapes as shapes
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Operand


__all__ = ["AFTER_CLASS", "AFTER_CLIP", "AFTER_TRUTH", "DOMAINS", "HANDLERS", "LATER", "NETWORK"]

Handler = Callable[[Site], Operand | tuple[Operand | None, ...]]

DOMAINS = {"", "ai.onnx", "qonnx.custom_op.general", "finn.custom_op.general", "finn",
           "onnx.brevitas"}

HANDLERS: dict[str, Handler] = {
    "Abs":                constants.absolute,
    "Add":                elementwise.add,
    "ArgMax":             elementwise.argmax,
    "BatchNormalization": elementwise.batch_normalization,
    "BipolarQuant":       quant.bipolar_quant,
    "Cast":               elementwise.cast,
    "Clip":               elementwise.clip,
    "Concat":             constants.concat,
    "Constant":           constants.constant,
    "Div":                elementwise.div,
    "Dropout":            elementwise.dropout,
    "Flatten":            shapes.flatten,
    "Gather":             constants.gather,
    "Gemm":               dense.gemm,
    "Greater":            compare.greater,
    "GreaterOrEqual":     compare.greater_or_equal,
    "Identity":           elementwise.identity,
    "Less":               compare.less,
    "LessOrEqual":        compare.less_or_equal,
    "LogSoftmax":         elementwise.softmax,
    "MatMul":             dense.matmul,
    "Mul":                elementwise.mul,
    "MultiThreshold":     quant.multi_threshold,
    "Neg":                elementwise.neg,
    "Quant":              quant.quant,
    "ReduceMean":         constants.reduce_mean,
    "Relu":               elementwise.relu,
    "Reshape":            shapes.reshape,
    "Shape":              constants.shape,
    "Sign":               quant.sign,
    "Softmax":            elementwise.softmax,
    "Squeeze":            shapes.squeeze,
    "Sub":                elementwise.sub,
    "TopK":               elementwise.top_k,
    "Transpose":          shapes.transpose,
    "Unsqueeze":          shapes.unsqueeze,
    "Where":              compare.where,
}

# What may read the class that ends a network, a comparison, or what a Clip made
AFTER_CLASS = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
AFTER_TRUTH = AFTER_CLASS | {"Where"}
AFTER_CLIP = AFTER_CLASS - {"Cast"} | {"BipolarQuant", "Dropout", "Greater", "GreaterOrEqual",
                                       "Less", "LessOrEqual", "MultiThreshold", "Quant", "Sign"}

NETWORK = ("a dense layer (Gemm, MatMul), BatchNormalization, a sign (Sign, BipolarQuant, "
           "MultiThreshold), Quant, Relu, or arithmetic with a constant")
_DENSE = "a dense layer (Gemm or MatMul)"
_SIGN = "a sign (Sign, BipolarQuant, MultiThreshold), Quant or Relu"
LATER = {  # what is expected instead, and why
    "Conv":              (_DENSE, ": convolution is not supported yet"),
    "ConvTranspose":     (_DENSE, ": convolution is not supported"),
    "MaxPool":           (_DENSE, ": pooling is not supported yet"),
    "AveragePool":       (_DENSE, ": pooling is not supported yet"),
    "GlobalAveragePool": (_DENSE, ": pooling is not supported yet"),
    "Sigmoid":           (_SIGN, ""),
    "Tanh":              (_SIGN, ""),
    "LeakyRelu":         (_SIGN, ""),
    "PRelu":             (_SIGN, ""),
    "Elu":               (_SIGN, ""),
}
