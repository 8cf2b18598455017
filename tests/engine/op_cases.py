#!/usr/bin/env python3
"""Asks the installed TensorFlow for the answers of a few thousand op calls, and writes them into
tests/engine/cases, which tests/unit/engine/test_ops_cases.c replays against the native ops. Each op
belongs to a family, and each family has a file, ops_<family>.bin.

    python3 tests/engine/op_cases.py tests/engine/cases             all of them
    python3 tests/engine/op_cases.py tests/engine/cases math nn     these two

Answers in floating point differ a little from processor to processor: make only what has changed.

A file: "SLOC1\n", then for each case (all numbers little endian)
    u32 bytes that follow
    str op, str label                                        str: u16 length, bytes
    u8 attrs: str name, str AttrValue                        defaults are left out, as in exports
    u8 inputs: tensor                                        u8 dtype, u8 rank, u32 dims, data;
    u8 code: 0 -> u8 outputs: tensor; else str error text    a string element: u32 length, bytes
"""
import base64
import os
import struct
import sys
import zlib

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.framework import op_def_registry

F, D, H, B = np.float32, np.float64, np.float16, tf.bfloat16.as_numpy_dtype
I8, I16, I32, I64 = np.int8, np.int16, np.int32, np.int64
U8, U16, U32, U64 = np.uint8, np.uint16, np.uint32, np.uint64
FILE_LIMIT = 2 << 20  # of the test that reads it
families = {}  # name: cases
family_of = {}  # op: name
nan, inf = np.nan, np.inf


def family(name, draws, half=None):
    """What follows belongs to that family. All sections take their random numbers from one stream, each from a place that is
    written down: after so many draws, with the `half` that was left of one. So the cases of a section stay as they are when
    another gets more. A new section may begin anywhere, 200000 for instance."""
    global rng, here
    here = name
    bits = np.random.PCG64(20)
    bits.advance(draws)
    if half is not None:
        bits.state = {**bits.state, "has_uint32": 1, "uinteger": half}
    rng = np.random.Generator(bits)


def case(op, inputs, label="", **attrs):
    if family_of.setdefault(op, here) != here:
        sys.exit("%s is in two families: %s and %s" % (op, family_of[op], here))
    families.setdefault(here, []).append(
        (op, label, [[np.asarray(p) for p in i] if isinstance(i, list) else np.asarray(i) for i in inputs], attrs))


def rnd(*shape, t=F, lo=-3, hi=3):
    if np.issubdtype(t, np.integer):
        return rng.integers(max(int(lo), np.iinfo(t).min), int(hi) + 1, shape).astype(t) if np.iinfo(
            t).min < 0 else rng.integers(max(int(lo), 0), int(hi) + 1, shape).astype(t)
    return rng.uniform(lo, hi, shape).astype(t)


def S(*v):
    return np.array(v, object)


def ints(*v, t=I32):
    return np.array(v, t)


# ---- elementwise, one operand ----
family("math", 0)
edge = np.array([0, -0.0, 1, -1, .5, -.5, 1.5, 2.5, -2.5, 3.7, 1e-3, -1e-3, 20, -20, 100, -100, nan, inf, -inf], F)
for op in ("Abs Neg Sign Square Relu Relu6 Sqrt Rsqrt Reciprocal Exp Expm1 Log Log1p Sin Cos Tan Asin Acos Atan "
           "Sinh Cosh Asinh Acosh Atanh Tanh Sigmoid Erf Erfc Floor Ceil Rint Round IsNan IsInf IsFinite "
           "LeakyRelu Elu Selu Softplus Softsign Lgamma").split():
    e = edge
    if op in ("Sin", "Cos", "Tan"):
        e = edge[np.isfinite(edge)]
    names = {"Relu": "features", "Relu6": "features"}
    case(op, [np.concatenate([e, rnd(16)])], "edges")
    case(op, [rnd(5, 7, t=D)], "double")
    case(op, [rnd(3, 5, t=H)], "half")
    if op not in ("Lgamma",):
        case(op, [rnd(3, 5, t=B)], "bfloat16")
case("Tanh", [rnd(150, lo=-12, hi=12)], "range")
case("Sigmoid", [rnd(150, lo=-90, hi=90)], "range")
case("Exp", [rnd(150, lo=-90, hi=89)], "range")
case("Erf", [rnd(200, lo=-5, hi=5)], "range")
case("Erfc", [rnd(200, lo=-6, hi=6)], "range")
case("Softplus", [rnd(100, lo=-40, hi=40)], "range")
case("Relu", [np.zeros((0, 4), F)], "empty")
case("Relu", [F(-2)], "scalar")
case("LeakyRelu", [rnd(9)], "alpha", alpha=0.3)
for t in (I8, I16, I32, I64):
    x = np.array([0, 1, -1, 5, -7, np.iinfo(t).max, np.iinfo(t).min], t)
    for op in "Abs Neg Sign Square Relu Invert".split():
        if t in (I8, I16) and op in ("Square",):
            continue
        case(op, [x], t.__name__)
for t in (U8, U16, U32, U64):
    case("Invert", [np.array([0, 1, np.iinfo(t).max], t)], t.__name__)
case("LogicalNot", [np.array([True, False])])

# ---- elementwise, two operands ----
family("math", 4265)
shapes = [((3, 4), (3, 4)), ((3, 4), ()), ((), (3, 4)), ((3, 4), (4,)), ((4,), (3, 4)), ((3, 4), (3, 1)),
          ((3, 1), (1, 4)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (3, 1)), ((0, 4), (4,)), ((1, 1), (5,)), ((2, 3), (4,)),
          ((2, 1, 3, 1), (5, 1, 2)), ((1, 3), (3,))]
for a, b in shapes:
    for op in ("AddV2", "Sub", "Less"):
        case(op, [rnd(*a), rnd(*b)], "broadcast")
pairs = np.array([[x, y] for x in (0, -0.0, 1, -2.5, nan, inf, -inf) for y in (0, -0.0, 1, -2.5, nan, inf, -inf)], F)
for op in ("Add AddV2 Sub Mul RealDiv Div DivNoNan MulNoNan Maximum Minimum SquaredDifference Atan2 "
           "Xlogy Xdivy Xlog1py Equal NotEqual Less LessEqual Greater GreaterEqual").split():
    case(op, [pairs[:, 0], pairs[:, 1]], "edges")
    case(op, [rnd(4, 5, t=D), rnd(4, 5, t=D)], "double")
    case(op, [rnd(4, 5, t=H), rnd(5, t=H)], "half")
    if op not in ("Xlog1py",):
        case(op, [rnd(4, 5, t=B), rnd(5, t=B)], "bfloat16")
for op in ("FloorDiv", "FloorMod"):
    case(op, [rnd(20, lo=-9, hi=9), rnd(20)], "float")
    case(op, [rnd(20, lo=-9, hi=9, t=D), rnd(20, t=D)], "double")
case("Pow", [rnd(10, lo=.1), rnd(10)], "float")
for e in (2., 3., .5, 0., -1.):
    case("Pow", [rnd(10), F(e)], "exponent")
case("Pow", [rnd(10, lo=.1, t=D), rnd(10, t=D)], "double")
case("Pow", [ints(2, -3, 10, 7), ints(10, 3, 0, 1)], "int32")
case("Pow", [ints(2), ints(-1)], "negative exponent")
int_ops = "AddV2 Sub Mul Maximum Minimum FloorDiv FloorMod Less LessEqual Greater GreaterEqual Equal NotEqual".split()
for t in (I8, I16, I32, I64, U8, U16, U32, U64):
    i = np.iinfo(t)
    a = np.array([i.min, i.max, 7, i.max, 100, 3, 0], t)
    b = np.array([3, 2, 3, i.max, 7, 5, 9], t)
    for op in int_ops:
        case(op, [a, b], t.__name__)
    if t in (I32, I64):
        case("SquaredDifference", [a, b], t.__name__)
        case("TruncateDiv", [a, b], t.__name__)
        c = np.array([-7, 7, -7, 7, -8, 0], t)
        d = np.array([3, -3, -3, 3, 4, -2], t)
        for op in ("FloorDiv", "FloorMod", "TruncateDiv", "TruncateMod", "Mod", "Div"):
            if op in ("Mod", "TruncateMod") and t not in (I32, I64):
                continue
            case(op, [c, d], "signs")
    for op in "BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift".split():
        case(op, [np.array([1, 2, 100, i.max, 5], t), np.array([0, 1, 3, 5, 7], t)], t.__name__)
for op in ("FloorDiv", "FloorMod", "TruncateDiv", "Div"):
    case(op, [ints(1, 2), ints(1, 0)], "by zero")
for op in ("LogicalAnd", "LogicalOr", "Equal", "NotEqual"):
    case(op, [np.array([[True], [False]]), np.array([True, False])], "bool")
for op in ("Equal", "NotEqual"):
    case(op, [np.array([b"a", b"bc", b""], object), np.array([b"a", b"bd", b""], object)], "string")
    case(op, [rnd(2, 3), rnd(4)], "any shape", incompatible_shape_error=False)
    case(op, [rnd(2, 3), rnd(4)], "bad shape")
case("AddN", [[rnd(3, 2), rnd(3, 2), rnd(3, 2)]], "float")
case("AddN", [[rnd(3, 2)]], "one")
case("AddN", [[rnd(3, 2, t=H), rnd(3, 2, t=H)]], "half")
case("AddN", [[rnd(2, 3), rnd(3)]], "bad shape")
case("Select", [np.array([True, False]), rnd(2, 3), rnd(2, 3)], "rows")
case("Select", [np.array([[True, False]]), rnd(1, 2), rnd(1, 2)], "elements")
case("Select", [np.array(False), rnd(2, 2), rnd(2, 2)], "scalar")
case("Select", [np.array([True]), rnd(2, 3), rnd(2, 3)], "bad")
case("SelectV2", [np.array([[True], [False]]), rnd(2, 3), rnd(3)], "broadcast")
case("SelectV2", [np.array(True), rnd(2, 3, t=I64), np.array(5, I64)], "scalar")
case("SelectV2", [rnd(2, 3) > 0, rnd(2, 3), rnd(2, 3)], "same")
case("SelectV2", [rnd(4, 1, 3) > 0, rnd(2, 1), rnd(4, 2, 3)], "three")
case("SelectV2", [np.array([True, False]), np.array([b"x", b"y"], object), np.array(b"z", object)], "string")
case("SelectV2", [np.array([True, False]), rnd(2, 3), rnd(2, 3)], "bad")
case("ClipByValue", [rnd(3, 4), F(-1), F(1)], "float")
case("ClipByValue", [np.array([nan, 5, -5], F), F(-1), F(1)], "nan")
case("ClipByValue", [rnd(3, 4, t=I32, lo=-9, hi=9), I32(-2), I32(2)], "int")
case("ClipByValue", [rnd(3), rnd(3, lo=-1, hi=0), rnd(3, lo=0, hi=1)], "vectors")
case("ClipByValue", [rnd(2, 3), rnd(2), F(1)], "bad")

# ---- casts ----
family("math", 7168)
src = np.array([0, 1, -1, 2.9, -2.9, 300, -300, 127.5, 40000, 3e9, -3e9, 1e19, -1e19, nan, inf, -inf, .3], F)
types = [F, D, H, B, I8, I16, I32, I64, U8, U16, U32, U64, np.bool_]
for to in types:
    case("Cast", [src[:9] if to == U32 else src], "float", DstT=tf.as_dtype(to))
    # double to a small integer that it does not fit hangs on the place in the vector: not asked
    small = to in (I8, I16, U8, U16, U32)
    case("Cast", [np.array([0, 1, 2.9, 100, .3], D) if small else src.astype(D)], "double", DstT=tf.as_dtype(to))
    case("Cast", [np.array([0, 1, -1, 2.9, 300, nan], H)], "half", DstT=tf.as_dtype(to))
    case("Cast", [np.array([0, 1, -1, 2.9, 300, nan], B)], "bfloat16", DstT=tf.as_dtype(to))
    for t in (I8, I16, I32, I64, U8, U16, U32, U64):
        i = np.iinfo(t)
        case("Cast", [np.array([0, 1, i.min, i.max, 77], t)], t.__name__, DstT=tf.as_dtype(to))
    case("Cast", [np.array([True, False])], "bool", DstT=tf.as_dtype(to))
case("Bitcast", [rnd(3, 2)], "same size", type=tf.int32)
case("Bitcast", [rnd(3, 2)], "smaller", type=tf.uint8)
case("Bitcast", [rnd(3, 2)], "larger", type=tf.double)
case("Bitcast", [rnd(3, 3)], "bad", type=tf.double)

# ---- shapes ----
family("array", 7195)
x = rnd(2, 3, 4)
case("Identity", [x])
case("IdentityN", [[x, ints(1, 2)]])
case("Shape", [x])
case("Shape", [x], "int64", out_type=tf.int64)
case("Shape", [np.array([b"a"], object)], "string")
case("ShapeN", [[x, rnd(2, 0, 1)]])
case("Size", [x])
case("Rank", [x])
for to in ([6, 4], [-1], [2, -1, 2], [24, 1], [4, -1, 5], [5, 5], [-1, -1], [-2, 3]):
    case("Reshape", [x, np.array(to, I32)], str(to))
case("Reshape", [x, np.array([4, -1], I64)], "int64")
case("Reshape", [F(3), np.array([], I32)], "scalar")
case("Reshape", [np.zeros((0, 3), F), ints(-1, 3)], "empty")
case("Reshape", [np.zeros((0, 3), F), ints(-1, 0)], "empty open")
case("Reshape", [np.zeros((0, 3), F), ints(0, -1)], "empty open 2")
case("Reshape", [x, np.array([[6, 4]], I32)], "matrix")
for axis in (0, 1, -1, 3, -4, 5):
    case("ExpandDims", [x, I32(axis)], str(axis))
case("Squeeze", [rnd(1, 3, 1)])
case("Squeeze", [rnd(1, 3, 1)], "axis", squeeze_dims=[-1])
case("Squeeze", [rnd(2, 3)], "bad", squeeze_dims=[0])
case("Squeeze", [rnd(2, 3)], "range", squeeze_dims=[3])
case("EnsureShape", [rnd(2, 3)], "ok", shape=tf.TensorShape([None, 3]))

# ---- moving ----
family("array", 7243)
for perm in ([0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1], [2, 0, 1], [0, 0, 1], [0, 1, 5], [0, 1]):
    case("Transpose", [x, np.array(perm, I32)], str(perm))
case("Transpose", [rnd(2, 3, 4, 5), ints(0, 2, 1, 3)], "heads")
case("Transpose", [rnd(19, 18), ints(1, 0)], "blocks")
for t in (U8, H, D, np.bool_):
    case("Transpose", [rnd(3, 4).astype(t), ints(1, 0)], t.__name__)
case("Transpose", [np.array([[b"a", b"b"], [b"c", b"d"]], object), ints(1, 0)], "string")
for axis in (0, 1, -1):
    s = [2, 3, 4]
    s[axis] = 2
    case("ConcatV2", [[x, rnd(*s), x], I32(axis)], str(axis))
case("ConcatV2", [[x, np.zeros((2, 0, 4), F)], I32(1)], "empty piece")
case("ConcatV2", [[rnd(2, 3), rnd(3, 3)], I32(1)], "bad dim")
case("ConcatV2", [[rnd(2, 3), rnd(3)], I32(1)], "bad rank")
case("ConcatV2", [[rnd(2, 3), rnd(2, 3)], I32(3)], "bad axis")
case("Concat", [I32(1), [rnd(2, 3), rnd(2, 1)]])
for axis in (0, 1, -1, 2):
    case("Pack", [[rnd(2, 3), rnd(2, 3)]], str(axis), axis=axis)
case("Pack", [[I32(4), I32(5)]], "scalars")
case("Pack", [[rnd(2, 3), rnd(3, 3)]], "bad", axis=1)
case("Pack", [[rnd(2, 3), rnd(2, 3)]], "bad axis", axis=4)
for axis in (0, 1, -1):
    case("Unpack", [x], str(axis), num=x.shape[axis], axis=axis)
case("Unpack", [x], "bad", num=3, axis=0)
for axis, n in ((0, 2), (1, 3), (-1, 2), (2, 4)):
    case("Split", [I32(axis), x], str(axis), num_split=n)
case("Split", [I32(1), x], "bad", num_split=2)
case("Split", [I32(3), x], "bad axis", num_split=2)
case("SplitV", [x, ints(1, 2), I32(1)], "sizes", num_split=2)
case("SplitV", [x, ints(-1, 1, 2), I32(2)], "open", num_split=3)
case("SplitV", [x, ints(1, 1), I32(1)], "bad", num_split=2)
case("SplitV", [x, ints(-1, -1), I32(1)], "two open", num_split=2)
case("Tile", [x, ints(1, 2, 3)])
case("Tile", [x, ints(2, 0, 1)], "empty")
case("Tile", [rnd(2, 3), ints(1)], "bad")
case("Tile", [rnd(2, 3), ints(1, -1)], "negative")
case("BroadcastTo", [rnd(3, 1), ints(2, 3, 4)])
case("BroadcastTo", [F(2), ints(2, 2)], "scalar")
case("BroadcastTo", [rnd(2, 3), ints(3, 3)], "bad")
case("BroadcastTo", [rnd(2, 3), ints(3)], "rank")
case("ReverseV2", [x, ints(0)])
case("ReverseV2", [x, ints(-1, 1)], "two")
case("ReverseV2", [x, np.array([], I32)], "none")
case("ReverseV2", [rnd(2, 3), ints(2)], "bad")
case("ReverseV2", [rnd(2, 3), ints(0, 0)], "twice")

# ---- slices ----
family("array", 7963)
for b, s in (([0, 0, 0], [2, 3, 4]), ([0, 1, 2], [1, 2, -1]), ([1, 0, 0], [0, 3, 4]), ([0, 1, 0], [1, 4, 1]),
             ([0, 5, 0], [1, 1, 1]), ([0, -1, 0], [1, 1, 1])):
    case("Slice", [x, np.array(b, I32), np.array(s, I32)], str((b, s)))
case("Slice", [x, ints(0), ints(1)], "rank")


def strided(b, e, s, **k):
    case("StridedSlice", [x, np.array(b, I32), np.array(e, I32), np.array(s, I32)], str((b, e, s)), **k)


strided([0], [1], [1])
strided([0, 0, 0], [2, 3, 4], [1, 2, 2])
strided([0, 0], [0, -1], [1, 1], begin_mask=3, end_mask=1)
strided([0, -1], [0, 0], [1, 1], begin_mask=1, end_mask=1, shrink_axis_mask=2)
strided([0, 0, 0], [0, 0, 0], [-1, 1, -1], begin_mask=7, end_mask=7)
strided([0, 1], [0, 2], [1, 1], ellipsis_mask=1, shrink_axis_mask=2)
strided([0, 0, 1], [0, 0, 3], [1, 1, 1], new_axis_mask=1, ellipsis_mask=2)
strided([0, 0], [0, 0], [1, 1], begin_mask=1, end_mask=1, new_axis_mask=2)
strided([1, 0, 0], [2, 0, 0], [1, 1, 1], new_axis_mask=6, shrink_axis_mask=1)
strided([5, -9], [9, 9], [1, 1])
strided([2, 3], [0, 0], [-1, -2])
strided([1], [5], [3])
strided([-1], [0], [1], shrink_axis_mask=1)
strided([5], [6], [1], shrink_axis_mask=1)
strided([0], [1], [0])
strided([0], [1], [-1], shrink_axis_mask=1)
strided([0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1])
strided([0, 0], [1, 1], [1, 1], ellipsis_mask=3)
case("StridedSlice", [ints(5, 6, 7), ints(1), ints(2), ints(1)], "shape vector", shrink_axis_mask=1)
case("StridedSlice", [ints(5, 6, 7), np.array([1], I64), np.array([2], I64), np.array([1], I64)], "int64")

# ---- gathers ----
family("array", 7963)
case("GatherV2", [rnd(5, 3), ints(0, 4, 4, 1), I32(0)], "rows")
case("GatherV2", [rnd(5, 3), np.array([[0, 2], [1, 1]], I64), I32(1)], "axis")
case("GatherV2", [rnd(5, 3), np.array([[0, 2]], I64), I32(-1)], "negative axis")
case("GatherV2", [rnd(5, 3), I32(2), I32(0)], "scalar")
case("GatherV2", [rnd(2, 5, 3), ints(*[0, 4]).reshape(2, 1), I32(1)], "batch", batch_dims=1)
case("GatherV2", [rnd(2, 4, 5, 3), rng.integers(0, 5, (2, 2)).astype(I32), I32(2)], "batch axis", batch_dims=1)
case("GatherV2", [rnd(0, 3), np.zeros((0,), I32), I32(0)], "empty")
case("GatherV2", [rnd(2, 3), ints(5), I32(0)], "range")
case("GatherV2", [rnd(2, 3), np.array([[0, -1]], I32), I32(1)], "negative")
case("GatherV2", [rnd(2, 3), ints(0), I32(2)], "bad axis")
case("GatherV2", [rnd(2, 3), np.array([[0, 1]], I32), I32(1)], "bad batch", batch_dims=1)
case("GatherV2", [np.array([b"a", b"bb", b"ccc"], object), ints(2, 0), I32(0)], "string")
case("GatherNd", [rnd(4, 5), np.array([[0, 1], [3, 4]], I32)], "elements")
case("GatherNd", [rnd(4, 5), np.array([[[0], [3]]], I64)], "rows")
case("GatherNd", [rnd(2, 3), np.array([[0, 7], [0, 0]], I32)], "range")
case("GatherNd", [rnd(2, 3), np.array([[0, 0, 0]], I32)], "depth")
case("InvertPermutation", [ints(2, 0, 1)])
case("InvertPermutation", [ints(0, 5)], "range")
case("InvertPermutation", [ints(0, 0)], "twice")

