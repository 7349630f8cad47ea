"""Which ONNX operations are read, and by which handler.

A handler takes the `Site` of its node, and returns what the node's first output stands for, or a
tuple with one entry for each output. What it does not take it refuses with `Site.refusal`.
"""

from collections.abc import Callable

from compiler.frontends import onnx_compare as compare
from compiler.frontends import onnx_constants as constants
from compiler.frontends import onnx_conv as conv
from compiler.frontends import onnx_dense as dense
from compiler.frontends import onnx_elementwise as elementwise
from compiler.frontends import onnx_joins as joins
from compiler.frontends import onnx_pools as pools
from compiler.frontends import onnx_quant as quant
from compiler.frontends import onnx_shapes as shapes
from compiler.frontends import onnx_windows as windows
from compiler.frontends.onnx_site import Site
from compiler.frontends.onnx_values import Operand


__all__ = ["AFTER_CLASS", "AFTER_CLIP", "AFTER_PAD", "AFTER_TRUTH", "DOMAINS", "HANDLERS", "LATER",
           "NETWORK", "PICTURES"]

Handler = Callable[[Site], Operand | tuple[Operand | None, ...]]

DOMAINS = {"", "ai.onnx", "qonnx.custom_op.general", "finn.custom_op.general", "finn",
           "onnx.brevitas"}

HANDLERS: dict[str, Handler] = {
    "Abs":                constants.absolute,
    "Add":                joins.add,
    "ArgMax":             elementwise.argmax,
    "AveragePool":        pools.average_pool,
    "BatchNormalization": elementwise.batch_normalization,
    "BipolarQuant":       quant.bipolar_quant,
    "Cast":               elementwise.cast,
    "Clip":               elementwise.clip,
    "Concat":             joins.concat,
    "Constant":           constants.constant,
    "ConstantOfShape":    constants.constant_of_shape,
    "Conv":               conv.conv,
    "Div":                elementwise.div,
    "Dropout":            elementwise.dropout,
    "Flatten":            shapes.flatten,
    "Gather":             constants.gather,
    "FloatQuant":         quant.float_quant,
    "Gemm":               dense.gemm,
    "GlobalAveragePool":  pools.global_average_pool,
    "GlobalMaxPool":      pools.global_max_pool,
    "Greater":            compare.greater,
    "GreaterOrEqual":     compare.greater_or_equal,
    "Identity":           elementwise.identity,
    "Less":               compare.less,
    "LessOrEqual":        compare.less_or_equal,
    "LogSoftmax":         elementwise.softmax,
    "MatMul":             dense.matmul,
    "MaxPool":            pools.max_pool,
    "Mul":                elementwise.mul,
    "MultiThreshold":     quant.multi_threshold,
    "Neg":                elementwise.neg,
    "Pad":                windows.pad,
    "Quant":              quant.quant,
    "ReduceMean":         pools.reduce_mean,
    "Relu":               elementwise.relu,
    "Reshape":            shapes.reshape,
    "Shape":              constants.shape,
    "Sign":               quant.sign,
    "Slice":              constants.slice_,
    "Softmax":            elementwise.softmax,
    "Squeeze":            shapes.squeeze,
    "Sub":                elementwise.sub,
    "TopK":               elementwise.top_k,
    "Transpose":          shapes.transpose,
    "Unsqueeze":          shapes.unsqueeze,
    "Where":              compare.where,
}

# What may read the class that ends a network, a comparison, or what a Clip or a Pad made
AFTER_CLASS = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
AFTER_TRUTH = AFTER_CLASS | {"Where"}
AFTER_CLIP = AFTER_CLASS - {"Cast"} | {"BipolarQuant", "Dropout", "Greater", "GreaterOrEqual",
                                       "Less", "LessOrEqual", "MaxPool", "MultiThreshold", "Quant",
                                       "Sign"}
AFTER_PAD = {"AveragePool", "Conv"}

# What needs a picture with its axes
PICTURES = {"AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}

NETWORK = ("a layer (Conv, Gemm, MatMul), a pool (MaxPool, AveragePool), BatchNormalization, a "
           "sign (Sign, BipolarQuant, MultiThreshold), Quant, Relu, Add or Concat, or arithmetic "
           "with a constant")
_LAYER = "a layer (Conv, Gemm or MatMul)"
_POOL = "a pool (MaxPool or AveragePool)"
_SIGN = "a sign (Sign, BipolarQuant, MultiThreshold), Quant or Relu"
LATER = {  # what is expected instead, and why
    "ConvTranspose": (_LAYER, ": transposed convolution is not supported"),
    "LpPool":        (_POOL, ""),
    "GlobalLpPool":  (_POOL, ""),
    "Sigmoid":       (_SIGN, ""),
    "Tanh":          (_SIGN, ""),
    "LeakyRelu":     (_SIGN, ""),
    "PRelu":         (_SIGN, ""),
    "Elu":           (_SIGN, ""),
}