# ---- making ----
family("array", 8251)
case("Fill", [ints(2, 3), F(7)])
case("Fill", [np.array([2], I64), np.array(b"abc", object)], "string")
case("Fill", [ints(-1), F(7)], "negative")
case("Fill", [np.array([], I32), np.array(True)], "scalar")
for t in (F, H, B, D, I32, I64, U8, np.bool_):
    case("ZerosLike", [np.ones((2, 3), t)], "")
    case("OnesLike", [np.zeros((2, 3), t)], "")
for a, b, d in ((0, 5, 1), (5, 0, -2), (3, 3, 1), (0, 7, 3), (0, 5, 0), (6, 5, 1), (4, 5, -1)):
    case("Range", [I32(a), I32(b), I32(d)], str((a, b, d)))
case("Range", [I64(0), I64(4), I64(1)], "int64")
case("Range", [F(0), F(1), F(.3)], "float")
for axis in (-1, 0, 1):
    case("OneHot", [np.array([[0, 2], [-1, 3]], I32), I32(3), F(5), F(-1)], str(axis), axis=axis)
case("OneHot", [np.array([1, 0], I64), I32(2), np.array(True), np.array(False)], "bool")
case("OneHot", [U8(1), I32(3), I32(1), I32(0)], "uint8")
case("OneHot", [ints(1), I32(-1), F(1), F(0)], "negative")
case("OneHot", [ints(1), I32(2), F(1), F(0)], "axis", axis=3)
case("Where", [np.array([[True, False], [True, True]])])
case("Where", [np.array([0, nan, -0.0, 3], F)], "float")
case("Where", [np.zeros((0, 2), np.bool_)], "empty")
case("Where", [np.array(True)], "scalar")
case("Unique", [ints(4, 1, 4, 2, 1)])
case("Unique", [np.array([b"b", b"a", b"b"], object)], "string", out_idx=tf.int64)
case("UniqueWithCounts", [np.array([3, 3, 9], I64)])
case("Unique", [np.zeros((0,), F)], "empty")
case("TopKV2", [np.array([[3, 1, 3, 9], [0, 0, 0, 0]], F), I32(3)], "ties")
case("TopKV2", [rnd(3, 50), I32(7)], "rows")
case("TopKV2", [rnd(20, t=I32, lo=-99, hi=99), I32(20)], "all")
case("TopKV2", [rnd(9, t=I64, lo=-99, hi=99), I32(1)], "one")
case("TopKV2", [rnd(2, 5), I32(0)], "none")
case("TopKV2", [rnd(2, 3), I32(5)], "bad")

# ---- pads, blocks ----
family("array", 8432, 613060615)
p = np.array([[1, 2], [0, 1], [2, 0]], I32)
case("Pad", [x, p])
case("Pad", [x, p.astype(I64)], "int64")
case("PadV2", [x, p, F(9)])
case("Pad", [np.zeros((0, 2), F), np.array([[1, 1], [0, 1]], I32)], "empty")
case("Pad", [rnd(2, 3), np.array([[1, 1]], I32)], "rank")
case("Pad", [rnd(2, 3), np.array([[1, -1], [0, 0]], I32)], "negative")
for mode in ("REFLECT", "SYMMETRIC"):
    case("MirrorPad", [rnd(4, 5), np.array([[2, 1], [0, 3]], I32)], mode, mode=mode)
    case("MirrorPad", [rnd(2, 3, 4), np.array([[1, 1], [2, 2], [1, 3]], I32)], mode + " 3", mode=mode)
    case("MirrorPad", [rnd(2, 3), np.array([[3, 0], [0, 0]], I32)], mode + " bad", mode=mode)
    case("MirrorPad", [np.zeros((0, 3), F), np.array([[0, 0], [1, 1]], I32)], mode + " empty", mode=mode)
case("DepthToSpace", [rnd(2, 2, 3, 8)], "", block_size=2)
case("SpaceToDepth", [rnd(2, 4, 6, 3)], "", block_size=2)
case("DepthToSpace", [rnd(1, 2, 2, 3)], "bad", block_size=2)
case("SpaceToDepth", [rnd(1, 3, 3, 1)], "bad", block_size=2)
case("SpaceToBatchND", [rnd(2, 4, 6, 3), ints(2, 3), np.array([[0, 0], [0, 0]], I32)])
case("SpaceToBatchND", [rnd(2, 3, 5, 3), ints(2, 3), np.array([[1, 2], [2, 2]], I32)], "pads")
case("SpaceToBatchND", [rnd(1, 3, 3, 1), ints(2, 2), np.array([[0, 0], [0, 0]], I32)], "bad")
case("SpaceToBatchND", [rnd(2, 5, 3), ints(3), np.array([[4, 3]], I32)], "1d")
case("BatchToSpaceND", [rnd(12, 2, 2, 3), ints(2, 3), np.array([[0, 0], [0, 0]], I32)])
case("BatchToSpaceND", [rnd(12, 2, 2, 3), ints(2, 3), np.array([[1, 2], [2, 1]], I32)], "crops")
case("BatchToSpaceND", [rnd(3, 3, 3, 1), ints(2, 2), np.array([[0, 0], [0, 0]], I32)], "bad")

# ---- products ----
family("linear", 9393, 613060615)
for m, k, n in ((1, 3, 1), (2, 3, 4), (1, 32, 10), (5, 9, 33), (17, 5, 34), (1, 19, 35), (3, 0, 2), (0, 3, 2),
                (40, 7, 1), (13, 17, 3), (3, 258, 1), (26, 5, 36)):
    for ta, tb in ((False, False), (True, False), (False, True), (True, True)):
        a, b = rnd(m, k, lo=-1, hi=1), rnd(k, n, lo=-1, hi=1)
        if m * k + k * n > 150 and ta != tb:
            continue
        case("MatMul", [a.T.copy() if ta else a, b.T.copy() if tb else b], "%dx%dx%d" % (m, k, n), transpose_a=ta,
             transpose_b=tb)
for t in (D, H, B, I32, I64):
    case("MatMul", [rnd(5, 9, t=t), rnd(9, 17, t=t)], tf.as_dtype(t).name)
    case("MatMul", [rnd(1, 9, t=t), rnd(9, 9, t=t)], tf.as_dtype(t).name, transpose_b=True)
case("MatMul", [rnd(2, 3), rnd(4, 1)], "bad")
case("BatchMatMulV2", [rnd(2, 3, 4), rnd(2, 4, 5)])
case("BatchMatMulV2", [rnd(2, 3, 3, 4), rnd(3, 5, 4)], "adj", adj_y=True)
case("BatchMatMulV2", [rnd(1, 2, 4, 3), rnd(5, 1, 4, 2)], "broadcast", adj_x=True)
case("BatchMatMulV2", [rnd(2, 3), rnd(3, 2)], "matrices")
case("BatchMatMulV2", [rnd(2, 3, 4, t=H), rnd(2, 4, 5, t=H)], "half")
case("BatchMatMulV2", [rnd(0, 3, 4), rnd(0, 4, 5)], "empty")
case("BatchMatMulV2", [rnd(2, 3), rnd(4, 1)], "bad")
case("BatchMatMulV2", [rnd(2, 3, 4), rnd(3, 4, 1)], "bad batch")
case("BatchMatMulV2", [rnd(2), rnd(4, 1)], "bad rank")
for t in (F, D, H, B, I32):
    case("BiasAdd", [rnd(3, 4, t=t), rnd(4, t=t)], tf.as_dtype(t).name)
case("BiasAdd", [rnd(2, 3, 4, 5), rnd(5)], "image")
case("BiasAdd", [rnd(2, 3, 4, 5), rnd(3)], "first", data_format="NCHW")
case("BiasAdd", [rnd(2, 3), rnd(4)], "bad")
case("BiasAdd", [rnd(2, 3), rnd(4, 1)], "rank")
case("BiasAdd", [rnd(3), rnd(3)], "vector")
for eq, *s in (("ab,bc->ac", (2, 3), (3, 4)), ("abc,cde->abde", (2, 3, 4), (4, 2, 3)), ("abcd,cde->abe", (2, 3, 2, 4), (2, 4, 5)),
               ("ab,c->abc", (2, 3), (4,)), ("BTNH,BSNH->BNTS", (2, 3, 2, 4), (2, 5, 2, 4)),
               ("BNTS,BSNH->BTNH", (2, 2, 3, 5), (2, 5, 2, 4)), ("abc,dce->abde", (2, 3, 4), (2, 4, 3)),
               ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)), ("bhqk,bhkd->bhqd", (2, 3, 4, 6), (2, 3, 6, 5)),
               ("abcde,afce->acdbf", (1, 2, 3, 2, 4), (1, 5, 3, 4)), ("abcde,aebf->adbcf", (1, 2, 3, 4, 5), (1, 5, 2, 3)),
               ("abc,cd->abd", (2, 3, 4), (4, 5)), ("aecd,abcd->acbe", (2, 3, 2, 4), (2, 5, 2, 4)),
               ("acbe,aecd->abcd", (2, 2, 3, 5), (2, 5, 2, 4)), ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
               ("ab->ba", (2, 3)), ("ab,bc->ac", (2, 3), (4, 5))):
    case("Einsum", [[rnd(*i) for i in s]], eq, equation=eq)

# ---- reductions ----
family("reduce", 27315, 3939635538)
for op in ("Sum", "Mean", "Max", "Min", "Prod", "EuclideanNorm"):
    for axes in ([0], [1], [-1], [0, 1], [0, 2], [1, 2], [0, 1, 2], [], [2, 0, 1]):
        case(op, [x, np.array(axes, I32)], str(axes))
    case(op, [x, I32(1)], "keep", keep_dims=True)
    case(op, [rnd(3, 70), ints(1)], "row")
    case(op, [rnd(1, 5, 70), ints(1)], "columns")
    case(op, [rnd(4, 5, t=D), ints(0)], "double")
    case(op, [np.zeros((2, 0), F), ints(1)], "nothing")
    case(op, [np.array([1, nan, 3], F), ints(0)], "nan")
    if op != "EuclideanNorm":
        case(op, [rnd(4, 5, t=H), ints(1)], "half")
        case(op, [rnd(4, 5, t=B), ints(0)], "bfloat16")
        for t in (I32, I64, U8, I8, I16):
            case(op, [rnd(4, 5, t=t, hi=5), np.array([1], I64)], t.__name__)
case("Sum", [np.ones(2100, H), ints(0)], "2100 halves")
case("Sum", [rnd(2, 3), ints(2)], "bad")
case("Sum", [rnd(2, 3), ints(0, 0)], "twice")
case("All", [rnd(3, 4) > -2, ints(1)])
case("Any", [rnd(3, 4) > 2, ints(0)], "keep", keep_dims=True)
case("All", [np.zeros((2, 0), np.bool_), ints(1)], "nothing")
for op in ("ArgMax", "ArgMin"):
    for axis in (0, 1, -1):
        case(op, [x, I32(axis)], str(axis))
    case(op, [np.array([[1, 5, 5, 0, 0]], F), I32(1)], "ties", output_type=tf.int32)
    case(op, [np.array([[nan, 1], [1, nan]], F), I32(1)], "nan")
    case(op, [rnd(3, 4, t=I64), I32(0)], "int64")
    case(op, [rnd(3, 4, t=U8), I32(0)], "uint8")
    case(op, [rnd(2, 3), I32(2)], "bad")
    case(op, [np.zeros((2, 0), F), I32(1)], "empty")
for op in ("Cumsum", "Cumprod"):
    for ex in (False, True):
        for rev in (False, True):
            case(op, [x, I32(1)], "", exclusive=ex, reverse=rev)
    case(op, [rnd(5, t=I64), I32(-1)], "int64")
    case(op, [rnd(5), I32(2)], "bad")
case("SegmentSum", [rnd(5, 2), ints(0, 0, 2, 2, 3)])
case("SegmentMean", [rnd(5, 2), ints(0, 0, 2, 2, 3)])
case("SegmentSum", [rnd(2, 3), ints(1, 0)], "bad")
case("UnsortedSegmentSum", [rnd(5, 2), ints(3, 0, 0, -1, 2), I32(4)])
case("UnsortedSegmentMax", [rnd(5, 2), ints(3, 0, 0, -1, 2), I32(5)])
case("UnsortedSegmentSum", [rnd(2, 3), ints(0, 5), I32(2)], "bad")

# ---- neural nets ----
family("nn", 31384, 2635119111)
for op in ("Softmax", "LogSoftmax"):
    case(op, [rnd(3, 5)])
    case(op, [rnd(2, 3, 40, lo=-50, hi=50)], "wide")
    case(op, [np.array([[1, -inf], [1000, -1000]], F)], "edges")
    case(op, [rnd(3, 5, t=D)], "double")
    case(op, [rnd(3, 5, t=H)], "half")
    case(op, [rnd(7)], "vector")
    case(op, [np.zeros((0, 3), F)], "empty")
case("Softmax", [F(1)], "scalar")


def conv(op, xs, fs, label="", t=F, **k):
    k = {"strides": [1, 1, 1, 1], "padding": "SAME", **k}
    case(op, [rnd(*xs, t=t, lo=-1, hi=1), rnd(*fs, t=t, lo=-1, hi=1)], label, **k)


for padding in ("SAME", "VALID"):
    for s in (1, 2):
        conv("Conv2D", (1, 6, 7, 3), (3, 3, 3, 5), padding=padding, strides=[1, s, s, 1])
        conv("DepthwiseConv2dNative", (1, 6, 7, 3), (3, 3, 3, 2), padding=padding, strides=[1, s, s, 1])
        conv("Conv2D", (1, 6, 6, 2), (1, 1, 2, 4), "pixels", padding=padding, strides=[1, s, s, 1])
conv("Conv2D", (1, 8, 8, 2), (3, 3, 2, 3), "dilated", dilations=[1, 2, 2, 1])
conv("Conv2D", (1, 8, 8, 2), (3, 2, 2, 3), "wide strides", strides=[1, 1, 3, 1], padding="VALID")
conv("Conv2D", (1, 5, 5, 2), (3, 3, 2, 3), "explicit", padding="EXPLICIT", explicit_paddings=[0, 0, 2, 1, 0, 1, 0, 0])
conv("Conv2D", (2, 5, 5, 4), (3, 3, 2, 6), "grouped")
conv("Conv2D", (1, 2, 2, 3), (3, 3, 3, 4), "too small", padding="VALID")
conv("Conv2D", (0, 5, 5, 3), (3, 3, 3, 4), "empty")
conv("Conv2D", (1, 4, 4, 3), (3, 3, 2, 4), "bad")
conv("Conv2D", (1, 9, 9, 3), (3, 3, 3, 8), "half", t=H)
conv("DepthwiseConv2dNative", (1, 9, 9, 3), (3, 3, 3, 1), "one")
conv("DepthwiseConv2dNative", (1, 4, 4, 3), (3, 3, 2, 4), "bad")
for padding, s, size in (("SAME", 2, 6), ("VALID", 2, 7), ("SAME", 1, 3), ("VALID", 1, 5), ("SAME", 2, 5)):
    case("Conv2DBackpropInput", [ints(2, size, size, 4), rnd(3, 3, 4, 2), rnd(2, 3, 3, 2)], padding, padding=padding,
         strides=[1, s, s, 1])
case("Conv2DBackpropInput", [ints(1, 4, 6, 3), rnd(2, 2, 3, 5), rnd(1, 2, 3, 5)], "no overlap", padding="VALID",
     strides=[1, 2, 2, 1])

family("sparse", 36637, 2635119111)
case("SparseToDense", [np.array([[0, 1], [2, 0]], I64), np.array([3, 2], I64), rnd(2), F(-1)])
case("SparseToDense", [ints(1, 3), ints(5), I32(7), I32(0)], "vector")
case("SparseToDense", [np.array([[0, 1]], I64), np.array([1, 2], I64), S(b"x"), np.array(b"", object)], "string")
case("SparseToDense", [np.array([[2, 0], [0, 1]], I64), np.array([3, 2], I64), rnd(2), F(-1)], "order")
case("SparseToDense", [np.array([[2, 0], [2, 0]], I64), np.array([3, 2], I64), rnd(2), F(-1)], "twice")
case("SparseToDense", [np.array([[2, 0], [0, 1]], I64), np.array([3, 2], I64), rnd(2), F(-1)], "any order",
     validate_indices=False)
case("SparseToDense", [np.zeros((0, 2), I64), np.array([3, 2], I64), np.zeros(0, F), F(-1)], "empty")

family("array", 36645, 2635119111)
case("ScatterNd", [np.array([[0], [2], [0]], I32), rnd(3, 2), ints(4, 2)])
case("ScatterNd", [np.array([[0, 1]], I64), rnd(1, t=I64), np.array([2, 2], I64)], "element")
case("TensorScatterUpdate", [rnd(4, 2), np.array([[0], [2]], I32), rnd(2, 2)])
case("TensorScatterAdd", [rnd(4, 2), np.array([[0], [2], [0]], I32), rnd(3, 2)])

family("search", 36677)
case("Bucketize", [np.array([-5, 0, .5, 1, 99, nan], F)], boundaries=[0.0, 1.0, 10.0])
case("Bucketize", [ints(-1, 0, 5, 10)], "int", boundaries=[0.0, 10.0])

family("nn", 36677)
for op in ("MaxPool", "AvgPool"):
    for padding in ("SAME", "VALID"):
        for k, s in ((2, 2), (3, 2), (3, 1)):
            case(op, [rnd(2, 5, 6, 2)], "", ksize=[1, k, k, 1], strides=[1, s, s, 1], padding=padding)
    case(op, [rnd(1, 5, 9, 2)], "rect", ksize=[1, 2, 3, 1], strides=[1, 1, 2, 1], padding="SAME")
    case(op, [rnd(1, 5, 5, 2, t=H)], "half", ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    for t in (F, H, B):
        rest = [1, 2, nan, -3, inf, 0, -inf, -inf, nan, nan, 5, nan]
        case(op, [np.array(rest, t).reshape(1, 1, 12, 1)], "not finite", ksize=[1, 1, 2, 1], strides=[1, 1, 2, 1],
             padding="VALID")
n = rnd(2, 3, 4, 5)
stats = [rnd(5), rnd(5), rnd(5), rnd(5, lo=.1)]
case("FusedBatchNormV3", [n] + stats, "inference", is_training=False, epsilon=1e-3)
case("FusedBatchNormV3", [n] + stats, "default epsilon", is_training=False)
case("FusedBatchNormV3", [rnd(2, 3, 4, 5, t=H)] + stats, "half", is_training=False)
case("FusedBatchNorm", [n] + stats, "V1", is_training=False)
case("FusedBatchNormV3", [n] + [rnd(5), rnd(5), np.zeros(0, F), np.zeros(0, F)], "training")
case("FusedBatchNormV3", [n] + [rnd(2)] + stats[1:], "bad", is_training=False)
case("LRN", [rnd(1, 2, 2, 12)])
case("LRN", [rnd(1, 2, 2, 12)], "attrs", depth_radius=2, alpha=.1, beta=.75, bias=2)

family("image", 38765)
for op, kinds in (("ResizeBilinear", (F, U8)), ("ResizeNearestNeighbor", (F, U8)), ("ResizeBicubic", (F, U8))):
    for t in kinds:
        for ac, hp in ((False, False), (True, False), (False, True)):
            case(op, [rnd(1, 3, 4, 2, t=t, lo=0, hi=200), ints(5, 7)], "up", align_corners=ac, half_pixel_centers=hp)
            case(op, [rnd(1, 5, 7, 2, t=t, lo=0, hi=200), ints(2, 3)], "down", align_corners=ac, half_pixel_centers=hp)

# ---- regular expressions ----
family("string", 40034)
texts = S(b"Hello, World!", b"", b"aaa bb a", b"x\xc3\xa9y", b"\xff\xfe")
punctuation = b"[!\"#$%&()\\*\\+,-\\./:;<=>?@\\[\\\\\\]^_`{|}~\\']"
case("StaticRegexReplace", [texts], "punctuation", pattern=punctuation, rewrite=b"")
case("StaticRegexReplace", [texts], "first", pattern=b"a+", rewrite=b"<\\0>", replace_global=False)
case("StaticRegexReplace", [texts], "groups", pattern=b"(\\w)(\\w)", rewrite=b"\\2\\1")
case("StaticRegexReplace", [texts], "empty match", pattern=b"x*", rewrite=b"-")
case("StaticRegexReplace", [texts], "bad rewrite", pattern=b"a", rewrite=b"\\7")
case("StaticRegexReplace", [texts.reshape(5, 1)], "shape", pattern=b"(?i)h.", rewrite=b"_")
case("RegexReplace", [texts, np.array(b"[[:punct:]]", object), np.array(b".", object)])
case("RegexReplace", [texts, np.array(b"(", object), np.array(b"", object)], "bad")
case("RegexReplace", [texts, S(b"a", b"b"), np.array(b"", object)], "pattern")
case("RegexReplace", [texts, np.array(b"a", object), S(b"a", b"b")], "rewrite")
case("StaticRegexFullMatch", [texts], "", pattern=b"(a|b|\\s)*")
case("RegexFullMatch", [texts, np.array(b".*l.*", object)])
case("RegexFullMatch", [texts, np.array(b"*", object)], "bad")

# ---- counting ----
family("search", 40034)
for op in ("DenseBincount", "Bincount"):
    t = I64 if op == "DenseBincount" else I32
    case(op, [np.array([3, 0, 3, 9, 1], t), t(5), np.zeros(0, F)])
    case(op, [np.array([3, 0, 3, 9, 1], t), t(5), rnd(5)], "weights")
    case(op, [np.zeros(0, t), t(3), np.zeros(0, I32)], "nothing")
    case(op, [np.array([3, -1], t), t(5), np.zeros(0, F)], "negative")
    case(op, [np.array([3, 1], t), t(-5), np.zeros(0, F)], "size")
    case(op, [np.array([3, 1], t), t(5), rnd(3)], "bad weights")
for t in (F, D, I32, I64):
    case("DenseBincount", [np.array([[3, 0, 3], [9, 1, 1]], I32), I32(4), np.zeros((0,), t)], tf.as_dtype(t).name)
    case("DenseBincount", [np.array([[3, 0, 3], [9, 1, 1]], I32), I32(4), rnd(2, 3, t=t)], tf.as_dtype(t).name)
case("DenseBincount", [np.array([[3, 0, 3], [9, 1, 1]], I64), I64(4), np.zeros((0,), F)], "binary", binary_output=True)
case("DenseBincount", [rnd(2, 2, 2, t=I32, lo=0), I32(4), np.zeros((0,), F)], "bad rank")
case("RaggedBincount", [np.array([0, 2, 2, 3], I64), ints(1, 1, 2), I32(4), np.zeros(0, F)])
case("RaggedBincount", [np.array([0, 2, 2, 3], I64), ints(1, 1, 2), I32(4), np.zeros(0, F)], "binary", binary_output=True)

# ---- ragged ----
family("ragged", 40072)
rows = {"row_partition_types": [b"ROW_SPLITS"]}
ids = {"row_partition_types": [b"FIRST_DIM_SIZE", b"VALUE_ROWIDS"]}
splits, rowids = np.array([0, 2, 2, 5], I64), np.array([0, 0, 2, 2, 2], I64)
for label, shape in (("open", I64(-1)), ("vector", np.array([-1, -1], I64)), ("narrow", np.array([-1, 2], I64)),
                     ("wide", np.array([4, 5], I64)), ("fewer rows", np.array([1, -1], I64))):
    case("RaggedTensorToTensor", [shape, rnd(5), F(-1), [splits]], label, **rows)
    case("RaggedTensorToTensor", [shape, rnd(5), F(-1), [I64(3), rowids]], label, **ids)
case("RaggedTensorToTensor", [np.array([-1, -1], I64), S(b"a", b"b", b"c", b"d", b"e"), np.array(b"", object), [splits]],
     "strings", **rows)
case("RaggedTensorToTensor", [np.array([-1, -1, 2], I64), rnd(5, 2), F(0), [splits]], "items", **rows)
case("RaggedTensorToTensor", [np.array([-1, -1, -1], I64), rnd(5, 2), rnd(2), [splits]], "default item", **rows)
case("RaggedTensorToTensor", [np.array([-1, -1, -1], I64), rnd(5), F(9), [np.array([0, 1, 3], I64), splits]], "two levels",
     row_partition_types=[b"ROW_SPLITS", b"ROW_SPLITS"])
case("RaggedTensorToTensor", [np.array([-1, 1, 2], I64), rnd(5), F(9), [I64(2), np.array([0, 1, 1], I64), rowids]],
     "two levels", row_partition_types=[b"FIRST_DIM_SIZE", b"VALUE_ROWIDS", b"VALUE_ROWIDS"])
case("RaggedTensorToTensor", [np.array([-1, -1], I64), np.zeros(0, F), F(9), [np.array([0, 0], I64)]], "nothing", **rows)
case("RaggedTensorToTensor", [np.array([-1, -1], I64), np.zeros(0, F), F(9), [np.array([0], I64)]], "no rows", **rows)

# ---- matrices ----
family("linear", 40154)
m3 = rnd(2, 3, 4)
for lower, upper in ((1, 0), (0, 0), (-1, 0), (0, -1), (-1, -1), (2, 1), (3, 4)):
    case("MatrixBandPart", [m3, I32(lower), I32(upper)], str((lower, upper)))
case("MatrixBandPart", [rnd(3, 3, t=I64), I64(1), I64(1)], "int64")
case("MatrixBandPart", [np.ones((3, 3), bool), I64(-1), I64(0)], "causal")
case("MatrixBandPart", [m3, I32(4), I32(0)], "bad")
case("MatrixBandPart", [rnd(3), I32(0), I32(0)], "rank")
case("MatrixDiag", [rnd(2, 3)])
case("MatrixDiagPart", [m3])
case("MatrixSetDiag", [m3, rnd(2, 3)])
case("MatrixSetDiag", [m3, rnd(2, 4)], "bad")
for align in (b"RIGHT_LEFT", b"LEFT_RIGHT", b"LEFT_LEFT", b"RIGHT_RIGHT"):
    for k in ([0], [1], [-1], [-1, 1], [0, 2], [-2, 0]):
        size = [max(min(3 + min(k[-1], 0), 4 - max(k[0], 0)), 0)]
        packed = ([len(range(k[0], k[-1] + 1))] if len(k) > 1 else []) + size
        case("MatrixDiagPartV3", [m3, np.array(k, I32), F(7)], "%s %s" % (align.decode(), k), align=align)
        case("MatrixSetDiagV3", [m3, rnd(2, *packed), np.array(k, I32)], "%s %s" % (align.decode(), k), align=align)
        case("MatrixDiagV3", [rnd(2, *packed), np.array(k, I32), I32(3), I32(4), F(7)], "%s %s" % (align.decode(), k),
             align=align)
case("MatrixDiagV3", [rnd(2, 3), I32(0), I32(-1), I32(-1), F(0)], "square")
case("MatrixDiagV3", [rnd(2, 3), I32(1), I32(-1), I32(-1), F(0)], "above")
case("MatrixDiagV3", [rnd(2, 3), I32(0), I32(2), I32(-1), F(0)], "few rows")
case("MatrixDiagV3", [rnd(2, 3), I32(0), I32(5), I32(5), F(0)], "inconsistent")
case("MatrixDiagV2", [rnd(2, 2, 3), np.array([0, 1], I32), I32(-1), I32(-1), F(0)])
case("MatrixDiagPartV2", [m3, np.array([-1, 0], I32), F(1)])

# ---- sparse rows ----
family("sparse", 40802, 1169314536)
at = np.array([[0, 1], [2, 0], [2, 1], [3, 0]], I64)
for to in ([8], [2, -1], [2, 2, 2], [-1, 1, 4], [3, -1], [-1, -1], [7], [4, 2]):
    case("SparseReshape", [at, np.array([4, 2], I64), np.array(to, I64)], str(to))
case("SparseReshape", [np.zeros((0, 2), I64), np.array([0, 2], I64), np.array([-1, 2], I64)], "nothing")
case("SparseReshape", [at, np.array([4, 2, 1], I64), np.array([8], I64)], "rank")
case("SparseFillEmptyRows", [at, rnd(4), np.array([6, 2], I64), F(-5)])
case("SparseFillEmptyRows", [at[::-1], S(b"a", b"b", b"c", b"d"), np.array([4, 2], I64), np.array(b"?", object)], "order")
case("SparseFillEmptyRows", [np.zeros((0, 2), I64), np.zeros(0, I64), np.array([2, 3], I64), I64(7)], "nothing")
case("SparseFillEmptyRows", [np.zeros((0, 2), I64), np.zeros(0, I64), np.array([0, 3], I64), I64(7)], "no rows")
case("SparseFillEmptyRows", [at, rnd(4), np.array([3, 2], I64), F(-5)], "range")
case("SparseFillEmptyRows", [at, rnd(3), np.array([4, 2], I64), F(-5)], "bad")
for op in ("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"):
    case(op, [rnd(5, 3), ints(0, 4, 4, 1), ints(0, 0, 2, 2)])
    case(op, [rnd(5, t=D), np.array([3, 1, 2], I64), np.array([0, 0, 0], I64)], "double")
    case(op, [rnd(5, 3), np.zeros(0, I32), np.zeros(0, I32)], "nothing")
    case(op, [rnd(5, 3), ints(0, 5), ints(0, 1)], "range")
    case(op, [rnd(5, 3), ints(0, 1), ints(1, 0)], "order")
    case(op, [rnd(5, 3), ints(0, 1), ints(0)], "sizes")
case("SparseSegmentSumWithNumSegments", [rnd(5, 3), ints(0, 4), ints(0, 2), I32(5)])
case("SparseSegmentMeanWithNumSegments", [rnd(5, 3), ints(0, 4), ints(0, 2), I32(2)], "few")
for a in (False, True):
    for b in (False, True):
        case("SparseTensorDenseMatMul", [at, rnd(4), np.array([4, 3], I64), rnd(*((4, 5) if a else (3, 5))[::-1 if b else 1])],
             str((a, b)), adjoint_a=a, adjoint_b=b)
case("SparseTensorDenseMatMul", [at, rnd(4), np.array([3, 3], I64), rnd(3, 5)], "range")
case("SparseTensorDenseMatMul", [at, rnd(4), np.array([4, 3], I64), rnd(4, 5)], "inner")

case("SparseReorder", [at[[3, 0, 2, 1]], rnd(4), np.array([4, 2], I64)])
case("SparseReorder", [np.array([[1, 1], [0, 2], [1, 1], [0, 1]], I64), S(b"a", b"b", b"c", b"d"), np.array([4, 3], I64)], "equal")
case("SparseReorder", [np.zeros((0, 2), I64), rnd(0), np.array([4, 3], I64)], "nothing")

# ---- dealing out, detecting ----
family("array", 41216, 1169314536)
case("DynamicPartition", [rnd(5, 2), ints(1, 0, 2, 1, 1)], num_partitions=3)
case("DynamicPartition", [rnd(2, 3), rng.integers(0, 2, (2, 3)).astype(I32)], "matrix", num_partitions=2)
case("DynamicPartition", [S(b"a", b"b", b"c"), ints(1, 1, 1)], "strings", num_partitions=2)
case("DynamicPartition", [rnd(2, 3), np.array([[0, 1, 5], [0, 0, 0]], I32)], "range", num_partitions=2)
case("DynamicPartition", [rnd(5, 2), ints(1, 0)], "bad", num_partitions=3)
for op in ("DynamicStitch", "ParallelDynamicStitch"):
    case(op, [[ints(0, 2), ints(1, 3)], [rnd(2, 3), rnd(2, 3)]])
    case(op, [[I32(1), np.array([[0, 2]], I32)], [rnd(3), rnd(1, 2, 3)]], "ranks")
    case(op, [[np.zeros(0, I32), ints(0)], [rnd(0, 2), rnd(1, 2)]], "empty piece")
    case(op, [[ints(0), ints(1)], [rnd(1, 3), rnd(1, 2)]], "bad")
    case(op, [[ints(0, 1)], [rnd(3, 3)]], "prefix")

family("detect", 41325, 3393276798)
boxes = np.array([[0, 0, 1, 1], [0, .1, 1, 1.1], [0, -.1, 1, .9], [0, 10, 1, 11], [1, 10.1, 0, 11.1], [0, 100, 1, 101],
                  [0, 0, 0, 0]], F)
scores = np.array([.9, .75, .6, .95, .5, .3, .9], F)
case("NonMaxSuppression", [boxes, scores, I32(3)], iou_threshold=0.5)
case("NonMaxSuppressionV2", [boxes, scores, I32(9), F(.5)])
for most, iou, least in ((3, .5, 0), (9, .5, .4), (9, 1, 0), (9, 0, .55), (0, .5, 0)):
    case("NonMaxSuppressionV3", [boxes, scores, I32(most), F(iou), F(least)], str((most, iou, least)))
    for pad in (False, True):
        case("NonMaxSuppressionV4", [boxes, scores, I32(most), F(iou), F(least)], str((most, iou, least)),
             pad_to_max_output_size=pad)
        for sigma in (0, .5):
            case("NonMaxSuppressionV5", [boxes, scores, I32(most), F(iou), F(least), F(sigma)],
                 str((most, iou, least, sigma)), pad_to_max_output_size=pad)
big = np.sort(rng.random((60, 2, 2)), 1).reshape(60, 4).astype(F)
case("NonMaxSuppressionV5", [big, rng.random(60).astype(F), I32(20), F(.6), F(.1), F(.3)], "many")
case("NonMaxSuppressionV3", [big, rng.random(60).astype(F), I32(20), F(.3), F(.1)], "many")
case("NonMaxSuppressionV3", [boxes, scores, I32(3), F(1.5), F(0)], "bad threshold")
case("NonMaxSuppressionV3", [boxes[:, :3], scores, I32(3), F(.5), F(0)], "columns")
case("NonMaxSuppressionV3", [boxes, scores[:3], I32(3), F(.5), F(0)], "scores")

# ---- pieces of strings ----
family("string", 41685, 3393276798)
case("StringSplit", [S(b"a,b;c", b"", b",x,,y"), np.array(b",;", object)])
case("StringSplit", [S(b"a,b;c", b"", b",x,,y"), np.array(b",;", object)], "empty kept", skip_empty=False)
case("StringSplit", [S(b"ab", b"", b"c"), np.array(b"", object)], "bytes")
case("StringSplit", [np.array([[b"a"]], object), np.array(b"", object)], "bad")
case("StringSplitV2", [np.array([[b"a"]], object), np.array(b"", object)], "rank")
words, begin = S(b"a", b"bb", b"c", b"d", b"e"), np.array([0, 3, 3, 4, 5], I64)
for widths, pad, short in (([2], 0, False), ([1, 2], 0, False), ([2, 3], -1, False), ([3], 1, False), ([3], 0, True),
                           ([4], 1, True), ([2], 5, False), ([5, 6], 0, True)):
    case("StringNGrams", [words, begin], str((widths, pad, short)), separator=b" ", ngram_widths=widths, left_pad=b"<",
         right_pad=b">>", pad_width=pad, preserve_short_sequences=short)
case("StringNGrams", [words, begin.astype(I32)], "int32", separator=b"", ngram_widths=[2], left_pad=b"", right_pad=b"",
     pad_width=0, preserve_short_sequences=False)

# ---- rounding as if quantized ----
family("quant", 41685, 3393276798)
spread = np.concatenate([rnd(30, lo=-8, hi=8), np.array([0, -6, 6, 100, -100, .02, -.02], F)])
for k in ({}, {"min": -2, "max": 5}, {"num_bits": 4}, {"narrow_range": True}, {"min": 1, "max": 3}, {"min": -3, "max": -1}):
    case("FakeQuantWithMinMaxArgs", [spread], str(k), **{a: float(v) if a in ("min", "max") else v for a, v in k.items()})
for low, high in ((-2, 5), (0, 0), (-.3, 6.7), (1, 3), (-3, -1)):
    case("FakeQuantWithMinMaxVars", [spread, F(low), F(high)], str((low, high)))
case("FakeQuantWithMinMaxVars", [spread, F(-1), F(1)], "4 bits", num_bits=4, narrow_range=True)
case("FakeQuantWithMinMaxVarsPerChannel", [rnd(4, 3), np.array([-1, -2, 0], F), np.array([1, .5, 2], F)], narrow_range=True)
case("FakeQuantWithMinMaxVarsPerChannel", [rnd(3), np.array([-1, -2, 0], F), np.array([1, .5, 2], F)], "vector")
case("FakeQuantWithMinMaxVarsPerChannel", [rnd(4, 3), np.array([-1, -2], F), np.array([1, .5], F)], "bad")

# ---- effects, strings ----
family("string", 41742, 3393276798)
case("Assert", [np.array(False), [ints(1, 2, 3, 4), np.array(b"abc", object), F(1.5),
                                  np.array([[1, 2], [3, 4], [5, 6]], F), np.array([True, False])]], "fails")
case("Assert", [np.array(True), [ints(1)]], "holds")
case("StringJoin", [[S(b"a", b"b"), S(b"c", b"")]], "", separator="-")
case("StringJoin", [[S(b"a", b"b"), S(b"c", b"")]], "long separator", separator="-" * 5000)
case("StringJoin", [[S(b"a", b"b"), np.array(b"x", object)]], "scalar")
case("StringJoin", [[S(b"a", b"b"), S(b"a", b"b", b"c")]], "bad")
case("StringLower", [S(b"AbC\xc3\x84", b"")])
case("StringUpper", [S(b"AbC\xc3\xa4", b"")])
case("StringStrip", [S(b"  a b \n", b"", b"\t")])
case("StringLength", [S(b"abc", b"", b"\xc3\xa4")])
case("StringLength", [S(b"abc", b"", b"\xc3\xa4x")], "utf-8", unit="UTF8_CHAR")
case("AsString", [np.array([1, -5, 2**40], I64)])
case("AsString", [np.array([True, False])], "bool")
case("AsString", [ints(3, 42)], "width", width=5)
case("AsString", [ints(3, 42)], "zeros", width=5, fill="0")
case("AsString", [np.array([1.5, -2, 1e10, nan], F)], "float")
case("AsString", [np.array([1.5, -2, 3.14159], F)], "precision", precision=2)
case("AsString", [np.array([1.5, 1e10], F)], "scientific", scientific=True)
for t in (tf.float32, tf.float64, tf.int32, tf.int64):
    case("StringToNumber", [S(b"1", b" -3 ", b"12")], t.name, out_type=t)
case("StringToNumber", [S(b"1.5", b"1e3", b"-.25", b"inf", b"nan")], "floats")
case("StringToNumber", [S(b"abc")], "bad")
case("StringToNumber", [S(b"99999999999")], "range", out_type=tf.int32)
case("DecodeRaw", [S(b"abcdefgh", b"12345678")], "float", out_type=tf.float32)
case("DecodeRaw", [S(b"abcd", b"1234")], "big endian", out_type=tf.int16, little_endian=False)
case("DecodeRaw", [S(b"abc")], "bad", out_type=tf.float32)
case("DecodeRaw", [S(b"abc", b"ab")], "uneven", out_type=tf.uint8)
case("StringSplitV2", [S(b"a b  c", b"", b" x "), np.array(b"", object)])
case("StringSplitV2", [S(b"a,b,,c", b"", b","), np.array(b",", object)], "sep")
case("StringSplitV2", [S(b"a,b,,c"), np.array(b",", object)], "max", maxsplit=1)
case("StringSplitV2", [S(b"a b  c d"), np.array(b"", object)], "max blank", maxsplit=2)
case("Substr", [S(b"hello", b"world"), I32(1), I32(3)])
case("Substr", [S(b"hello", b"world"), ints(-2, 0), ints(9, 2)], "vectors")
case("Substr", [S(b"hello"), I32(9), I32(3)], "bad")
case("StringToHashBucketFast", [S(b"a", b"", b"hello world", b"x" * 70)], "", num_buckets=97)


family("parse", 41742, 3393276798)


def example(**features):
    e = tf.train.Example()
    for k, v in features.items():
        f = e.features.feature[k]
        for item in v if isinstance(v, list) else [v]:
            if isinstance(item, bytes):
                f.bytes_list.value.append(item)
            elif isinstance(item, float):
                f.float_list.value.append(item)
            else:
                f.int64_list.value.append(item)
    return e.SerializeToString(deterministic=True)


def parse(label, examples, dense=(), sparse=(), names=()):
    """dense: (key, type, shape, default or None); sparse: (key, type)."""
    keys = S(*[k for k, *_ in dense]) if dense else np.zeros((0,), object)
    skeys = S(*[k for k, _ in sparse]) if sparse else np.zeros((0,), object)
    defaults = [np.asarray(d if d is not None else np.zeros((0,)), tf.as_dtype(t).as_numpy_dtype)
                for _, t, _, d in dense]
    none = np.zeros((0,), object)
    case("ParseExampleV2", [S(*examples) if isinstance(examples, list) else examples,
                            S(*names) if names else none, skeys, keys, none, defaults], label,
         num_sparse=len(sparse), sparse_types=[tf.as_dtype(t) for _, t in sparse], ragged_value_types=[],
         ragged_split_types=[], dense_shapes=[tf.TensorShape(s) for _, _, s, _ in dense],
         Tdense=[tf.as_dtype(t) for _, t, _, _ in dense])
    case("ParseExample", [S(*examples) if isinstance(examples, list) else examples[None],
                          S(*names) if names else none, [np.array(k, object) for k, _ in sparse],
                          [np.array(k, object) for k, *_ in dense], defaults], label,
         Nsparse=len(sparse), Ndense=len(dense), sparse_types=[tf.as_dtype(t) for _, t in sparse],
         dense_shapes=[tf.TensorShape(s) for _, _, s, _ in dense], Tdense=[tf.as_dtype(t) for _, t, _, _ in dense])


fl, il, st = tf.float32, tf.int64, tf.string
two = [example(x=1.5, y=[1, 2], s=b"ab"), example(x=-2.0, y=[3, 4], s=b"")]
parse("dense", two, [(b"s", st, [], None), (b"x", fl, [], None), (b"y", il, [2], None)])
parse("defaults", [example(), example(x=3.0)], [(b"x", fl, [], 7.5)])
parse("default vector", [example(), example(y=[3, 4])], [(b"y", il, [2], [8, 9])])
parse("required", [example(x=1.0), example()], [(b"x", fl, [], None)])
parse("wrong type", [example(x=1)], [(b"x", fl, [], None)])
parse("wrong count", [example(x=[1.0, 2.0])], [(b"x", fl, [], None)])
parse("names", [example()], [(b"x", fl, [], None)], names=[b"first"])
parse("sparse", [example(a=[1, 2]), example(), example(a=[5])], (), [(b"a", il)])
parse("sparse strings", [example(a=[b"x", b"yy"]), example(a=b"z")], [(b"d", fl, [], 1.0)], [(b"a", st), (b"b", fl)])
parse("sparse wrong type", [example(a=1.0)], (), [(b"a", il)])
parse("varying", [example(v=[1.0, 2.0]), example(), example(v=[3.0])], [(b"v", fl, [None], 0.0)])
parse("varying blocks", [example(v=[1.0, 2.0, 3.0, 4.0]), example(v=[3.0, 4.0])], [(b"v", fl, [None, 2], 0.0)])
parse("varying stride", [example(v=[1.0, 2.0, 3.0])], [(b"v", fl, [None, 2], 0.0)])
parse("varying default", [example(v=[1.0, 2.0]), example(v=[3.0])], [(b"v", fl, [None], 7.0)])
parse("matrix", [example(v=[1.0, 2.0, 3.0])], [(b"v", fl, [2, 2], None)])
parse("wrong type string", [example(s=1.0)], [(b"s", st, [], None)])
parse("many", [example(**{"f%d" % i: float(i) for i in range(30)})] * 2, [(b"f%d" % i, fl, [], None) for i in range(30)])
parse("two errors", [example(a=1, b=b"x", c=[2.0, 3.0])], [(k, fl, [], None) for k in (b"a", b"b", b"c", b"d")])
parse("empty feature", [b"\x0a\x07\x0a\x05\x0a\x01x\x12\x00"], [(b"x", fl, [], 4.0)])
parse("unpacked", [b"\x0a\x0e\x0a\x0c\x0a\x01x\x12\x07\x12\x05\x0d\x00\x00\x80\x3f"], [(b"x", fl, [], 4.0)])
parse("no examples", np.zeros((0,), object), [(b"x", fl, [], None)], [(b"a", il)])
case("ParseExampleV2", [np.array(two[0], object), np.zeros((0,), object), S(b"y", b"q"), S(b"x"),
                        np.zeros((0,), object), [np.zeros((0,), F)]], "one", num_sparse=2, sparse_types=[il, fl],
     ragged_value_types=[], ragged_split_types=[], dense_shapes=[tf.TensorShape([])], Tdense=[fl])
parse("truncated", [b"\x0a\x05ab"], [(b"x", fl, [], None)])
parse("empty bytes", [b""], [(b"x", fl, [], 1.0)])
parse("twice", [example(x=1.0) + example(x=2.0)], [(b"x", fl, [], None)])


# ---- asking ----
def python_value(v):
    kind = v.WhichOneof("value")
    if kind == "type":
        return tf.as_dtype(v.type)
    if kind == "shape":
        return tf.TensorShape(v.shape)
    if kind == "list":
        return [x for field in ("s", "i", "f", "b") for x in getattr(v.list, field)]
    return getattr(v, kind)


def attr_values(op, inputs, attrs):
    """The op in a graph, its inputs as placeholders of unknown shape; returns feeds, outputs, attrs."""
    op_def = op_def_registry.get(op)
    args, feeds = [], {}
    for i in inputs:
        pieces = i if isinstance(i, list) else [i]
        made = []
        for p in pieces:
            ph = tf.compat.v1.placeholder(tf.string if p.dtype == object else p.dtype,
                                            shape=p.shape if "Batch" in op and "Space" in op else None)
            feeds[ph] = p
            made.append(ph)
        args.append(made if isinstance(i, list) else made[0])
    from tensorflow.python.framework import op_def_library
    kw = {a.name: v for a, v in zip(op_def.input_arg, args)}
    known = {a.name for a in op_def.attr}
    inferred = {n for a in op_def.input_arg for n in (a.type_attr, a.number_attr, a.type_list_attr)}
    kw.update({k: v for k, v in attrs.items() if k in known and k not in inferred})
    for a in op_def.attr:
        if a.HasField("default_value") and a.name not in kw and a.name not in inferred:
            kw[a.name] = python_value(a.default_value)
    out = op_def_library.apply_op(op, name="op", **kw)
    node = tf.compat.v1.get_default_graph().get_operation_by_name("op")
    return feeds, node, op_def


def tensor_bytes(a):
    dtype = tf.string if a.dtype == object or a.dtype.kind in "SU" else tf.as_dtype(a.dtype)
    out = struct.pack("<BB", dtype.as_datatype_enum, a.ndim) + struct.pack("<%dI" % a.ndim, *a.shape)
    if dtype == tf.string:
        for s in a.reshape(-1):
            s = s if isinstance(s, bytes) else bytes(s)
            out += struct.pack("<I", len(s)) + s
        return out
    return out + np.ascontiguousarray(a).tobytes()


# ---- pictures ----
family("picture", 41742, 3393276798)


def png(width, height, depth, colours, samples, palette=b"", alpha=None, interlaced=False):
    """The file of a picture: `samples` in rows, `colours` as in IHDR (0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA)."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    each = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    v = np.asarray(samples).reshape(height, width * each)

    def packed(v):
        out = b""
        for row in v:
            bits = "".join(format(int(x), "0%db" % depth) for x in row)
            bits += "0" * (-len(bits) % 8)
            out += b"\0" + bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        return out

    data = packed(v)
    if interlaced:  # Adam7
        v = v.reshape(height, width, each)
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        data = b"".join(packed(p.reshape(p.shape[0], -1)) for p in (v[y::dy, x::dx] for y, x, dy, dx in passes) if p.size)
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + (chunk(b"PLTE", palette) if palette else b"") +
            (chunk(b"tRNS", alpha) if alpha else b"") + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def one(data):
    return np.array(data, object)


def drawn(height, width, channels, t=U8):
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    largest = np.iinfo(t).max
    return ((np.sin(y / 3 + c) + np.cos(x / 2 - c) + 2) / 4 * largest + (x * y * 7) % (largest // 8)).clip(0, largest).astype(t)


jpegs = {
    "colour": tf.io.encode_jpeg(drawn(19, 23, 3)).numpy(),
    "grey": tf.io.encode_jpeg(drawn(9, 7, 1)).numpy(),
    "progressive": tf.io.encode_jpeg(drawn(33, 17, 3), progressive=True, quality=70).numpy(),
    "full colours": tf.io.encode_jpeg(drawn(16, 16, 3), chroma_downsampling=False, quality=40).numpy(),
    "inks": base64.b64decode(
        "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2RjcsLUBXQUZMTlJT"
        "UjI+WmFaUGBKUVJP/8AAFAgACQALBEMRAE0RAFkRAEsRAP/EABoAAAICAwAAAAAAAAAAAAAAAAUHAAYBAwT/xAAuEAABAgMCDAcA"
        "AAAAAAAAAAABAAIDBAYFERIVFiEiNEFCYWNxoTEyNTZydLL/2gAOBEMATQBZAEsAAD8AO1fvollnze6tFR1BirD08G7irpOTfjnS"
        "omtZidVMs+b3QJ9tVSXXtknBpAIDo8NpAI2guvB4HOhL5vSOdNer99LFZqr3VZ33YP7C3Tm1Kia1mJ1UXFaXqEb5IQ/zFf/Z"),
}
for label, data in jpegs.items():
    for channels in 0, 1, 3:
        if label != "inks" or channels != 1:
            case("DecodeJpeg", [one(data)], "%s, %d" % (label, channels), channels=channels)
    case("DecodeJpeg", [one(data)], label + ", accurate", dct_method=b"INTEGER_ACCURATE")
    case("DecodeImage", [one(data)], label + ", float", dtype=tf.float32, channels=3)
for ratio in 2, 4, 8:
    case("DecodeJpeg", [one(jpegs["colour"])], "smaller by %d" % ratio, ratio=ratio)
case("DecodeJpeg", [one(jpegs["colour"])], "not fancy", fancy_upscaling=False)
case("DecodeImage", [one(jpegs["colour"])], "words", dtype=tf.uint16)
case("DecodePng", [one(jpegs["colour"])], "a JPEG")
case("DecodePng", [one(jpegs["grey"])], "a JPEG, words", dtype=tf.uint16)
case("DecodeJpeg", [one(jpegs["colour"])], "4 channels", channels=4)
case("DecodeJpeg", [one(jpegs["colour"][:-2])], "without its end")
case("DecodeJpeg", [one(jpegs["colour"][:300])], "cut off in its tables")
case("DecodeJpeg", [one(jpegs["colour"][:-60])], "cut off")
case("DecodeJpeg", [one(jpegs["progressive"][:-60])], "cut off, progressive")
case("DecodeJpeg", [one(jpegs["colour"] + b"and more")], "longer than it is")
case("DecodeJpeg", [one(b"")], "nothing")
case("DecodeJpeg", [one(b"no picture")], "no picture")
case("DecodeJpeg", [one(b"\xff\xd8\xff")], "its first bytes")
case("DecodeJpeg", [S(jpegs["grey"])], "not a scalar")
case("DecodeJpeg", [S(jpegs["grey"], jpegs["grey"])], "two")

words = drawn(5, 6, 4, U16)
pngs = {
    "grey 8": tf.io.encode_png(drawn(7, 9, 1)).numpy(), "grey and alpha 8": tf.io.encode_png(drawn(7, 9, 2)).numpy(),
    "RGB 8": tf.io.encode_png(drawn(7, 9, 3)).numpy(), "RGBA 8": tf.io.encode_png(drawn(7, 9, 4)).numpy(),
    "grey 16": tf.io.encode_png(words[..., :1]).numpy(), "grey and alpha 16": tf.io.encode_png(words[..., :2]).numpy(),
    "RGB 16": tf.io.encode_png(words[..., :3]).numpy(), "RGBA 16": tf.io.encode_png(words).numpy(),
    "grey 1": png(11, 3, 1, 0, rng.integers(0, 2, 33)), "grey 2": png(11, 3, 2, 0, rng.integers(0, 4, 33)),
    "grey 4": png(11, 3, 4, 0, rng.integers(0, 16, 33)),
    "grey 4, one transparent": png(11, 3, 4, 0, rng.integers(0, 16, 33), alpha=b"\0\x05"),
    "palette": png(7, 3, 8, 3, rng.integers(0, 5, 21), palette=bytes(range(15, 30))),
    "palette 2": png(7, 3, 2, 3, rng.integers(0, 4, 21), palette=bytes(range(200, 212))),
    "palette with alpha": png(7, 3, 8, 3, rng.integers(0, 5, 21), palette=bytes(range(15, 30)), alpha=b"\x10\x80\xff"),
    "RGB, one transparent": png(2, 2, 8, 2, [1, 2, 3, 4, 5, 6, 1, 2, 3, 9, 9, 9], alpha=struct.pack(">HHH", 1, 2, 3)),
    "interlaced": png(9, 10, 8, 2, rng.integers(0, 256, 270), interlaced=True),
    "interlaced grey 2": png(9, 10, 2, 0, rng.integers(0, 4, 90), interlaced=True),
}
for label, data in pngs.items():
    for channels in 0, 1, 3, 4:
        case("DecodePng", [one(data)], "%s, %d" % (label, channels), channels=channels)
    case("DecodePng", [one(data)], label + ", words", dtype=tf.uint16)
    case("DecodeImage", [one(data)], label + ", float", dtype=tf.float32)
case("DecodeImage", [one(pngs["RGB 16"])], "words", dtype=tf.uint16)
case("DecodeJpeg", [one(pngs["RGBA 8"])], "a PNG", channels=3)
case("DecodePng", [one(pngs["RGB 8"][:-20])], "cut off")
case("DecodePng", [one(pngs["RGB 8"][:20])], "cut off in its head")
case("DecodePng", [one(pngs["RGB 8"][:60] + b"x" + pngs["RGB 8"][61:])], "damaged")
case("DecodePng", [one(png(1, 1, 8, 3, [3], palette=b"abc"))], "outside of its palette")
case("DecodePng", [one(b"\x89PNG\r\n\x1a\n")], "its first bytes")

# ---- colours ----
family("image", 42019)
paints = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [.5, .5, .5],
                   [.2, .7, .7], [-.5, .2, .1], [-1, -2, -3], [200, 100, 50], [.3, .1, .2], [.1, .3, .2]], F)
turns = np.concatenate([rng.random((20, 3)), [[0, 1, 1], [1, 1, 1], [1.5, .5, 1], [-.25, .5, 1], [.5, 2, 1], [.5, -1, 1]]])
for op, values in (("RGBToHSV", paints), ("HSVToRGB", turns)):
    case(op, [values.astype(F)])
    case(op, [values.astype(D)], "double")
    case(op, [rng.random((2, 5, 3, 3)).astype(F)], "images")
    case(op, [rng.random(3).astype(F)], "one pixel")
    case(op, [np.zeros((0, 4, 3), F)], "empty")
    case(op, [rnd(2, 4)], "4 channels")
    case(op, [rnd(2, 0)], "no channels")
    case(op, [F(1)], "scalar")
picture = rng.random((2, 5, 3, 3)).astype(F)
for factor in (0, .5, 1, 2.5, -1):
    case("AdjustContrastv2", [picture, F(factor)], str(factor))
    case("AdjustSaturation", [picture, F(factor)], str(factor))
    case("AdjustSaturation", [paints.reshape(1, 5, 3, 3), F(factor)], "colours, %s" % factor)
for delta in (0, .1, .5, -.3, 1, -1, 7.25, -7.25, 1 / 6, 100):
    case("AdjustHue", [picture, F(delta)], str(delta))
    case("AdjustHue", [paints.reshape(1, 5, 3, 3), F(delta)], "colours, %s" % delta)
case("AdjustContrastv2", [rnd(7, 5, 1), F(2)], "one channel")
case("AdjustContrastv2", [rnd(2, 2, 3, 4, 5), F(2)], "5-D")
case("AdjustContrastv2", [rnd(1, 1, 1), F(2)], "one number")
case("AdjustContrastv2", [rnd(1, 9, 9, 2, lo=0, hi=255), F(1.5)], "bytes")
for op in ("AdjustContrastv2", "AdjustHue", "AdjustSaturation"):
    case(op, [rnd(3, 4, 3, t=H), F(.5)], "half")
    case(op, [rnd(4, 3, 3), F(.5)], "3-D")
    case(op, [np.zeros((0, 4, 4, 3), F), F(.5)], "empty")
    case(op, [np.zeros((2, 0, 4, 3), F), F(.5)], "no rows")
    case(op, [rnd(4, 3), F(.5)], "rank")
    case(op, [rnd(4, 3, 3), np.array([.5], F)], "vector")
    case(op, [rnd(4, 3, 4), F(.5)], "4 channels")

# ---- pieces of images ----
family("image", 43313)
image = rnd(2, 5, 7, 3)
areas = np.array([[0, 0, 1, 1], [.1, .2, .8, .7], [-.3, .5, 1.2, 1.4], [.9, .8, .1, .2], [.5, .5, .5, .5], [2, 2, 3, 3]], F)
of = ints(0, 1, 0, 1, 1, 0)
for method in (b"bilinear", b"nearest"):
    for size in ((4, 3), (1, 1), (1, 4), (5, 7), (9, 11)):
        case("CropAndResize", [image, areas, of, ints(*size)], "%s %s" % (method.decode(), size), method=method)
    case("CropAndResize", [image, areas, of, ints(3, 3)], method.decode() + ", outside", method=method, extrapolation_value=-1.5)
    for t in (U8, I8, U16, I16, I32, I64, H, B, D):
        case("CropAndResize", [rnd(2, 4, 5, 2, t=t, lo=-100, hi=100), areas, of, ints(3, 4)],
             "%s %s" % (method.decode(), t.__name__), method=method)
case("CropAndResize", [rnd(1, 3, 3, 70), areas[:2], ints(0, 0), ints(2, 2)], "deep")
case("CropAndResize", [rnd(1, 3, 3, 70, t=H), areas[:2], ints(0, 0), ints(2, 2)], "deep half")
case("CropAndResize", [rnd(1, 1, 1, 2), areas, of * 0, ints(3, 2)], "one pixel")
case("CropAndResize", [image, np.zeros((0, 4), F), np.zeros(0, I32), ints(2, 2)], "no boxes")
case("CropAndResize", [rnd(1, 3, 3, 0), areas[:2], ints(0, 0), ints(2, 2)], "no channels")
case("CropAndResize", [np.zeros((0, 3, 3, 1), F), np.zeros((0, 4), F), np.zeros(0, I32), ints(2, 2)], "no images")
case("CropAndResize", [np.zeros((0, 3, 3, 1), F), areas[:1], ints(0), ints(2, 2)], "no images for a box")
case("CropAndResize", [image, np.array([[nan, 0, 1, 1]], F), ints(0), ints(2, 2)], "nan")
case("CropAndResize", [image, np.array([[0, 0, inf, 1]], F), ints(0), ints(2, 2)], "inf")
case("CropAndResize", [image, areas[:1], ints(2), ints(2, 2)], "index")
case("CropAndResize", [image, areas[:1], ints(-1), ints(2, 2)], "negative index")
case("CropAndResize", [image, areas[:1], ints(0), ints(0, 2)], "size")
case("CropAndResize", [image, areas[:1], ints(0), ints(2)], "sizes")
case("CropAndResize", [image, areas[:1], ints(0), np.array([[2, 2]], I32)], "rank of size")
case("CropAndResize", [image, areas[:2], ints(0), ints(2, 2)], "boxes")
case("CropAndResize", [image, areas[:1, :3], ints(0), ints(2, 2)], "columns")
case("CropAndResize", [image, areas[0], ints(0), ints(2, 2)], "rank of boxes")
case("CropAndResize", [image, areas[:1], np.array([[0]], I32), ints(2, 2)], "rank of index")
case("CropAndResize", [image[0], areas[:1], ints(0), ints(2, 2)], "rank")
case("CropAndResize", [np.zeros((1, 0, 3, 1), F), areas[:1], ints(0), ints(2, 2)], "no rows")
for padding in ("SAME", "VALID"):
    for k, s, r in ((1, 1, 1), (3, 2, 1), (2, 3, 2), (3, 1, 2)):
        case("ExtractImagePatches", [image], "%s %s" % (padding, (k, s, r)), ksizes=[1, k, k, 1], strides=[1, s, s, 1],
             rates=[1, r, r, 1], padding=padding)
    window = dict(ksizes=[1, 2, 3, 1], strides=[1, 2, 1, 1], rates=[1, 1, 2, 1], padding=padding)
    case("ExtractImagePatches", [image], padding + " rect", **window)
    for t in (U8, I8, U16, I16, I32, I64, U32, U64, H, B, D):
        case("ExtractImagePatches", [rnd(1, 3, 6, 2, t=t, lo=-9, hi=9)], "%s %s" % (padding, t.__name__), **window)
    case("ExtractImagePatches", [rnd(1, 3, 6, 2) > 0], padding + " bool", **window)
    case("ExtractImagePatches", [rnd(1, 3, 6, 2).astype(np.complex64)], padding + " complex64", **window)
    case("ExtractImagePatches", [rnd(1, 3, 6, 2).astype(np.complex128)], padding + " complex128", **window)
    case("ExtractImagePatches", [np.zeros((0, 3, 6, 2), F)], padding + " empty", **window)
    case("ExtractImagePatches", [np.zeros((1, 3, 6, 0), F)], padding + " no channels", **window)
    case("ExtractImagePatches", [rnd(3, 6, 2)], padding + " rank", **window)
    case("ExtractImagePatches", [rnd(1, 1, 3, 2)], padding + " small", ksizes=[1, 3, 3, 1], strides=[1, 1, 1, 1],
         rates=[1, 2, 2, 1], padding=padding)
    case("ExtractImagePatches", [np.zeros((1, 0, 3, 2), F)], padding + " no rows", ksizes=[1, 2, 2, 1],
         strides=[1, 1, 1, 1], rates=[1, 1, 1, 1], padding=padding)
for align in (False, True):
    for size in ((2, 3), (5, 7), (10, 14), (3, 11), (1, 1)):
        case("ResizeArea", [image, ints(*size)], str((size, align)), align_corners=align)
    case("ResizeArea", [rnd(1, 1, 4, 2), ints(3, 2)], "one row, %s" % align, align_corners=align)
    case("ResizeArea", [rnd(1, 2, 1, 2), ints(1, 3)], "one column, %s" % align, align_corners=align)
    case("ResizeArea", [rnd(1, 9, 8, 70), ints(4, 3)], "deep, %s" % align, align_corners=align)
for t in (U8, I8, U16, I16, I32, I64, H, B, D):
    case("ResizeArea", [rnd(1, 5, 4, 2, t=t, lo=-100, hi=100), ints(3, 3)], t.__name__)
case("ResizeArea", [np.zeros((0, 5, 4, 2), F), ints(3, 3)], "empty")
case("ResizeArea", [np.zeros((1, 5, 4, 0), F), ints(3, 3)], "no channels")
for op in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"):
    case(op, [np.zeros((1, 5, 4, 0), F), ints(3, 3)], "no channels")
case("ResizeArea", [np.zeros((1, 0, 4, 1), F), ints(3, 3)], "no rows")
case("ResizeArea", [image, ints(0, 3)], "size")
case("ResizeArea", [image, ints(3)], "sizes")
case("ResizeArea", [image[0], ints(3, 3)], "rank")

# ---- detections of many classes ----
family("detect", 56893)
many = np.sort(rng.random((2, 14, 3, 2, 2)) * 1.4 - .2, 3).reshape(2, 14, 3, 4).astype(F)
graded = rng.random((2, 14, 3)).astype(F)
for pad in (False, True):
    for clip in (False, True):
        for each, most in ((5, 8), (3, 20), (100, 100), (1, 2)):
            for sets in (1, 3):
                case("CombinedNonMaxSuppression", [many[:, :, :sets], graded, I32(each), I32(most), F(.3), F(.2)],
                     str((pad, clip, each, most, sets)), pad_per_class=pad, clip_boxes=clip)
combined = [many, graded, I32(5), I32(8), F(.5), F(.2)]
for label, i, value in (("no boxes", 0, None), ("all below", 5, F(2)), ("all above", 5, F(-inf)), ("iou 0", 4, F(0)),
                        ("iou 1", 4, F(1)), ("bad iou", 4, F(1.5)), ("each", 2, I32(0)), ("most", 3, I32(0)),
                        ("negative", 3, I32(-1)), ("sets", 0, many[:, :, :2]), ("columns", 0, many[..., :3]),
                        ("rank", 0, many[0]), ("rank of scores", 1, graded[0]), ("batch", 1, graded[:1]),
                        ("count", 1, graded[:, :7]), ("vector", 2, ints(5)), ("vector 2", 3, ints(5)),
                        ("vector 3", 4, np.array([.5], F)), ("vector 4", 5, np.array([.5], F))):
    changed = list(combined)
    changed[i] = value
    if value is None:
        changed[:2] = np.zeros((2, 0, 1, 4), F), np.zeros((2, 0, 3), F)
    case("CombinedNonMaxSuppression", changed, label)
case("CombinedNonMaxSuppression", [many[:0], graded[:0]] + combined[2:], "no images")

# ---- maxima and their places ----
family("nn", 57313)
for padding in ("SAME", "VALID"):
    for k, s in ((2, 2), (3, 2), (3, 1), (1, 3)):
        for batch in (False, True):
            case("MaxPoolWithArgmax", [rnd(2, 5, 6, 2)], str((padding, k, s, batch)), ksize=[1, k, k, 1],
                 strides=[1, s, s, 1], padding=padding, include_batch_in_index=batch)
    rect = dict(ksize=[1, 2, 3, 1], strides=[1, 1, 2, 1], padding=padding)
    case("MaxPoolWithArgmax", [rnd(2, 5, 9, 2)], padding + " int32", Targmax=tf.int32, **rect)
    case("MaxPoolWithArgmax", [np.round(rnd(2, 5, 9, 2))], padding + " equal", **rect)
    case("MaxPoolWithArgmax", [rnd(2, 5, 9, 2, t=H)], padding + " half", **rect)
    case("MaxPoolWithArgmax", [rnd(2, 5, 9, 2, t=B)], padding + " bfloat16", **rect)
    case("MaxPoolWithArgmax", [np.full((1, 3, 3, 1), -inf, F)], padding + " -inf", **rect)
    case("MaxPoolWithArgmax", [np.zeros((0, 5, 9, 2), F)], padding + " empty", **rect)
    case("MaxPoolWithArgmax", [rnd(5, 9, 2)], padding + " rank", **rect)
    case("MaxPoolWithArgmax", [rnd(1, 1, 1, 1)], padding + " small", **rect)
    case("MaxPoolWithArgmax", [rnd(1, 2, 1, 1)], padding + " smaller", ksize=[1, 4, 4, 1], strides=[1, 1, 1, 1], padding=padding)
    case("MaxPoolWithArgmax", [np.array([nan, 1, nan, 2, 3, nan], F).reshape(1, 2, 3, 1)], padding + " nan", ksize=[1, 2, 2, 1],
         strides=[1, 1, 1, 1], padding=padding)
    for op in ("MaxPool", "AvgPool"):
        case(op, [rnd(1, 2, 1, 1)], padding + " smaller", ksize=[1, 4, 4, 1], strides=[1, 1, 1, 1], padding=padding)
        case(op, [np.zeros((0, 4, 4, 1), F)], padding + " empty", ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding=padding)
    for op in ("Conv2D", "DepthwiseConv2dNative"):
        case(op, [rnd(1, 2, 1, 1), rnd(4, 4, 1, 1)], padding + " smaller", strides=[1, 1, 1, 1], padding=padding)
narrow = dict(strides=[1, 1, 1, 1], padding="EXPLICIT", explicit_paddings=[0, 0, 1, 0, 0, 0, 0, 0])
case("Conv2D", [rnd(1, 2, 3, 1), rnd(5, 2, 1, 1)], "explicit, smaller", **narrow)
case("MaxPool", [rnd(1, 2, 3, 1)], "explicit, smaller", ksize=[1, 5, 2, 1], **narrow)
case("Conv2D", [rnd(1, 2, 3, 1), rnd(2, 2, 1, 1)], "dilated, smaller", strides=[1, 1, 1, 1], padding="VALID",
     dilations=[1, 4, 1, 1])
case("Conv2D", [rnd(0, 2, 3, 1), rnd(5, 2, 1, 1)], "empty, smaller", strides=[1, 1, 1, 1], padding="VALID")

# ---- images moved and scaled ----
family("warp", 60981)
moves = np.array([[1, 0, 0, 0, 1, 0, 0, 0], [1, 0, 1.5, 0, 1, -.75, 0, 0], [.7, -.7, 2, .7, .7, -1, 0, 0],
                  [1.1, .1, -1, -.2, .9, .5, .05, -.02], [1, 0, 0, 0, 1, 0, -.5, 0], [-3, 0, 9, 0, -4, 9, 0, 0]], F)
wide = rnd(6, 5, 7, 2)
for how in (b"NEAREST", b"BILINEAR"):
    for fill in (b"CONSTANT", b"REFLECT", b"WRAP", b"NEAREST"):
        kind = dict(interpolation=how, fill_mode=fill)
        name = "%s %s" % (how.decode(), fill.decode())
        case("ImageProjectiveTransformV3", [wide, moves, ints(5, 7), F(0)], name, **kind)
        case("ImageProjectiveTransformV3", [wide, moves[2:3], ints(3, 9), F(-2.5)], name + ", one", **kind)
        case("ImageProjectiveTransformV2", [wide, moves, ints(4, 8)], name, **kind)
        case("ImageProjectiveTransformV3", [rnd(6, 1, 1, 1), moves, ints(3, 3), F(1)], name + ", one pixel", **kind)
    kind = dict(interpolation=how, fill_mode=b"CONSTANT")
    for t in (U8, I32, I64, H, B, D):
        case("ImageProjectiveTransformV3", [rnd(6, 4, 3, 2, t=t, lo=0, hi=200), moves, ints(4, 4), F(7.6)],
             "%s %s" % (how.decode(), t.__name__), **kind)
    case("ImageProjectiveTransformV3", [wide, np.full((1, 8), nan, F), ints(2, 2), F(3)], how.decode() + ", nan", **kind)
warps = dict(interpolation=b"BILINEAR")
case("ImageProjectiveTransformV3", [wide[:0], moves[:1], ints(2, 2), F(0)], "empty", **warps)
case("ImageProjectiveTransformV3", [wide[..., :0], moves[:1], ints(2, 2), F(0)], "no channels", **warps)
case("ImageProjectiveTransformV3", [wide[:, :0], moves[:1], ints(2, 2), F(5)], "no rows", **warps)
case("ImageProjectiveTransformV3", [wide[0], moves[:1], ints(2, 2), F(0)], "rank", **warps)
case("ImageProjectiveTransformV3", [wide, moves[:2], ints(2, 2), F(0)], "transforms", **warps)
case("ImageProjectiveTransformV3", [wide, moves[:, :7], ints(2, 2), F(0)], "columns", **warps)
case("ImageProjectiveTransformV3", [wide, moves[0], ints(2, 2), F(0)], "rank of transforms", **warps)
case("ImageProjectiveTransformV3", [wide, moves, ints(2), F(0)], "sizes", **warps)
case("ImageProjectiveTransformV3", [wide, moves, np.array([[2, 2]], I32), F(0)], "rank of size", **warps)
case("ImageProjectiveTransformV3", [wide, moves, ints(0, 2), F(0)], "size", **warps)
case("ImageProjectiveTransformV3", [wide, moves, ints(2, 2), np.array([0], F)], "fill", **warps)
for anti in (False, True):
    for name in (b"lanczos1", b"lanczos3", b"lanczos5", b"gaussian", b"box", b"triangle", b"keyscubic", b"mitchellcubic"):
        kind = dict(kernel_type=name, antialias=anti)
        name = "%s %s" % (name.decode(), anti)
        case("ScaleAndTranslate", [image, ints(3, 4), np.array([.6, .57], F), np.zeros(2, F)], name + " down", **kind)
        case("ScaleAndTranslate", [image, ints(8, 9), np.array([1.6, 1.3], F), np.array([-.7, 2.2], F)], name + " up", **kind)
for t in (U8, I8, U16, I16, I32, I64, H, B, D):
    case("ScaleAndTranslate", [rnd(2, 5, 4, 2, t=t, lo=-100, hi=100), ints(3, 5), np.array([.7, 1.4], F), np.array([.2, 0], F)],
         t.__name__)
ones = np.ones(2, F)
case("ScaleAndTranslate", [rnd(1, 5, 33, 5), ints(4, 20), ones * F(.6), ones], "deep")
case("ScaleAndTranslate", [image, ints(3, 3), ones, ones * 100], "outside")
case("ScaleAndTranslate", [image, ints(3, 3), ones * F(1e-3), ones], "tiny")
case("ScaleAndTranslate", [image[:0], ints(3, 3), ones, ones], "empty")
case("ScaleAndTranslate", [image[..., :0], ints(3, 3), ones, ones], "no channels")
case("ScaleAndTranslate", [image[:, :0], ints(3, 3), ones, ones], "no rows")
case("ScaleAndTranslate", [image[0], ints(3, 3), ones, ones], "rank")
case("ScaleAndTranslate", [image, ints(3), ones, ones], "sizes")
case("ScaleAndTranslate", [image, np.array([[3, 3]], I32), ones, ones], "rank of size")
case("ScaleAndTranslate", [image, ints(0, 3), ones, ones], "size")
case("ScaleAndTranslate", [image, ints(3, 3), ones[:1], ones], "scales")
case("ScaleAndTranslate", [image, ints(3, 3), ones, ones[:1]], "translations")
case("ScaleAndTranslate", [image, ints(3, 3), ones * 0, ones], "no scale")
case("ScaleAndTranslate", [image, ints(3, 3), np.array([1, -1], F), ones], "negative")


# ---- rolls, reversed sequences ----
family("array", 64050)
for shift, axis in ((1, 0), (-1, 1), (5, -1), (0, 2), (-7, 0)):
    case("Roll", [x, I32(shift), I32(axis)], str((shift, axis)))
case("Roll", [x, ints(1, 1, -2), ints(0, 1, 2)], "all")
case("Roll", [x, np.array([1, 2], I64), np.array([-2, -2], I64)], "twice")
case("Roll", [x, np.array([2**40 + 1, -2**62], I64), ints(0, 1)], "far")
for t in (I64, U8, H, D, np.bool_):
    case("Roll", [rnd(3, 4).astype(t), ints(1), ints(1)], t.__name__)
case("Roll", [S(b"a", b"b", b"c"), I32(1), I32(0)], "string")
case("Roll", [np.zeros((0, 3), F), I32(1), I32(0)], "empty")
case("Roll", [F(1), I32(1), I32(0)], "scalar")
case("Roll", [rnd(2, 3), np.array([[1]], I32), I32(0)], "bad shift")
case("Roll", [rnd(2, 3), I32(1), np.array([[0]], I32)], "bad axis shape")
case("Roll", [rnd(2, 3), ints(1, 2), ints(0)], "sizes")
case("Roll", [rnd(2, 3), I32(1), I32(2)], "range")
case("Roll", [rnd(2, 3), I32(1), I32(-3)], "negative range")
seq = rnd(3, 4, 2)
case("ReverseSequence", [seq, np.array([0, 4, 3], I64)], "", seq_dim=1, batch_dim=0)
case("ReverseSequence", [seq, ints(3, 0, 1, 2)], "batch second", seq_dim=0, batch_dim=1)
case("ReverseSequence", [seq, ints(2, 1)], "batch last", seq_dim=1, batch_dim=2)
case("ReverseSequence", [rnd(2, 3, 2, 2), ints(2, 1)], "far apart", seq_dim=3, batch_dim=0)
case("ReverseSequence", [rnd(2, 3, t=I64), ints(2, 3)], "int64", seq_dim=1)
case("ReverseSequence", [np.array([[b"a", b"b"], [b"c", b"d"]], object), ints(2, 1)], "string", seq_dim=1)
case("ReverseSequence", [np.zeros((0, 3), F), np.zeros(0, I32)], "empty", seq_dim=1)
case("ReverseSequence", [seq, ints(1, -1, 1)], "negative", seq_dim=1)
case("ReverseSequence", [seq, ints(1, 5, 1)], "long", seq_dim=1)
case("ReverseSequence", [seq, ints(1, 2)], "count", seq_dim=1)
case("ReverseSequence", [seq, np.array([[1]], I32)], "bad lengths", seq_dim=1)
case("ReverseSequence", [seq, ints(1, 1, 1)], "one dim", seq_dim=0)
case("ReverseSequence", [seq, ints(1, 1, 1)], "bad seq_dim", seq_dim=3)
case("ReverseSequence", [seq, ints(1, 1, 1)], "bad batch_dim", seq_dim=1, batch_dim=3)
case("LinSpace", [F(1), F(2.5), I32(7)])
case("LinSpace", [D(-1), D(1), I64(4)], "double")
case("LinSpace", [F(5), F(-5), I32(1)], "one")
case("LinSpace", [F(5), F(5), I32(3)], "flat")
case("LinSpace", [F(0), F(1), I32(0)], "none")
case("LinSpace", [F(0), F(1), I32(-3)], "negative")
case("LinSpace", [rnd(1), F(1), I32(2)], "vector")
case("LinSpace", [F(1), F(1), ints(2)], "num vector")
for t in (F, I32, np.bool_, np.object_):
    case("Empty", [ints(2, 3)], "", dtype=tf.as_dtype(tf.string if t == np.object_ else t), init=True)
case("Empty", [np.zeros(0, I32)], "scalar", dtype=tf.float32, init=True)
case("Empty", [ints(0, 3)], "nothing", dtype=tf.float32)
case("Empty", [ints(-1)], "negative", dtype=tf.float32)
case("Empty", [I32(3)], "rank", dtype=tf.float32)

# ---- searching ----
family("search", 64192)
for op in ("LowerBound", "UpperBound"):
    for t in (F, D, I32, I64, U8, H):
        a = np.sort(rnd(2, 7, t=t, lo=0, hi=5), axis=1)
        case(op, [a, np.concatenate([a[:, ::3], rnd(2, 4, t=t, lo=-1, hi=6)], axis=1)], t.__name__)
    case(op, [np.array([[1, 2, 2, 3]], F), np.array([[2, 0, 9, nan]], F)], "int64", out_type=tf.int64)
    case(op, [np.array([[3, 1, 2, 5, 4]], F), np.array([[2, 3.5, 4]], F)], "not sorted")
    case(op, [np.zeros((2, 0), F), rnd(2, 3)], "in nothing")
    case(op, [rnd(2, 3), np.zeros((2, 0), F)], "nothing")
    case(op, [rnd(2, 3), rnd(3, 3)], "rows")
    case(op, [rnd(3), rnd(3)], "vectors")
    case(op, [rnd(2, 3), rnd(2)], "values")
top = np.array([[.1, .3, .2, .4], [.1, .1, .1, .1], [nan, 1, 2, 3], [1, 2, inf, 3]], F)
for k in (0, 1, 2, 4, 9):
    case("InTopKV2", [top, ints(1, 0, 3, 1), I32(k)], str(k))
case("InTopKV2", [top, np.array([3, 4, -1, 2], I64), I64(2)], "int64")
case("InTopKV2", [np.zeros((0, 3), F), np.zeros(0, I32), I32(1)], "empty")
case("InTopKV2", [rnd(2, 3), ints(0), I32(1)], "bad")
case("InTopKV2", [rnd(3), ints(0, 0, 0), I32(1)], "vector")
case("InTopKV2", [rnd(2, 3), ints([0], [1]), I32(1)], "matrix")
case("InTopK", [top, ints(1, 0, 3, 1)], "V1", k=2)
for t in (F, D, I32, I64):
    case("HistogramFixedWidth", [np.array([-1, 0, 1, 2, 3, 4, 5, 15], t), np.array([0, 5], t), I32(5)], t.__name__)
case("HistogramFixedWidth", [rnd(5, 20, lo=-1, hi=2), np.array([0, 1], F), I32(7)], "int64", dtype=tf.int64)
case("HistogramFixedWidth", [np.array([inf, -inf, 1e30], F), np.array([0, 5], F), I32(5)], "far")
case("HistogramFixedWidth", [np.zeros(0, F), np.array([0, 5], F), I32(3)], "nothing")
case("HistogramFixedWidth", [rnd(3), np.array([5, 5], F), I32(3)], "range")
case("HistogramFixedWidth", [rnd(3), np.array([0, nan], F), I32(3)], "nan")
case("HistogramFixedWidth", [rnd(3), np.array([0, 5, 6], F), I32(3)], "three")
case("HistogramFixedWidth", [rnd(3), np.array([0, 5], F), I32(0)], "no bins")
case("HistogramFixedWidth", [rnd(3), np.array([0, 5], F), ints(3)], "bins")

# ---- unique slices ----
family("array", 64602)
rows3 = np.array([[1, 2, 1], [3, 4, 3], [1, 2, 1], [1, 2, 3]])
none_at_all = np.zeros(0, I32)
for t in (F, D, I32, I64, U8, np.bool_):
    case("UniqueV2", [rows3.astype(t), ints(0)], t.__name__)
    case("UniqueV2", [rows3.astype(t), np.array([-1], I64)], t.__name__ + " last")
case("UniqueV2", [np.stack([rows3, rows3[::-1]], 2), ints(1)], "middle")
case("UniqueV2", [ints(4, 1, 4, 2, 1), none_at_all], "vector")
case("UniqueV2", [ints(4, 1, 4, 2, 1), ints(0)], "int64", out_idx=tf.int64)
case("UniqueV2", [np.array([nan, 1, nan, 0, -0.0, 1], F), none_at_all], "numbers")
case("Unique", [np.array([nan, 1, nan, 0, -0.0, 1], D)], "numbers")
case("UniqueV2", [np.array([[nan, 1], [nan, 1], [0, 1], [-0.0, 1]], F), ints(0)], "rows of numbers")
case("UniqueV2", [np.array([[b"a", b"bc"], [b"ab", b"c"], [b"a", b"bc"]], object), ints(0)], "strings")
case("UniqueV2", [np.array([[b"a", b"bc", b"a"], [b"ab", b"c", b"ab"]], object), ints(1)], "columns of strings")
case("UniqueV2", [S(b"b", b"a", b"b"), ints(0)], "string vector")
case("UniqueV2", [np.zeros((0, 3), F), ints(0)], "empty")
case("UniqueV2", [np.zeros((3, 0), F), ints(0)], "empty slices")
case("UniqueV2", [rnd(2, 2), none_at_all], "matrix")
case("UniqueV2", [rnd(2, 2), ints(2)], "axis")
case("UniqueV2", [rnd(2, 2), ints(-3)], "negative axis")
case("UniqueV2", [rnd(2, 2), ints(0, 1)], "two axes")
case("UniqueV2", [rnd(2, 2), I32(0)], "scalar axis")
case("UniqueWithCountsV2", [rows3, ints(0)])
case("UniqueWithCountsV2", [ints(4, 1, 4), none_at_all], "vector")

# ---- diagonals, vectors ----
family("linear", 64622)
for t in (F, D, H, I32, I64):
    case("Diag", [rnd(3, t=t)], t.__name__)
    case("DiagPart", [rnd(3, 3, t=t)], t.__name__)
case("Diag", [rnd(2, 3)], "matrix")
case("Diag", [np.zeros((0, 2), F)], "empty")
case("Diag", [F(1)], "scalar")
case("DiagPart", [rnd(2, 3, 2, 3)], "matrix")
case("DiagPart", [np.zeros((0, 2, 0, 2), F)], "empty")
case("DiagPart", [rnd(2, 3)], "bad")
case("DiagPart", [rnd(2, 3, 2)], "odd")
case("DiagPart", [F(1)], "scalar")
for t in (F, D, H, B, I8, I16, I32, I64, U8, U16):
    case("Cross", [rnd(2, 3, t=t, lo=0), rnd(2, 3, t=t, lo=0)], tf.as_dtype(t).name)
case("Cross", [rnd(3), rnd(3)], "vectors")
case("Cross", [np.array([2**31 - 1, 5, -9], I32), np.array([7, -2**31, 3], I32)], "wraps")
case("Cross", [np.zeros((0, 3), F), np.zeros((0, 3), F)], "empty")
case("Cross", [rnd(2, 3), rnd(3)], "shapes")
case("Cross", [rnd(2, 2), rnd(2, 2)], "two")
case("Cross", [F(1), F(2)], "scalars")
for t in (F, D, H, B):
    case("L2Loss", [rnd(4, 5, t=t)], tf.as_dtype(t).name)
case("L2Loss", [F(3)], "scalar")
case("L2Loss", [np.zeros((0, 2), F)], "empty")

family("math", 64917)
for t in (F, D):
    case("Digamma", [np.array([1, 2, .5, 10, 100, 1e-3, -.5, -1.5, -3.25, 1e8], t)], t.__name__)
    case("Digamma", [np.array([0, -1, -2, nan, inf, -inf], t)], "edges " + t.__name__)
    case("Digamma", [rnd(60, lo=-5, hi=20, t=t)], "range " + t.__name__)
case("Digamma", [rnd(9, lo=.1, hi=5, t=H)], "half")
case("Digamma", [rnd(9, lo=.1, hi=5, t=B)], "bfloat16")

# ---- strings joined ----
family("string", 65055)
letters = np.array([[[b"a", b"bb"], [b"", b"d"], [b"e", b"f"]], [[b"g", b"h"], [b"i", b"j"], [b"k", b"l"]]], object)
for axes in ([0], [1], [-1], [0, 1], [1, 0], [2, 0], [0, 1, 2], [2, 1, 0], []):
    case("ReduceJoin", [letters, np.array(axes, I32)], str(axes), separator=b"-")
case("ReduceJoin", [letters, ints(1)], "keep", keep_dims=True)
case("ReduceJoin", [letters, I32(-2)], "scalar axis")
case("ReduceJoin", [np.array(b"x", object), np.zeros(0, I32)], "scalar")
case("ReduceJoin", [np.array(b"x", object), ints(0)], "scalar, axis")
case("ReduceJoin", [np.zeros((2, 0), object), ints(1)], "nothing")
case("ReduceJoin", [np.zeros((0, 2), object), ints(1)], "empty")
case("ReduceJoin", [letters, ints(3)], "range")
case("ReduceJoin", [letters, ints(-4)], "negative range")
case("ReduceJoin", [letters, ints(1, -2)], "twice")
case("UnsortedSegmentJoin", [S(b"a", b"b", b"", b"d"), ints(2, 0, 2, 2), I32(4)], "", separator=b",")
case("UnsortedSegmentJoin", [letters[0], np.array([1, 0, 1], I64), I64(2)], "rows", separator=b":")
case("UnsortedSegmentJoin", [letters[0], np.array([[1, 0], [1, 1], [0, 1]], I32), I32(2)], "elements")
case("UnsortedSegmentJoin", [S(b"a", b"b"), ints(-1, 0), I32(1)], "left out")
case("UnsortedSegmentJoin", [np.zeros(0, object), np.zeros(0, I32), I32(2)], "empty")
case("UnsortedSegmentJoin", [S(b"a", b"b"), ints(0, 2), I32(2)], "range")
case("UnsortedSegmentJoin", [S(b"a", b"b"), ints(0, 1), I32(-2)], "negative")
case("UnsortedSegmentJoin", [S(b"a", b"b"), ints(0, 1, 1), I32(2)], "shapes")
case("UnsortedSegmentJoin", [S(b"a", b"b"), I32(0), I32(2)], "scalar id")
case("UnsortedSegmentJoin", [S(b"a", b"b"), ints(0, 1), ints(2, 2)], "counts")
binary = S(b"", b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc", bytes(range(40)))
for pad in (False, True):
    case("EncodeBase64", [binary.reshape(2, 3)], str(pad), pad=pad)
case("DecodeBase64", [S(b"", b"YQ", b"YQ==", b"YWI", b"YWI=", b"YWJj", b"__79_A", b"__79_A==", b"YR")])
for bad in (b"Y", b"YWJjY", b"Y===", b"====", b"YQ=", b"Y+Jj", b"Y/==", b"YW Jj", b"=", b"YQ==YQ==", b"Y\0Jj", b"Y\xffJj"):
    case("DecodeBase64", [S(bad)], repr(bad))

# ---- recurrent cells, decoders ----
family("rnn", 65055)


def moments(*rows):
    return np.log(np.array(rows, F).transpose(1, 0, 2))


beams = rnd(6, 3, 4)
for merge in (False, True):
    case("CTCGreedyDecoder", [beams, ints(6, 0, 4)], "", merge_repeated=merge)
    case("CTCGreedyDecoder", [moments([[.6, .3, .1], [.6, .3, .1], [.1, .2, .7], [.6, .3, .1], [.2, .5, .3]]), ints(5)],
         "repeated", merge_repeated=merge)
case("CTCGreedyDecoder", [beams, ints(6, 5, 4)], "first is blank", merge_repeated=True, blank_index=0)
case("CTCGreedyDecoder", [beams, ints(6, 5, 4)], "negative blank", blank_index=-2)
case("CTCGreedyDecoder", [rnd(3, 2, 4, t=D), ints(3, 3)], "double")
case("CTCGreedyDecoder", [np.zeros((3, 0, 4), F), np.zeros(0, I32)], "empty batch")
case("CTCGreedyDecoder", [np.zeros((0, 2, 4), F), ints(0, 0)], "no time")
case("CTCGreedyDecoder", [rnd(3, 2), ints(0, 0)], "rank")
case("CTCGreedyDecoder", [beams, ints(1, 1)], "lengths")
case("CTCGreedyDecoder", [beams, ints(1, 7, 1)], "too long")
case("CTCGreedyDecoder", [beams, ints(1, -1, 1)], "negative length")
case("CTCGreedyDecoder", [beams, np.array([[1, 1, 1]], I32)], "matrix")
case("CTCGreedyDecoder", [beams, ints(1, 1, 1)], "bad blank", blank_index=4)


def lstm(batch, inputs, cells, steps=None):
    lead = () if steps is None else (steps,)
    return [rnd(*lead, batch, inputs), rnd(batch, cells), rnd(batch, cells, lo=-1, hi=1),
            rnd(inputs + cells, 4 * cells, lo=-1, hi=1), rnd(cells), rnd(cells), rnd(cells), rnd(4 * cells)]


for peephole in (False, True):
    case("LSTMBlockCell", lstm(3, 4, 5), "peephole %d" % peephole, use_peephole=peephole)
    case("LSTMBlockCell", lstm(1, 2, 9), "clip %d" % peephole, use_peephole=peephole, cell_clip=.5, forget_bias=.25)
    case("BlockLSTM", [I64(4)] + lstm(3, 4, 5, 4), "peephole %d" % peephole, use_peephole=peephole)
    case("BlockLSTM", [I64(2)] + lstm(2, 3, 4, 5), "shorter %d" % peephole, use_peephole=peephole, cell_clip=.5)
    case("BlockLSTMV2", [I64(4)] + lstm(3, 4, 5, 4), "peephole %d" % peephole, use_peephole=peephole)
case("LSTMBlockCell", lstm(2, 3, 4), "no clip", cell_clip=-1.0)
case("LSTMBlockCell", lstm(0, 3, 4), "empty")
case("LSTMBlockCell", lstm(2, 0, 4), "no inputs")
case("BlockLSTMV2", [I64(0)] + lstm(2, 3, 4, 3), "none")
case("BlockLSTMV2", [I64(3)] + lstm(0, 3, 4, 3), "empty")
for op in ("LSTMBlockCell", "BlockLSTM", "BlockLSTMV2"):
    lead = [] if op == "LSTMBlockCell" else [I64(3)]
    for at, shape in ((0, (4,)), (1, (3, 4)), (1, (2,)), (2, (2, 5)), (2, (3, 4)), (3, (6, 16)), (3, (7, 12)), (3, (7,)),
                      (4, (3,)), (5, (2, 2)), (6, (3,)), (7, (12,)), (7, (2, 16))):
        if not lead and (len(shape) < 2 and at < 4 or at in (4, 6)):
            continue  # TensorFlow ends its process, or reads what is not there
        parts = lstm(2, 3, 4, 3 if lead else None)
        parts[at] = rnd(*shape)
        case(op, lead + parts, "bad %d %s" % (at, shape), use_peephole=True)
case("BlockLSTM", [np.array([3], I64)] + lstm(2, 3, 4, 3), "vector")


def gru(batch, inputs, cells):
    return [rnd(batch, inputs), rnd(batch, cells), rnd(inputs + cells, 2 * cells, lo=-1, hi=1),
            rnd(inputs + cells, cells, lo=-1, hi=1), rnd(2 * cells), rnd(cells)]


case("GRUBlockCell", gru(3, 4, 5))
case("GRUBlockCell", gru(1, 7, 9), "one")
case("GRUBlockCell", gru(0, 3, 4), "empty")
case("GRUBlockCell", gru(2, 0, 4), "no inputs")
for at, shape in ((0, (4,)), (1, (3, 4)), (1, (2,)), (2, (6, 8)), (2, (7, 7)), (3, (6, 4)), (3, (7, 5)), (3, (7,)), (4, (7,)),
                  (5, (5,)), (5, (2, 4))):
    parts = gru(2, 3, 4)
    parts[at] = rnd(*shape)
    case("GRUBlockCell", parts, "bad %d %s" % (at, shape))


# ---- sparse tensors put together and cut, ragged rows ----
family("sparse", 77942)


def sparse(t, shape, *places):
    at = np.array(places, I64).reshape(-1, len(shape))
    return at, (S(*[b"v%d" % i for i in range(len(at))]) if t is object else rnd(len(at), t=t)), np.array(shape, I64)


def sparse_concat(label, parts, **k):
    case("SparseConcat", [[p[i] for p in parts] for i in range(3)], label, **k)


left, right = sparse(F, (3, 4), (0, 1), (2, 0), (2, 3)), sparse(F, (3, 2), (0, 0), (1, 1), (2, 1))
below = sparse(F, (2, 4), (0, 0), (1, 3))
sparse_concat("columns", [left, right], concat_dim=1)
sparse_concat("last", [left, right, left], concat_dim=-1)
sparse_concat("rows", [left, below], concat_dim=0)
sparse_concat("not sorted", [sparse(F, (3, 4), (2, 0), (0, 1)), below], concat_dim=0)
sparse_concat("strings", [sparse(object, (2, 2), (0, 1), (1, 0)), sparse(object, (2, 1), (0, 0))], concat_dim=1)
sparse_concat("int64", [sparse(I64, (2, 2, 2), (0, 1, 1), (1, 0, 0)), sparse(I64, (2, 3, 2), (0, 0, 1))], concat_dim=1)
sparse_concat("empty", [sparse(F, (3, 4)), right], concat_dim=1)
sparse_concat("ranks", [left, sparse(F, (3, 4, 1), (0, 0, 0))], concat_dim=1)
sparse_concat("shapes", [left, below], concat_dim=1)
sparse_concat("range", [left, right], concat_dim=2)
sparse_concat("indices", [left, (ints(1, 2).astype(I64), right[1], right[2])], concat_dim=1)
sparse_concat("values", [left, (right[0], rnd(3, 1), right[2])], concat_dim=1)
sparse_concat("fewer values", [left, (right[0], rnd(2), right[2])], concat_dim=1)
sparse_concat("shape matrix", [left, (right[0], right[1], np.array([[3, 2]], I64))], concat_dim=1)
for start, size in (((0, 0), (2, 3)), ((1, 0), (2, 4)), ((0, 2), (9, 9)), ((5, 0), (1, 1)), ((0, 0), (0, 0))):
    case("SparseSlice", [*left, np.array(start, I64), np.array(size, I64)], str((start, size)))
case("SparseSlice", [*sparse(object, (2, 2), (0, 1), (1, 0)), np.array([1, 0], I64), np.array([1, 2], I64)], "strings")
case("SparseSlice", [*sparse(I64, (2, 3, 2), (0, 1, 1), (1, 0, 0)), np.array([0, 0, 1], I64), np.array([2, 2, 1], I64)], "int64")
case("SparseSlice", [*left, np.array([0], I64), np.array([1, 1], I64)], "start")
case("SparseSlice", [*left, np.array([0, 0], I64), np.array([1], I64)], "size")
case("SparseSlice", [*left, np.array([[0, 0]], I64), np.array([1, 1], I64)], "start matrix")
case("SparseSlice", [*left, np.array([0, 0], I64), np.array([[1, 1]], I64)], "size matrix")
case("SparseSlice", [left[0][0], left[1], left[2], np.array([0, 0], I64), np.array([1, 1], I64)], "indices")
case("SparseSlice", [left[0], rnd(3, 1), left[2], np.array([0, 0], I64), np.array([1, 1], I64)], "values")
case("SparseSlice", [left[0], rnd(2), left[2], np.array([0, 0], I64), np.array([1, 1], I64)], "fewer values")
case("SparseSlice", [left[0], left[1], np.array([3], I64), np.array([0], I64), np.array([1], I64)], "depth")
case("SparseSlice", [left[0], left[1], np.array([[3, 4]], I64), np.array([0, 0], I64), np.array([1, 1], I64)], "shape matrix")
case("SparseSlice", [*left, np.array([0, -1], I64), np.array([3, 2], I64)], "negative start")
case("SparseSlice", [*left, np.array([0, 0], I64), np.array([3, -2], I64)], "negative size")
case("SparseSlice", [left[0], left[1], np.array([3, -4], I64), np.array([0, 0], I64), np.array([1, 1], I64)], "negative shape")
sparse_concat("depth", [left, (right[0][:, :1], right[1], right[2])], concat_dim=1)
sparse_concat("outside", [left, (right[0] + 7, right[1], right[2])], concat_dim=1)
sparse_concat("negative shape", [left, (right[0], right[1], np.array([3, -2], I64))], concat_dim=1)

family("ragged", 77966, 1900299504)
for t in (F, D, I32, I64):
    case("RaggedRange", [np.array([0, 5, 8], t), np.array([3, 5, 2], t), np.array([1, 1, -2], t)], t.__name__)
case("RaggedRange", [I32(0), ints(3, 5, 0), I32(1)], "limits", Tsplits=tf.int32)
case("RaggedRange", [I32(0), I32(3), I32(2)], "scalars")
case("RaggedRange", [F(0), np.array([1, .5], F), F(.3)], "fractions")
case("RaggedRange", [np.zeros(0, I32), np.zeros(0, I32), I32(1)], "empty")
case("RaggedRange", [np.array([-2**31], I32), np.array([2**31 - 1], I32), np.array([2**30], I32)], "wide")
case("RaggedRange", [I32(5), I32(1), I32(1)], "away")
case("RaggedRange", [I32(0), I32(3), I32(0)], "no step")
case("RaggedRange", [ints(0, 1), ints(1, 2, 3), I32(1)], "sizes")
case("RaggedRange", [np.array([[1]], I32), I32(3), I32(1)], "matrix")
outer, middle = np.array([0, 2, 2, 3], I64), np.array([0, 1, 1, 4], I64)
case("RaggedTensorToSparse", [[splits], rnd(5)])
case("RaggedTensorToSparse", [[splits.astype(I32)], rnd(5, 2)], "items")
case("RaggedTensorToSparse", [[outer, middle], S(b"a", b"b", b"c", b"d")], "two levels")
case("RaggedTensorToSparse", [[np.array([0], I64)], np.zeros(0, F)], "empty")
case("RaggedTensorToSparse", [[np.array([0, 0, 0], I64)], np.zeros((0, 3), F)], "empty rows")
case("RaggedTensorToSparse", [[np.array([1, 5], I64)], rnd(5)], "start")
case("RaggedTensorToSparse", [[np.array([0, 3, 2, 5], I64)], rnd(5)], "order")
case("RaggedTensorToSparse", [[np.array([0, 4], I64)], rnd(5)], "end")
case("RaggedTensorToSparse", [[np.zeros(0, I64)], rnd(5)], "no splits")
case("RaggedTensorToSparse", [[np.array([0, 1], I64)], F(1)], "scalar")
for t in (I32, I64):
    case("RaggedGather", [[splits], rnd(5), np.array([2, 0, 2], t)], t.__name__, OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[splits.astype(I32)], rnd(5, 2), np.array([[2, 0], [1, 2]], I32)], "matrix", OUTPUT_RAGGED_RANK=2)
case("RaggedGather", [[outer, middle], S(b"a", b"b", b"c", b"d"), ints(2, 0, 1)], "two levels", OUTPUT_RAGGED_RANK=2)
case("RaggedGather", [[outer, middle], rnd(4), I32(0)], "row of rows", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[splits], rnd(5), I32(2)], "row", OUTPUT_RAGGED_RANK=0)
case("RaggedGather", [[splits], rnd(5), np.zeros(0, I32)], "nothing", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[splits], rnd(5), ints(0, 3)], "range", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[splits], rnd(5), ints(-1)], "negative", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[splits], rnd(5), np.array([[0, 3]], I32)], "range in matrix", OUTPUT_RAGGED_RANK=2)
case("RaggedGather", [[splits], rnd(4), ints(0)], "past values", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[np.array([0, 3, 2], I64)], rnd(5), ints(0)], "order", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[np.array([-1, 3], I64)], rnd(5), ints(0)], "negative splits", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[np.zeros(0, I64)], rnd(5), ints(0)], "no splits", OUTPUT_RAGGED_RANK=1)
case("RaggedGather", [[splits], F(1), ints(0)], "scalar", OUTPUT_RAGGED_RANK=1)

# ---- numbers as few bits ----
family("quant", 78069, 1900299504)
for t in (F, D):
    for given in (False, True):
        for signed in (False, True):
            for narrow in (False, True):
                case("QuantizeAndDequantizeV2", [rnd(3, 7, t=t), t(-1.5), t(2)], "", range_given=given, signed_input=signed,
                     narrow_range=narrow)
    case("QuantizeAndDequantizeV2", [rnd(3, 7, t=t), t(0), t(2.5)], "half up", range_given=True, round_mode=b"HALF_UP",
         num_bits=4)
    case("QuantizeAndDequantizeV3", [rnd(2, 3, 4, t=t), t(0), t(0), I32(7)], "axis, own range", axis=1, range_given=False)
    case("QuantizeAndDequantizeV2", [rnd(2, 3, 4, t=t), t(0), t(0)], "axis, own range", axis=2, num_bits=5)
    case("QuantizeAndDequantizeV3", [rnd(3, 4, t=t), t(-2), t(1), I32(6)], "")
    case("QuantizeAndDequantizeV3", [rnd(3, 4, t=t), t(-2), t(1), I32(3)], "own range", range_given=False)
case("QuantizeAndDequantizeV2", [np.zeros((2, 2), F), F(0), F(0)], "zeros")
case("QuantizeAndDequantizeV2", [rnd(2, 2), F(0), F(0)], "no range", range_given=True)
case("QuantizeAndDequantizeV2", [np.array([nan, 1, inf], F), F(-1), F(1)], "edges", range_given=True)
case("QuantizeAndDequantizeV2", [rnd(4), F(-1), F(1)], "many bits", range_given=True, num_bits=40)
case("QuantizeAndDequantizeV2", [np.zeros((0, 2), F), F(-1), F(1)], "empty", range_given=True)
case("QuantizeAndDequantizeV2", [np.zeros((0, 2), F), F(-1), F(1)], "empty, own range")
case("QuantizeAndDequantizeV2", [rnd(3), F(2), F(1)], "turned", range_given=True)
case("QuantizeAndDequantizeV2", [rnd(3), rnd(1), F(1)], "vector", range_given=True)
case("QuantizeAndDequantizeV2", [rnd(3), F(-1), F(1)], "bad axis", axis=1)
case("QuantizeAndDequantizeV3", [rnd(3), F(-1), F(1), I32(8)], "bad axis", axis=1, range_given=False)
case("QuantizeAndDequantizeV3", [rnd(3), F(-1), F(1), I32(0)], "no bits")
case("QuantizeAndDequantizeV3", [rnd(3), F(-1), F(1), ints(8)], "bits")

for given in (False, True):
    case("QuantizeAndDequantizeV4", [rnd(3, 7), F(-1.5), F(2)], "given %d" % given, range_given=given, num_bits=6)
case("QuantizeAndDequantizeV4", [rnd(2, 3, 4), F(0), F(0)], "axis", axis=1)
case("QuantizeAndDequantizeV4", [rnd(3), F(2), F(1)], "turned", range_given=True)
case("QuantizeAndDequantizeV4", [rnd(3), rnd(1), F(1)], "vector", range_given=True)
case("QuantizeAndDequantizeV4", [rnd(3), F(-1), F(1)], "bad axis", axis=1)

family("array", 78694, 1900299504)
for a, b in (([2, 3], [3]), ([], [4]), ([1, 5], [7, 1]), ([], []), ([0], [1]), ([2, 1, 3], [1, 4, 1]), ([1], [1]), ([2, 3], [4, 3]),
             ([0], [3])):
    case("BroadcastArgs", [np.array(a, I32), np.array(b, I32)], str((a, b)))
case("BroadcastArgs", [np.array([2, 1], I64), np.array([5], I64)], "int64")
case("BroadcastArgs", [I32(2), ints(3)], "scalar")
case("BroadcastArgs", [ints(3), np.array([[2]], I32)], "matrix")

# ---- losses ----
family("nn", 78694, 1900299504)
for t in (F, D, H):
    p = rng.dirichlet(np.ones(5), 3).astype(t)
    case("SoftmaxCrossEntropyWithLogits", [rnd(3, 5, t=t), p], t.__name__)
    case("SparseSoftmaxCrossEntropyWithLogits", [rnd(3, 5, t=t), ints(0, 4, 2)], t.__name__)
case("SoftmaxCrossEntropyWithLogits", [rnd(3, 5), p[:1].astype(F)], "one label")
case("SoftmaxCrossEntropyWithLogits", [rnd(1, 5), p.astype(F)], "one logit")
case("SoftmaxCrossEntropyWithLogits", [rnd(3, 5), p[0].astype(F)], "vector")
case("SoftmaxCrossEntropyWithLogits", [np.array([[1000, -1000, 0]], F), np.array([[1, 0, 0]], F)], "far")
case("SoftmaxCrossEntropyWithLogits", [np.array([[1, -inf]], F), np.array([[1, 0]], F)], "never")
case("SoftmaxCrossEntropyWithLogits", [np.zeros((0, 3), F), np.zeros((0, 3), F)], "empty")
case("SoftmaxCrossEntropyWithLogits", [np.zeros((3, 0), F), np.zeros((3, 0), F)], "no classes")
case("SoftmaxCrossEntropyWithLogits", [rnd(3, 5), rnd(3, 4)], "shapes")
case("SoftmaxCrossEntropyWithLogits", [rnd(3), rnd(3)], "vectors")
case("SoftmaxCrossEntropyWithLogits", [rnd(2, 3, 4), rnd(2, 3, 4)], "cubes")
case("SparseSoftmaxCrossEntropyWithLogits", [rnd(3, 5), np.array([0, 4, 2], I64)], "int64")
case("SparseSoftmaxCrossEntropyWithLogits", [np.array([[1000, -1000, 0]], F), ints(1)], "far")
case("SparseSoftmaxCrossEntropyWithLogits", [np.zeros((0, 3), F), np.zeros(0, I32)], "empty")
case("SparseSoftmaxCrossEntropyWithLogits", [np.zeros((3, 0), F), ints(0, 0, 0)], "no classes")
case("SparseSoftmaxCrossEntropyWithLogits", [rnd(3, 5), ints(0, 5, 2)], "range")
case("SparseSoftmaxCrossEntropyWithLogits", [rnd(3, 5), ints(0, -1, 2)], "negative")
case("SparseSoftmaxCrossEntropyWithLogits", [rnd(3, 5), ints(0, 1)], "sizes")
case("SparseSoftmaxCrossEntropyWithLogits", [rnd(5), ints(0)], "vector")
case("SparseSoftmaxCrossEntropyWithLogits", [rnd(2, 5), np.array([[0], [1]], I32)], "matrix")

# ---- texts, character by character ----
family("search", 79020, 1900299504)
case("HistogramFixedWidth", [np.array([1, nan, 2], F), np.array([0, 5], F), I32(5)], "not a number")
case("HistogramFixedWidth", [np.array([nan], D), np.array([0, 5], D), I32(5)], "not a number")

family("string", 79020, 1900299504)
for key in ([0, 0], [1, 2], [-1, 2**63 - 1]):
    case("StringToHashBucketStrong", [S(b"", b"a", b"1234567", b"12345678", b"hello world", b"x" * 70, b"a\0b", b"\xff")],
         str(key), num_buckets=2**63 - 1, key=key)
case("StringToHashBucketStrong", [np.array([[b"a", b"b"], [b"c", b""]], object)], "matrix", num_buckets=7, key=[133, 137])
case("StringToHashBucketStrong", [np.zeros((0, 2), object)], "empty", num_buckets=7, key=[133, 137])
case("StringToHashBucketStrong", [S(b"a")], "bad", num_buckets=7, key=[133])
odd = S(b"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", b"", b"\xef\xbb\xbfx", b"\x80a\xc0\xafb\xff", b"\xe2\x82z\xf0\x9f\x98y\xf0\x9f",
        b"\xed\xa0\x80.\xf4\x90\x80\x80.\xe0\x80\x80", b"\x00\x01\t\x1f \x7f\xc2\x85", b"\xef\xbf\xbd\xef\xbf\xbe\xf4\x8f\xbf\xbf", b"\xe2", b"\xc3")
good = np.array([[b"a\xc3\xa4b", b""], [b"\xe2\x82\xac\n", b"\xf0\x9f\x98\x80"]], object)
for op in ("UnicodeDecode", "UnicodeDecodeWithOffsets"):
    for errors in (b"replace", b"ignore", b"strict"):
        for control in (False, True):
            # TensorFlow ends itself at offsets with Tsplits=int32
            for t in (tf.int32, tf.int64) if op == "UnicodeDecode" else (tf.int64,):
                k = dict(input_encoding=b"UTF-8", errors=errors, replace_control_characters=control, Tsplits=t)
                case(op, [good], "good %s %s" % (errors.decode(), control), **k)
                case(op, [odd], "odd %s %s" % (errors.decode(), control), **k)
    for i in range(len(odd)):
        case(op, [odd[i:i + 1]], "strict %d" % i, input_encoding=b"UTF-8", errors=b"strict")
        case(op, [odd[i:i + 1]], "ignore %d" % i, input_encoding=b"UTF-8", errors=b"ignore")
    case(op, [np.array(b"x\xffy", object)], "scalar", input_encoding=b"utf-8", replacement_char=63)
    case(op, [S(b"x\xff")], "zero", input_encoding=b"UTF-8", replacement_char=0)
    case(op, [np.zeros((0, 3), object)], "empty", input_encoding=b"UTF-8")
    case(op, [S(b"", b"")], "empty strings", input_encoding=b"UTF-8")
    case(op, [S(b"x" * 300 + b"\xc3\xa4" * 300)], "long", input_encoding=b"UTF-8")
    case(op, [S(b"x")], "bad replacement", input_encoding=b"UTF-8", replacement_char=0x110000)
points = ints(97, 0xe4, 0x20ac, 0x1f600, 0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff, 0x10fffd, 0xd7ff, 0xd800, 0xdfff, 0xe000,
              0xfdd0, 0xfdef, 0xfffd, 0xfffe, -1, 0x110000, 2**31 - 1, -2**31)
for errors in (b"replace", b"ignore", b"strict"):
    for t in (I32, I64):
        case("UnicodeEncode", [points, np.array([0, 3, 3, 9, 25], t)], errors.decode(), output_encoding=b"UTF-8", errors=errors)
        case("UnicodeEncode", [points[:4], np.array([0, 0, 3, 4, 4], t)], errors.decode() + " good", output_encoding=b"UTF-8",
             errors=errors)
case("UnicodeEncode", [ints(97, -1), ints(0, 2)], "replacement", output_encoding=b"UTF-8", replacement_char=63)
case("UnicodeEncode", [ints(97, -1), ints(0, 2)], "replaced by none", output_encoding=b"UTF-8", replacement_char=0xfffe)
case("UnicodeEncode", [np.zeros(0, I32), ints(0)], "nothing", output_encoding=b"UTF-8")
case("UnicodeEncode", [np.zeros(0, I32), ints(0, 0)], "an empty one", output_encoding=b"UTF-8")
for begin in ([], [1, 2], [0, 1], [0, 3], [0, 2, 1, 2], [0, 9, 2], [0, -1, 2], [0, 2**62, 2], [0, -2**63, 2]):
    case("UnicodeEncode", [ints(97, 98), np.array(begin, I64)], "splits %s" % begin, output_encoding=b"UTF-8")


def form(label, inputs, **attrs):
    case("StringFormat", [[np.asarray(i) for i in inputs]], label, **attrs)


form("scalar", [np.array(b"a\"b'\\\n\r\t\x00\x7f\xff\x1b1", object)])
form("none", [], template="text")
form("none, empty", [], template="")
form("strings", [S(b"a", b"", b"c d")], template="found OOV values {}, consider", placeholder="{}")
form("one", [S(b"a")], template="{}", placeholder="{}")
form("nothing", [np.zeros(0, object)], template="<{}>", placeholder="{}")
form("many", [S(*[b"%d" % i for i in range(9)]), np.arange(7, dtype=I64), np.arange(6, dtype=I64)], template="{}{} {}!", placeholder="{}")
for k in (-1, 0, 1, 2, 100):
    form("summarize %d" % k, [np.arange(60).reshape(5, 3, 4), np.array([b"x", b"y", b"z"], object), I32(7)], template="%s|%s|%s",
         summarize=k)
form("shapes", [np.zeros((0, 3), F), np.zeros((3, 0), F), np.zeros((9, 0, 2), F), np.zeros((2, 1, 3, 1), I32)], template="%s|%s|%s|%s")
form("matrix", [np.arange(80, dtype=I64).reshape(10, 8)])
form("numbers", [np.array([1.5, -2, 1e10, nan, inf, 1e-7, 123456789], F), D(0.1), np.array([True, False]), np.array([1.5], H),
                 np.array([-3], I8), np.array([200], U8), np.array([-3], I16), np.array([2**64 - 1], U64), np.array([1.5], B),
                 np.array([2**32 - 1], U32), np.array([60000], U16)], template="%s " * 11, summarize=9)
form("overlapping", [I32(1), I32(2)], template="aaaaa", placeholder="aa")
form("long", [I32(1)], template="x" * 5000 + "%s" + "y" * 5000)
digits = [np.array([123456789, .1, 1 / 3, 16777216, 1e-30, -0.0, -nan, -inf, 3e38], F), np.array([1 / 3, 1e15, 2**53, 1e300, -.1, nan], D),
          np.array([.1, 65504, 1e-7], H), np.array([.1, 3e38], B)]
form("digits", digits, template="%s %s %s %s", summarize=9)
case("Assert", [np.array(False), digits], "digits", summarize=9)
case("Assert", [np.array(False), [np.array(b"say \"it's\" a\\b\n\r\t\0\x7f\xc3\xa4", object), S(b"", b"\x1f1")]], "escapes")


# ---- an ellipsis in an equation ----
family("linear", 79020, 1900299504)
for eq, *s in (("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)), ("...ij,jk->...ik", (2, 3, 3, 4), (4, 5)), ("ij,...jk->...ik", (3, 4), (2, 4, 5)),
               ("...ij,...jk->...ik", (3, 4), (4, 5)), ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)), ("...ij,...jk->...ik", (1, 3, 4), (6, 4, 2)),
               ("a...b,b...->a...", (2, 3, 4), (4, 3)), ("...a,...a->...", (2, 3, 4), (3, 4)), ("...,...->...", (2, 3), (2, 3)),
               ("...a,...b->...ab", (2, 1, 3), (1, 5, 4)), ("...bij,...bjk->...bik", (2, 3, 2, 2), (3, 2, 4)), ("i...j->j...i", (2, 3, 4, 5)),
               ("...ij->...ji", (2, 3, 4)), ("...->...", (2, 3)), ("...ij->...ji", (3, 4)), ("ij,jk->...ik", (2, 3), (3, 4)),
               ("...i,ij->...j", (0, 3), (3, 4)), ("...i,ij->...j", (3,), (3, 4)),
               ("a...c,c...b->b...a", (2, 3, 1, 4), (4, 1, 5, 3)), ("...hqd,...hkd->...hqk", (2, 2, 3, 4), (2, 2, 5, 4)),
               ("...ij,...jk->...ik", (2, 3, 4), (3, 4, 5)), ("...ij,...jk->ik", (2, 3, 4), (2, 4, 5)), ("...ij,...jk->...ik", (4,), (4, 5)),
               ("...ij,jk->...ik", (2, 3, 4), (5, 4)), ("...ij,jk->...ik", (2, 3, 4), (1, 4, 5)), ("...ji,...jk->...ik", (2, 4, 3), (3, 4, 5)),
               ("...ij,...jk->...ik", (0, 3, 4), (1, 4, 5)), ("...abc,...bcd->...ad", (2, 1, 2, 3), (4, 2, 3, 2))):
    case("Einsum", [[rnd(*i) for i in s]], eq, equation=eq)
for t in (D, H, B, I32, I64):
    case("Einsum", [[rnd(2, 3, 4, t=t, lo=1), rnd(4, 5, t=t, lo=1)]], "..., " + tf.as_dtype(t).name, equation="...ij,jk->...ik")

# ---- vectors without the elements of others, old hashes ----
family("array", 80561, 90205387)
for t in (F, D, H, B, I8, I16, I32, I64, U8, U16, U32, U64):
    case("ListDiff", [np.array([1, 2, 3, 2, 7, 1], t), np.array([2, 9, 1], t)], tf.as_dtype(t).name)
case("ListDiff", [S(b"a", b"", b"bc", b"a"), S(b"", b"b")], "strings", out_idx=tf.int64)
case("ListDiff", [np.array([0, -0.0, nan, 1, inf], F), np.array([-0.0, nan, inf], F)], "numbers")
case("ListDiff", [ints(1, 2), np.zeros(0, I32)], "without nothing")
case("ListDiff", [np.zeros(0, I32), ints(1)], "nothing")
case("ListDiff", [ints(1, 2), ints(2, 1)], "all")
case("ListDiff", [rnd(2, 2), rnd(2)], "matrix")
case("ListDiff", [rnd(2), F(1)], "scalar")

family("string", 80569, 90205387)
case("StringToHashBucket", [S(b"", b"a", b"1234567", b"12345678", b"hello world", b"x" * 70, b"a\0b", b"\xff")], "",
     num_buckets=2**63 - 1)
for i in range(1, 18):
    case("StringToHashBucket", [S(bytes(range(200, 200 + i)))], "%d bytes" % i, num_buckets=2**63 - 1)
case("StringToHashBucket", [np.array([[b"a", b"b"], [b"c", b""]], object)], "matrix", num_buckets=7)
case("StringToHashBucket", [np.zeros((0, 2), object)], "empty", num_buckets=7)


# ---- crossed columns ----
family("sparse", 80569, 90205387)


def column(rows, t=object):
    """indices, values and shape of a sparse column with these features in its rows"""
    at = [(r, k) for r, f in enumerate(rows) for k in range(len(f))]
    flat = [v for f in rows for v in f]
    values = np.array(flat, object) if t is object else np.array(flat, t)
    return np.array(at, I64).reshape(-1, 2), values, np.array([len(rows), max(map(len, rows))], I64)


words = column([[b"a", b"bb"], [b""], [], [b"x", b"y", b"z"]])
numbers = column([[1], [2, -3], [4], [2**40, 0]], I64)
more_words = column([[b"p"], [b"q"], [b"r"], [b"s", b"t"]])
dense_words = np.array([[b"u", b"v"], [b"w", b"u"], [b"v", b"v"], [b"", b"w"]], object)
dense_numbers = np.array([[5], [-6], [7], [2**50]], I64)


def crosses(op, columns, dense, label, *more, **attrs):
    lists = [[c[i] for c in columns] for i in range(3)] + [dense]
    k = dict(attrs)
    if op == "SparseCross":
        text_only = all(c[1].dtype == object for c in columns) and all(d.dtype == object for d in dense)
        k.setdefault("internal_type", tf.string if text_only else tf.int64)
        k.setdefault("hashed_output", k["out_type"] == tf.int64)
        k.setdefault("num_buckets", 0)
        k.setdefault("hash_key", 0xDECAFCAFFE)
    case(op, lists + list(more), label, **k)


sets_of = (("one", [words], []), ("two", [words, more_words], []), ("three", [words, numbers, more_words], []),
           ("dense", [], [dense_words, dense_numbers]), ("both", [words, numbers], [dense_words, dense_numbers]), ("numbers", [numbers], [dense_numbers]),
           ("text", [words], [dense_words]))
for name, c, d in sets_of:
    crosses("SparseCross", c, d, name + " text", out_type=tf.string)
    crosses("SparseCross", c, d, name + " hash", out_type=tf.int64)
    crosses("SparseCross", c, d, name + " buckets", out_type=tf.int64, num_buckets=100, hash_key=7)
    crosses("SparseCrossV2", c, d, name, np.array(b"_Y_", object))
    for strong in (False,) if d else (False, True):  # TensorFlow ends itself at strong hashes of dense columns
        crosses("SparseCrossHashed", c, d, name + " strong %d" % strong, I64(0), np.array(strong), np.array([137, -2], I64))
        crosses("SparseCrossHashed", c, d, name + " buckets, strong %d" % strong, I64(1000), np.array(strong), np.array([1, 2], I64))
v2 = lambda c, d, label, sep=np.array(b"+", object): crosses("SparseCrossV2", c, d, label, sep)
v2([words, column([[], [], [], []])], [], "an empty column")
v2([(words[0][::-1], words[1], words[2])], [], "rows that descend")
v2([(np.array([[0, 0], [0, 1], [5, 0]], I64), S(b"a", b"b", b"c"), np.array([3, 2], I64))], [], "a row beyond the batch")
v2([(np.array([[-1, 0], [0, 1]], I64), S(b"a", b"b"), np.array([3, 2], I64))], [], "a negative row")
v2([(np.array([[0, 0], [2, 0], [1, 0], [3, 0]], I64), S(b"a", b"b", b"c", b"d"), np.array([4, 2], I64)), words], [], "rows that do not ascend")
v2([], [np.zeros((3, 0), object), dense_words[:3]], "a dense column of nothing")
v2([words], [dense_words[:, :0]], "nothing dense")
v2([(words[0][:, :1], words[1], words[2])], [], "indices of one")
v2([(words[0][0], words[1], words[2])], [], "vector of indices")
v2([(words[0], words[1][:2], words[2])], [], "few values")
v2([(words[0], words[1].reshape(-1, 1), words[2])], [], "matrix of values")
v2([(words[0], words[1], words[2][:1])], [], "shape of one")
v2([(words[0], words[1], words[2].reshape(1, 2))], [], "matrix of shape")
v2([words, column([[b"a"]])], [], "another batch")
v2([words], [dense_words[:3]], "another dense batch")
v2([words], [dense_words[0]], "dense vector")
crosses("SparseCross", [words], [dense_numbers], "numbers as text", out_type=tf.string, internal_type=tf.string)
crosses("SparseCross", [numbers], [dense_words], "sparse numbers as text", out_type=tf.int64, internal_type=tf.string)
crosses("SparseCrossHashed", [words], [], "salt", I64(0), np.array(False), np.array([1], I64))

# ---- pieces of text ----
family("string", 80569, 90205387)
umlauts = S(b"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80b", b"\x80\x80a\x80", b"plain text", b"\xc3\xa4\xc3\xb6\xc3\xbc\xff")
for unit in (b"BYTE", b"UTF8_CHAR"):
    for pos, length in ((0, 2), (1, 2), (1, 100), (-2, 1), (-1, 5), (-3, 2), (0, 0), (2, -1), (-1, -1), (1, -5), (-2, 0)):
        for t in (I32, I64):
            case("Substr", [umlauts, t(pos), t(length)], "%s %d %d" % (unit.decode(), pos, length), unit=unit)
    case("Substr", [umlauts, ints(0, 1, 2, -1), ints(1, 2, 3, 1)], unit.decode() + " each", unit=unit)
    for pos in (11, -11, 3, -5):
        case("Substr", [S(b"abc"), I32(pos), I32(1)], unit.decode() + " at %d" % pos, unit=unit)
    case("Substr", [S(b"abcdef", b""), ints(1, 0), ints(1, 1)], unit.decode() + " empty text", unit=unit)
    case("Substr", [S(b"abc"), ints(0, 1, 2), ints(1, 1, 1)], unit.decode() + " one text", unit=unit)
    case("Substr", [np.array([[b"abc", b"def"], [b"ghi", b"jkl"]], object), ints(0, 1), ints(1, 2)], unit.decode() + " columns", unit=unit)
    case("Substr", [np.array([[b"abc", b"def"], [b"ghi", b"jkl"]], object), ints([0], [1]), ints([1], [2])], unit.decode() + " rows", unit=unit)
    case("Substr", [np.array([[b"abc"], [b"ghi"]], object), ints([0, 1, 2]), ints([1, 1, 1])], unit.decode() + " table", unit=unit)
    case("Substr", [np.array(b"abc", object), ints(0, 1), ints(1, 2)], unit.decode() + " scalar text", unit=unit)
    case("Substr", [np.zeros(0, object), I32(0), I32(1)], unit.decode() + " no text", unit=unit)
    case("Substr", [S(b"abc", b"d"), np.array([[0, 5]], I32), np.array([[1, 1]], I32)], unit.decode() + " table, range", unit=unit)
    case("Substr", [S(b"abc", b"d"), ints(0, 5), ints(1, 1)], unit.decode() + " each, range", unit=unit)
    case("Substr", [S(b"abc"), ints(0, 5), ints(1, 1)], unit.decode() + " one text, range", unit=unit)
case("Substr", [S(b"abc", b"d"), np.zeros((2, 1, 2), I32), np.zeros((2, 1, 2), I32)], "cube")
case("Substr", [S(b"abc", b"d", b"e"), ints(0, 1), ints(1, 1)], "shapes")
case("Substr", [S(b"abc"), ints(0, 1), I32(1)], "pos and len")
case("Substr", [S(b"abc"), np.zeros(0, I32), np.zeros(0, I32)], "no pos")

# ---- tensors in strings ----
family("parse", 80569, 90205387)
for a in (rnd(2, 3), rnd(3, t=I64), F(3), np.zeros((0, 2), F), np.array([[b"a", b""], [b"\xff", b"dd"]], object), np.array([True, False]), rnd(3, t=H), rnd(2, t=B),
          rnd(2, t=U8), rnd(2, t=D), rnd(2, t=I32)):
    proto = tf.make_tensor_proto(a).SerializeToString()
    case("ParseTensor", [np.array(proto, object)], str(a.dtype), out_type=tf.string if a.dtype == object else tf.as_dtype(a.dtype))
case("ParseTensor", [np.array(tf.make_tensor_proto(5, shape=(3, 4)).SerializeToString(), object)], "one value for all", out_type=tf.int32)
case("ParseTensor", [np.array(tf.make_tensor_proto(F(5)).SerializeToString(), object)], "another type", out_type=tf.int32)
case("ParseTensor", [S(tf.make_tensor_proto(F(5)).SerializeToString())], "vector", out_type=tf.float32)

# ---- elementwise, rarer ----
family("math", 80585)
shares = [0, 1e-30, 1e-9, 1e-4, .01, .02425, .1, .135335, .2, .5, .6, .8646647, .9, .99, .999999, 1, -.1, 1.5, nan]
for t in (F, D):
    case("Ndtri", [np.array(shares, t)], t.__name__)
    case("Ndtri", [rnd(60, lo=0, hi=1, t=t)], "range " + t.__name__)
    case("Erfinv", [np.array([0, -0.0, .1, -.1, .5, -.5, .9, -.9, .999, 1, -1, 1.5, nan, 1e-3], t)], t.__name__)
    case("Erfinv", [rnd(60, lo=-1, hi=1, t=t)], "range " + t.__name__)
    edges = np.array([0, -0.0, 1, -1, inf, -inf, nan, 1e-40, 3e38], t)
    case("NextAfter", [edges, np.array([1, 1, 1, 1, 0, 0, 0, 0, inf], t)], t.__name__)
    case("NextAfter", [edges.reshape(-1, 1), np.array([-inf, inf], t)], "broadcast " + t.__name__)
    for k in (dict(), dict(exclusive=True), dict(reverse=True), dict(exclusive=True, reverse=True)):
        case("CumulativeLogsumexp", [rnd(3, 5, t=t), I32(1)], "%s %s" % (t.__name__, k), **k)
        case("CumulativeLogsumexp", [rnd(2, 3, 4, t=t, lo=-300, hi=300), I64(-2)], "far %s %s" % (t.__name__, k), **k)
case("CumulativeLogsumexp", [np.array([-inf, -inf, 1, inf, 2, nan, 1], F), I32(0)], "edges")
case("CumulativeLogsumexp", [rnd(3, 5, t=H), I32(1)], "half")
case("CumulativeLogsumexp", [np.zeros((0, 2), F), I32(0)], "empty")
case("CumulativeLogsumexp", [rnd(3), I32(1)], "range")

# ---- sets ----
family("sets", 81155)
left = np.array([[[1, 5, 1], [3, 3, 3]], [[2, 9, 7], [0, -4, 8]]])
right = np.array([[[5, 6], [3, 4]], [[2, 2], [1, -4]]])


def sparse_of(a):
    """the non-zero elements of a as a sparse tensor"""
    at = np.argwhere(a != 0)
    return [at.astype(I64), a[tuple(at.T)], np.array(a.shape, I64)]


for kind in (b"a-b", b"b-a", b"intersection", b"union", b"UNION"):
    for t in (I8, I16, I32, I64, U8, U16):
        a, b = left.astype(t), right.astype(t)
        case("DenseToDenseSetOperation", [a, b], "%s %s" % (kind.decode(), t.__name__), set_operation=kind)
        case("DenseToSparseSetOperation", [a, *sparse_of(b)], "%s %s" % (kind.decode(), t.__name__), set_operation=kind)
        case("SparseToSparseSetOperation", [*sparse_of(a), *sparse_of(b)], "%s %s" % (kind.decode(), t.__name__), set_operation=kind)
    texts = np.array([[b"b", b"a", b"b"], [b"", b"c", b"ab"]], object)
    case("DenseToDenseSetOperation", [texts, np.array([[b"b"], [b"ab"]], object)], kind.decode() + " strings", set_operation=kind)
    gaps = [np.array([[0, 1], [2, 0], [2, 3]], I64), np.array([4, 1, 2], I32), np.array([4, 5], I64)]
    other = [np.array([[0, 0], [1, 0], [3, 3]], I64), np.array([4, 7, 1], I32), np.array([4, 9], I64)]
    nothing = [np.zeros((0, 2), I64), np.zeros(0, I32), np.array([4, 2], I64)]
    for x in (gaps, other, nothing):
        for y in (gaps, other, nothing):
            case("SparseToSparseSetOperation", x + y, kind.decode() + " gaps", set_operation=kind)
        case("DenseToSparseSetOperation", [rnd(4, 3, t=I32), *x], kind.decode() + " gaps", set_operation=kind)
    case("DenseToDenseSetOperation", [np.zeros((2, 0), I32), ints([1, 2], [3, 3])], kind.decode() + " empty", set_operation=kind)
    case("DenseToDenseSetOperation", [np.zeros((0, 2), I32), np.zeros((0, 3), I32)], kind.decode() + " no sets", set_operation=kind)
    case("DenseToSparseSetOperation", [np.zeros((4, 0), I32), *gaps], kind.decode() + " empty", set_operation=kind)
union = dict(set_operation=b"union")
case("DenseToDenseSetOperation", [rnd(3, t=I32), rnd(3, t=I32)], "vectors", **union)
case("DenseToDenseSetOperation", [rnd(2, 3, t=I32), rnd(3, t=I32)], "ranks", **union)
case("DenseToDenseSetOperation", [rnd(2, 3, t=I32), rnd(3, 3, t=I32)], "shapes", **union)
case("SparseToSparseSetOperation", [*gaps, gaps[0], gaps[1], np.array([5, 5], I64)], "shapes", **union)
for label, at in (("order", [[0, 1], [2, 3], [2, 0]]), ("twice", [[0, 1], [2, 0], [2, 0]]), ("range", [[0, 1], [2, 0], [2, 9]]), ("negative", [[0, -1], [2, 0], [2, 1]])):
    case("SparseToSparseSetOperation", [np.array(at, I64), *gaps[1:], *other], label, **union)
    case("SetSize", [np.array(at, I64), *gaps[1:]], label)
for t in (I8, I16, I32, I64, U8, U16):
    case("SetSize", sparse_of(left.astype(t)), t.__name__)
case("SetSize", [np.array([[0, 1], [0, 2], [1, 0], [1, 4]], I64), S(b"a", b"a", b"", b"b"), np.array([3, 5], I64)], "strings")
case("SetSize", nothing, "nothing")
case("SetSize", gaps, "gaps")
case("SetSize", [np.array([[1]], I64), ints(5), np.array([3], I64)], "vector")
case("SetSize", [np.array([[1, 1]], I64), ints(5), np.array([[3, 3]], I64)], "matrix of shape")
case("SetSize", [np.array([[1, 1]], I64), ints(5), np.array([3, -3], I64)], "negative shape")

# ---- volumes ----
family("volume", 81260)
for padding in ("VALID", "SAME"):
    for size, stride in (((2, 2, 2), (1, 1, 1)), ((3, 2, 1), (2, 1, 3)), ((1, 1, 1), (1, 1, 1)), ((1, 1, 1), (2, 2, 2)), ((3, 3, 3), (2, 2, 2))):
        k = dict(strides=[1, *stride, 1], padding=padding)
        name = "%s %s %s" % (padding, size, stride)
        case("Conv3D", [rnd(2, 4, 5, 3, 3), rnd(*size, 3, 4)], name, **k)
        for op in ("MaxPool3D", "AvgPool3D"):
            case(op, [rnd(2, 4, 5, 3, 3)], name, ksize=[1, *size, 1], **k)
    for t in (D, H, B):
        case("Conv3D", [rnd(1, 3, 4, 3, 2, t=t, lo=1), rnd(2, 2, 2, 2, 3, t=t, lo=1)], padding + " " + tf.as_dtype(t).name, strides=[1] * 5, padding=padding)
    for op in ("MaxPool3D", "AvgPool3D"):
        case(op, [rnd(1, 3, 4, 3, 2, t=B)], padding + " bfloat16", ksize=[1, 2, 2, 2, 1], strides=[1] * 5, padding=padding)
    case("Conv3D", [np.zeros((0, 3, 3, 3, 2), F), rnd(2, 2, 2, 2, 3)], padding + " empty", strides=[1] * 5, padding=padding)
    case("Conv3D", [rnd(1, 2, 2, 2, 1), rnd(4, 4, 4, 1, 1)], padding + " smaller", strides=[1] * 5, padding=padding)
    case("MaxPool3D", [rnd(1, 2, 2, 2, 1)], padding + " smaller", ksize=[1, 4, 3, 3, 1], strides=[1] * 5, padding=padding)
    case("AvgPool3D", [rnd(1, 2, 2, 2, 1)], padding + " smaller", ksize=[1, 4, 3, 3, 1], strides=[1] * 5, padding=padding)
case("Conv3D", [rnd(1, 9, 12, 11, 4), rnd(3, 3, 3, 4, 17)], "bands", strides=[1] * 5, padding="SAME")
for n in range(1, 8):
    k = dict(strides=[1, 3, 4, 5, 1], padding="SAME")
    case("Conv3D", [rnd(1, n, n, n, 1), rnd(1, 2, 1, 1, 1)], "long steps, %d" % n, **k)
    for op in ("MaxPool3D", "AvgPool3D"):
        case(op, [rnd(1, n, n, n, 1)], "long steps, %d" % n, ksize=[1, 2, 1, 3, 1], **k)
case("Conv3D", [rnd(1, 3, 3, 3, 4), rnd(2, 2, 2, 3, 2)], "depths", strides=[1] * 5, padding="SAME")
case("Conv3D", [rnd(1, 3, 3, 3, 4), rnd(2, 2, 2, 2, 2)], "groups", strides=[1] * 5, padding="SAME")
case("Conv3D", [rnd(3, 3, 3, 4), rnd(2, 2, 2, 4, 2)], "rank", strides=[1] * 5, padding="SAME")
case("Conv3D", [rnd(1, 3, 3, 3, 4), rnd(2, 2, 4, 2)], "filter rank", strides=[1] * 5, padding="SAME")
case("MaxPool3D", [rnd(3, 3, 3, 4)], "rank", ksize=[1, 2, 2, 2, 1], strides=[1] * 5, padding="SAME")
case("AvgPool3D", [rnd(3, 3, 3, 4)], "rank", ksize=[1, 2, 2, 2, 1], strides=[1] * 5, padding="SAME")

# ---- random numbers: the same seeds give the same numbers ----
family("random", 104150)
for t in (F, D, H, B):
    for shape in ((3, 5), (4,), (), (0, 3), (1,)):
        size = np.array(shape, I32)
        for seeds in (dict(seed=7, seed2=9), dict(seed=0, seed2=2**40 + 1), dict(seed=-1, seed2=0)):
            for op in ("RandomUniform", "RandomStandardNormal", "TruncatedNormal"):
                case(op, [size], tf.as_dtype(t).name, dtype=tf.as_dtype(t), **seeds)
        for op in ("StatelessRandomUniform", "StatelessRandomNormal", "StatelessTruncatedNormal"):
            case(op, [size, ints(3, -4)], tf.as_dtype(t).name, dtype=tf.as_dtype(t))
            case(op, [size.astype(I64), np.array([2**50, -1], I64)], tf.as_dtype(t).name, dtype=tf.as_dtype(t))
            case(op + "V2", [size, np.array([2**63 + 5], U64), np.array([2**64 - 1, 2**33], U64), I32(1)], tf.as_dtype(t).name,
                 dtype=tf.as_dtype(t))
    case("TruncatedNormal", [ints(300)], "many " + tf.as_dtype(t).name, dtype=tf.as_dtype(t), seed=1, seed2=2)
for t in (I32, I64):
    for low, high in ((0, 10), (-5, 5), (np.iinfo(t).min, np.iinfo(t).max)):
        case("RandomUniformInt", [ints(2, 5), t(low), t(high)], "%s %d" % (t.__name__, low), seed=3, seed2=4)
        case("StatelessRandomUniformInt", [ints(7), ints(1, 2), t(low), t(high)], "%s %d" % (t.__name__, low))
        case("StatelessRandomUniformIntV2", [ints(7), np.array([1], U64), np.array([2, 3], U64), I32(1), t(low), t(high)], "%s %d" % (t.__name__, low))
    case("RandomUniformInt", [ints(2), t(5), t(5)], "no range", seed=3)
    case("StatelessRandomUniformInt", [ints(2), ints(1, 2), t(6), t(5)], "no range")
    case("RandomUniformInt", [ints(2), ints(5).astype(t), t(7)], "vector", seed=3)
for t in (I32, I64, U32, U64):
    case("StatelessRandomUniformFullInt", [ints(7), ints(1, 2)], t.__name__, dtype=tf.as_dtype(t))
    case("StatelessRandomUniformFullIntV2", [ints(7), np.array([1], U64), np.array([2, 3], U64), I32(3)], t.__name__, dtype=tf.as_dtype(t))
for op in ("StatelessRandomGetKeyCounter", "StatelessRandomGetKeyCounterAlg"):
    for seeds in (ints(0, 0), ints(-1, 5), np.array([2**40, -2**60], I64)):
        case(op, [seeds])
    case(op, [ints(1)], "one")
case("StatelessRandomGetAlg", [])
uniform = dict(dtype=tf.float32)
case("StatelessRandomUniform", [ints(2), ints(1)], "one seed", **uniform)
case("StatelessRandomUniform", [ints(-2), ints(1, 2)], "negative", **uniform)
case("StatelessRandomUniform", [np.array([[2]], I32), ints(1, 2)], "matrix", **uniform)
case("RandomUniform", [ints(-2)], "negative", seed=1, **uniform)
case("RandomUniform", [np.array([[2]], I32)], "matrix", seed=1, **uniform)
key, counter = np.array([1], U64), np.array([2, 3], U64)
case("StatelessRandomUniformV2", [ints(2), key, counter, I32(2)], "threefry", **uniform)
case("StatelessRandomUniformV2", [ints(2), counter, counter, I32(1)], "key", **uniform)
case("StatelessRandomUniformV2", [ints(2), key, counter, ints(1)], "vector", **uniform)
for t in (F, D, H, B):
    case("Multinomial", [rnd(3, 6, t=t), I32(9)], tf.as_dtype(t).name, seed=5, seed2=6)
    case("StatelessMultinomial", [rnd(3, 6, t=t), I32(9), ints(5, 6)], tf.as_dtype(t).name)
case("Multinomial", [np.array([[1, nan, 2, -inf, inf, 3]], F), I32(20)], "not finite", seed=5, output_dtype=tf.int32)
case("Multinomial", [np.array([[-1000, -1001], [1000, 1001]], F), I32(20)], "far", seed=5)
case("Multinomial", [np.array([[nan, inf]], F), I32(3)], "none", seed=5)
case("Multinomial", [np.zeros((0, 3), F), I32(3)], "empty", seed=5)
case("Multinomial", [rnd(2, 3), I32(0)], "no samples", seed=5)
case("Multinomial", [rnd(2, 3), I32(-1)], "negative", seed=5)
case("Multinomial", [np.zeros((2, 0), F), I32(2)], "no classes", seed=5)
case("Multinomial", [rnd(3), I32(2)], "vector", seed=5)
case("Multinomial", [rnd(2, 3), ints(2)], "samples", seed=5)
for a in (ints(*range(11)), rnd(6, 2), S(b"a", b"b", b"c"), rnd(1, 3), np.zeros((0, 2), F), F(3), rnd(3, 2, 2, t=H), np.zeros((4, 0), F)):
    case("RandomShuffle", [a], str(a.shape), seed=11, seed2=12)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<H", len(s)) + s


def run_case(op, label, inputs, attrs):
    codes = {"InvalidArgumentError": 3, "InternalError": 13, "FailedPreconditionError": 9, "OutOfRangeError": 11,
             "UnimplementedError": 12, "NotFoundError": 5}
    config = config_pb2.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.optimizer_options.opt_level = -1
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Graph().as_default() as g:
        feeds, node, op_def = attr_values(op, inputs, attrs)
        defaults = {a.name: a.default_value for a in op_def.attr if a.HasField("default_value")}
        left = {k: v for k, v in node.node_def.attr.items()
                if not k.startswith("_") and not (k in defaults and defaults[k] == v)}
        code, message, outs = 0, b"", []
        with tf.compat.v1.Session(graph=g, config=config) as session:
            try:
                outs = session.run(list(node.outputs) if node.outputs else node, feeds)
                outs = [] if outs is None else outs
            except tf.errors.OpError as e:
                code = codes.get(type(e).__name__, 2)
                if code == 2:
                    raise
                message = e.message.split("Node: 'op'\n")[-1].split("\n\t [[")[0].split("\n\nOriginal stack")[0]
                if "No OpKernel" in message:
                    raise ValueError("no kernel")
                message = message.encode("utf-8", "surrogateescape")
    if op.startswith("BlockLSTM"):  # of what lies beyond the longest sequence it sets only cs and h
        for o in outs[:1] + outs[2:6]:
            o[int(inputs[0]):] = 0
    body = text(op) + text(label) + struct.pack("<B", len(left))
    for k in sorted(left):
        body += text(k) + text(left[k].SerializeToString())
    flat = [p for i in inputs for p in (i if isinstance(i, list) else [i])]
    body += struct.pack("<B", len(flat)) + b"".join(tensor_bytes(p) for p in flat)
    body += struct.pack("<B", code)
    if code:
        body += text(message)
    else:
        body += struct.pack("<B", len(outs)) + b"".join(
            tensor_bytes(np.asarray(o, object) if isinstance(o, bytes) else np.asarray(o)) for o in outs)
    return struct.pack("<I", len(body)) + body


def write(path, cases):
    skipped = 0
    with open(path, "wb") as f:
        f.write(b"SLOC1\n")
        for op, label, inputs, attrs in cases:
            try:
                f.write(run_case(op, label, inputs, attrs))
            except Exception as e:  # an op or dtype that TensorFlow does not have on the CPU
                skipped += 1
                print("left out: %s %s: %s" % (op, label, str(e).split("\n")[0][:110]), file=sys.stderr)
    size = os.path.getsize(path)
    print("%s: %d cases, %d left out, %d bytes" % (path, len(cases) - skipped, skipped, size))
    if size > FILE_LIMIT:
        sys.exit("%s: larger than %d bytes: the family must be divided" % (path, FILE_LIMIT))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, *names = sys.argv[1:]
    unknown = [name for name in names if name not in families]
    if unknown:
        sys.exit("no family %s; there are %s" % (" ".join(unknown), " ".join(sorted(families))))
    for name in names or sorted(families):
        write(os.path.join(folder, "ops_%s.bin" % name), families[name])


if __name__ == "__main__":
    main()
