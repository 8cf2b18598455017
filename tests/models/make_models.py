#!/usr/bin/env python3
"""Writes the SavedModels that the tests use, next to this file: <name>/<version>/...

    make_models.py [NAME ...]      all of them without arguments

Needs TensorFlow 2.16 or later. Values come from seeds and formulas, so a second run gives models that
compute the same; the files need not be equal byte by byte (TensorFlow writes dictionaries, and its
own version, into them). README.md in this folder says what each model is for.
"""
import os
import re
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = {}


def model(f):
    MODELS[f.__name__] = f
    return f


def strip(path):
    """Drops what no loader needs: source positions of Python functions are half of a small file."""
    from tensorflow.core.protobuf import saved_model_pb2

    name = os.path.join(path, "saved_model.pb")
    pb = saved_model_pb2.SavedModel()
    with open(name, "rb") as f:
        pb.ParseFromString(f.read())
    for g in pb.meta_graphs:
        g.meta_info_def.ClearField("stripped_op_list")
        g.graph_def.ClearField("debug_info")
        for nodes in [g.graph_def.node] + [f.node_def for f in g.graph_def.library.function]:
            for n in nodes:
                n.ClearField("experimental_debug_info")
    with open(name, "wb") as f:
        f.write(pb.SerializeToString(deterministic=True))
    shutil.rmtree(os.path.join(path, "debug"), ignore_errors=True)


def info(t):
    return v1.saved_model.utils.build_tensor_info(t)


def signature(inputs, outputs, method):
    return v1.saved_model.signature_def_utils.build_signature_def(
        {k: info(t) for k, t in inputs.items()},
        {k: info(t) for k, t in outputs.items()},
        "tensorflow/serving/" + method)


def save_v1(path, session, signatures, tags=("serve",), more=(), **kwargs):
    """`more`: further (tags, signatures) of the same graph and variables."""
    b = v1.saved_model.Builder(path)
    b.add_meta_graph_and_variables(session, list(tags), signature_def_map=signatures, **kwargs)
    for t, s in more:
        b.add_meta_graph(list(t), signature_def_map=s)
    b.save()
    strip(path)


def save_v2(path, module, signatures=None):
    tf.saved_model.save(module, path, signatures=signatures)
    strip(path)


def temp_file(path, name, text):
    """An asset's source, beside the model and not part of it."""
    folder = path + ".tmp"
    os.makedirs(folder, exist_ok=True)
    full = os.path.join(folder, name)
    with open(full, "w") as f:
        f.write(text)
    return full


# ---- TF1 ----


@model
def half_plus_two(path):
    with v1.Graph().as_default(), v1.Session() as s:
        serialized = v1.placeholder(tf.string, [None], name="tf_example")
        features = v1.parse_example(serialized, {
            "x": v1.FixedLenFeature([1], tf.float32),
            "x2": v1.FixedLenFeature([1], tf.float32, default_value=[0.0])})
        x = tf.identity(features["x"], name="x")
        x2 = tf.identity(features["x2"], name="x2")
        a = v1.get_variable("a", initializer=0.5, use_resource=False)
        b = v1.get_variable("b", initializer=2.0, use_resource=False)
        c = v1.get_variable("c", initializer=3.0, use_resource=False)
        y = tf.add(tf.multiply(a, x), b, name="y")
        y2 = tf.add(tf.multiply(a, x), c, name="y2")
        y3 = tf.add(tf.multiply(a, x2), c, name="y3")
        asset = v1.constant(temp_file(path, "foo.txt", "asset-file-contents"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        s.run(v1.global_variables_initializer())
        save_v1(path, s, {
            "serving_default": signature({"x": x}, {"y": y}, "predict"),
            "regress_x_to_y": signature({"inputs": serialized}, {"outputs": y}, "regress"),
            "regress_x_to_y2": signature({"inputs": serialized}, {"outputs": y2}, "regress"),
            "regress_x2_to_y3": signature({"inputs": x2}, {"outputs": y3}, "regress"),
            "classify_x_to_y": signature({"inputs": serialized}, {"scores": y}, "classify"),
        }, main_op=tf.group(name="init_all"), assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS))


@model
def heads(path):
    with v1.Graph().as_default(), v1.Session() as s:
        first, second = (v1.placeholder(tf.string, [None], name=n) for n in ("first", "second"))
        x, z = (v1.parse_example(e, {"x": v1.FixedLenFeature([1], tf.float32)})["x"] for e in (first, second))
        total = v1.get_variable("total", initializer=0.0, use_resource=True)
        seen = tf.add(v1.assign_add(total, 1.0), 0 * x, name="seen")
        again = tf.add(seen, 0.5, name="seen_again")
        double = tf.add(x, x, name="double")
        s.run(v1.global_variables_initializer())
        save_v1(path, s, {
            "double": signature({"inputs": first}, {"outputs": double}, "regress"),
            "negative": signature({"inputs": second}, {"outputs": tf.negative(z, name="negative")}, "regress"),
            "seen": signature({"inputs": first}, {"outputs": seen}, "regress"),
            "seen_again": signature({"inputs": first}, {"scores": again}, "classify"),
            "plain": signature({"x": x}, {"y": double}, "predict")})


@model
def partitioned(path):
    with v1.Graph().as_default(), v1.Session() as s:
        ids = v1.placeholder(tf.int32, [None], name="ids")
        with v1.variable_scope("p", partitioner=v1.fixed_size_partitioner(3)):
            table = v1.get_variable("table", initializer=tf.reshape(tf.range(40.0), [10, 4]),
                                    use_resource=False)
        with v1.variable_scope("q", partitioner=v1.fixed_size_partitioner(2, axis=1)):
            wide = v1.get_variable("wide", initializer=tf.reshape(tf.range(300, dtype=tf.int64), [3, 100]),
                                   use_resource=True)
        out = v1.nn.embedding_lookup(table, ids, partition_strategy="div", name="rows")
        s.run(v1.global_variables_initializer())
        save_v1(path, s, {"serving_default": signature(
            {"ids": ids}, {"rows": out, "sum": tf.reduce_sum(tf.convert_to_tensor(wide))}, "predict")})


@model
def counter(path):
    with v1.Graph().as_default(), v1.Session() as s:
        count = v1.get_variable("counter", initializer=0.0, use_resource=False)
        delta = v1.placeholder(tf.float32, [], name="delta")
        s.run(v1.global_variables_initializer())
        save_v1(path, s, {
            "get_counter": signature({}, {"output": count}, "predict"),
            "incr_counter": signature({}, {"output": v1.assign_add(count, 1.0)}, "predict"),
            "incr_counter_by": signature({"delta": delta}, {"output": v1.assign_add(count, delta)}, "predict"),
            "reset_counter": signature({}, {"output": v1.assign(count, 0.0)}, "predict")})


@model
def vocabulary_v1(path):
    """Asset in the collection, table filled by the init op; a string variable; two tag sets."""
    with v1.Graph().as_default(), v1.Session() as s:
        words = v1.placeholder(tf.string, [None], name="words")
        file = temp_file(path, "vocab.txt", "red\ngreen\nblue\n")
        table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
            file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), -1)
        greeting = v1.get_variable("greeting", initializer=tf.constant(["hello, ", "", "good\0bye"]))
        out = {"ids": table.lookup(words), "texts": tf.strings.join([greeting[0], words])}
        s.run([v1.global_variables_initializer(), v1.tables_initializer()])
        sig = {"serving_default": signature({"words": words}, out, "predict")}
        save_v1(path, s, sig, main_op=v1.tables_initializer(),
                assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                more=[(["serve", "gpu"], sig)])


@model
def defaults(path):
    """SignatureDef.defaults: y = x * scale + bias, where scale and bias may be left out."""
    from tensorflow.core.protobuf import saved_model_pb2

    with v1.Graph().as_default(), v1.Session() as s:
        x = v1.placeholder(tf.float32, [None], name="x")
        scale = v1.placeholder(tf.float32, [], name="scale")
        bias = v1.placeholder(tf.float32, [2], name="bias")
        y = tf.add(x * scale, tf.reduce_sum(bias), name="y")
        save_v1(path, s, {"serving_default": signature(
            {"x": x, "scale": scale, "bias": bias}, {"y": y}, "predict")})
    name = os.path.join(path, "saved_model.pb")
    pb = saved_model_pb2.SavedModel()
    with open(name, "rb") as f:
        pb.ParseFromString(f.read())
    sig = pb.meta_graphs[0].signature_def["serving_default"]
    sig.defaults["scale"].CopyFrom(tf.make_tensor_proto(2.0))
    sig.defaults["bias"].CopyFrom(tf.make_tensor_proto([0.25, 0.75]))
    with open(name, "wb") as f:
        f.write(pb.SerializeToString(deterministic=True))


DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "bool", "string", "half", "bfloat16", "complex64", "complex128"]


@model
def identity(path):
    """One signature a dtype, named like the dtype; serving_default is float."""
    with v1.Graph().as_default(), v1.Session() as s:
        sigs = {}
        for name in DTYPES:
            t = tf.dtypes.as_dtype(name)
            x = v1.placeholder(t, None, name="x_" + name)
            key = {"float32": "float", "float64": "double"}.get(name, name)
            sigs[key] = signature({"x": x}, {"y": tf.identity(x, name="y_" + name)}, "predict")
        sigs["serving_default"] = sigs["float"]
        save_v1(path, s, sigs)


@model
def variables(path):
    """A variable of every dtype that a checkpoint holds, odd shapes, one of more than 64 KiB."""
    with v1.Graph().as_default(), v1.Session() as s:
        outs = {}
        for i, name in enumerate(DTYPES):
            n = np.arange(2 * (i + 1)).reshape(2, i + 1)
            if name == "string":
                value = tf.constant([["a" * 200, ""], ["\xff", "b"]])
            elif name == "bool":
                value = tf.constant(n % 2 == 0)
            else:
                value = tf.cast(tf.constant(n), tf.dtypes.as_dtype(name))
            v = v1.get_variable("v_" + name, initializer=value)
            outs[name] = tf.identity(v)
        v1.get_variable("scalar", initializer=tf.constant(7, tf.int64))
        v1.get_variable("nothing", initializer=tf.zeros([0, 3]))
        # 6 repeats 17408 times: git packs it into nothing
        v1.get_variable("large", initializer=tf.fill([17408], 6.0))
        s.run(v1.global_variables_initializer())
        save_v1(path, s, {"serving_default": signature({}, outs, "predict")})


@model
def multiply_add(path):
    """Two inputs, two outputs."""
    with v1.Graph().as_default(), v1.Session() as s:
        a = v1.placeholder(tf.float32, [None], name="a")
        b = v1.placeholder(tf.float32, [None], name="b")
        save_v1(path, s, {"serving_default": signature(
            {"a": a, "b": b}, {"product": a * b, "sum": a + b}, "predict")})


@model
def image_bytes(path):
    """Names that end in _bytes: REST turns these into {"b64": ...}."""
    with v1.Graph().as_default(), v1.Session() as s:
        x = v1.placeholder(tf.string, [None], name="in")
        save_v1(path, s, {"serving_default": signature(
            {"image_bytes": x}, {"image_bytes": tf.identity(x), "label": tf.strings.join(["<", x, ">"])},
            "predict")})


def frames(make):
    """Control flow as TensorFlow 1 wrote it: nodes that run again and again, not functions."""
    def made(path):
        v1.disable_control_flow_v2()
        try:
            make(path)
        finally:
            v1.enable_control_flow_v2()
    made.__name__ = make.__name__
    return made


def loop_counts():
    """A counter; a loop in a loop; a loop whose condition is false at once has the same signature, with n = 0."""
    n, x = v1.placeholder(tf.int32, [], name="count_n"), v1.placeholder(tf.float32, name="count_x")
    i, y = v1.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, 2.0 * y + 1.0), (0, x), name="count")
    k = v1.placeholder(tf.int32, [], name="triangle_n")

    def row(i, total):
        return i + 1, v1.while_loop(lambda j, t: j <= i, lambda j, t: (j + 1, t + i * j + k), (0, total))[1]

    rows, total = v1.while_loop(lambda i, t: i < k, row, (0, 0), name="triangle")
    return {"count": signature({"n": n, "x": x}, {"i": i, "y": y}, "predict"),
            "triangle": signature({"n": k}, {"rows": rows, "total": total}, "predict")}


def loop_arrays():
    """A TensorArray that is read and one that is written, with what stays the same; one that grows; pieces."""
    x, scale = v1.placeholder(tf.float32, [None, 2], name="table_x"), v1.placeholder(tf.float32, [], name="table_scale")
    rows = tf.TensorArray(tf.float32, tf.shape(x)[0]).unstack(x)
    b = v1.get_variable("b", initializer=[10.0, 20.0], use_resource=False)

    def turn(i, out):
        return i + 1, out.write(i, rows.read(i) * scale + b)

    n = rows.size()
    _, out = v1.while_loop(lambda i, out: i < n, turn, (0, tf.TensorArray(tf.float32, n)))
    start = v1.placeholder(tf.int64, [], name="collatz_start")
    steps, last, grown = v1.while_loop(
        lambda i, k, out: tf.not_equal(k, 1),
        lambda i, k, out: (i + 1, tf.where(tf.equal(k % 2, 0), k // 2, 3 * k + 1), out.write(i, k)),
        (0, start, tf.TensorArray(tf.int64, 0, dynamic_size=True)), name="collatz")
    lengths = v1.placeholder(tf.int64, [None], name="pieces_lengths")
    y = v1.placeholder(tf.float32, [None, 2], name="pieces_x")
    parts = tf.TensorArray(tf.float32, tf.size(lengths), infer_shape=False).split(y, tf.cast(lengths, tf.int32))
    _, turned = v1.while_loop(lambda i, out: i < tf.size(lengths),
                              lambda i, out: (i + 1, out.write(i, -parts.read(i)[::-1])),
                              (0, tf.TensorArray(tf.float32, tf.size(lengths), infer_shape=False)))
    i, j = (v1.placeholder(tf.int32, [], name="one_" + k) for k in "ij")
    z = v1.placeholder(tf.float32, name="one_x")
    one = tf.TensorArray(tf.float32, 3, infer_shape=False).write(i, z)
    two = one.write(j, z)
    whole = tf.TensorArray(tf.float32, 3, element_shape=[2]).write(i, z)
    return {"table": signature({"x": x, "scale": scale}, {"y": out.stack()}, "predict"),
            "collatz": signature({"start": start}, {"steps": steps, "last": last, "seen": grown.stack(),
                                                    "size": grown.size()}, "predict"),
            "pieces": signature({"lengths": lengths, "x": y}, {"y": turned.concat()}, "predict"),
            "one": signature({"i": i, "j": j, "x": z}, {"y": one.read(j)}, "predict"),
            "whole": signature({"i": i, "j": j, "x": z}, {"y": whole.read(j), "all": whole.gather([2, 0])}, "predict"),
            "two": signature({"i": i, "j": j, "x": z}, {"y": two.stack()}, "predict")}


def loop_maps():
    """What TensorFlow makes loops of: map_fn, foldl, scan, dynamic_rnn."""
    from tensorflow.python.ops import rnn, rnn_cell

    words = v1.placeholder(tf.string, [None], name="map_words")
    shouted = v1.map_fn(lambda w: tf.strings.join([tf.strings.upper(w), "!"]), words)
    x = v1.placeholder(tf.float32, [None, 2], name="map_x")
    squares, sums = v1.map_fn(lambda r: (r * r, tf.reduce_sum(r)), x, dtype=(tf.float32, tf.float32))
    folded = v1.foldl(lambda a, r: 0.5 * a + r, x, initializer=tf.zeros([2]))
    scanned = v1.scan(lambda a, r: a + r, x)
    nested = v1.map_fn(lambda r: v1.map_fn(lambda e: e + tf.reduce_max(r), r), x)
    steps = v1.placeholder(tf.float32, [None, None, 2], name="rnn_x")
    lengths = v1.placeholder(tf.int32, [None], name="rnn_lengths")
    weights = np.random.default_rng(7).uniform(-1, 1, [5, 12]).astype(np.float32)
    with v1.variable_scope("rnn", initializer=v1.constant_initializer(weights)):
        cell = rnn_cell.LSTMCell(3)
        outputs, state = rnn.dynamic_rnn(cell, steps, sequence_length=lengths, dtype=tf.float32)
    return {"map_words": signature({"words": words}, {"y": shouted}, "predict"),
            "maps": signature({"x": x}, {"squares": squares, "sums": sums, "folded": folded, "scanned": scanned,
                                         "nested": nested}, "predict"),
            "rnn": signature({"x": steps, "lengths": lengths}, {"outputs": outputs, "c": state.c, "h": state.h},
                             "predict")}


@model
@frames
def loops(path):
    """Loops of frames (Enter, Merge, Switch, NextIteration, Exit) and TensorArrays, as TensorFlow 1 exported them."""
    with v1.Graph().as_default(), v1.Session() as s:
        signatures = {**loop_counts(), **loop_arrays(), **loop_maps()}
        s.run(v1.global_variables_initializer())
        save_v1(path, s, signatures)


@model
@frames
def conditionals(path):
    """Switch and Merge whose predicate is computed: several results, in each other, in a loop, with an assertion."""
    with v1.Graph().as_default(), v1.Session() as s:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        large = tf.reduce_sum(x) > 10.0
        a, b = v1.cond(large, lambda: (x * 2.0, tf.shape(x)), lambda: (x - 1.0, tf.constant([7, 7])))
        nested = v1.cond(large, lambda: v1.cond(tf.reduce_max(x) > 8.0, lambda: x + 100.0, lambda: x + 200.0),
                         lambda: v1.cond(tf.reduce_min(x) < 0.0, lambda: x + 300.0, lambda: tf.constant(5.0)))
        mapped = v1.map_fn(lambda r: v1.cond(
            tf.reduce_sum(r) > 6.0, lambda: r / tf.reduce_sum(r),
            lambda: v1.while_loop(lambda t: tf.reduce_sum(t) < 6.0, lambda t: (t + 1.0,), (r,))), x)
        with tf.control_dependencies([v1.Assert(tf.reduce_all(x < 50.0), ["too large", x])]):
            checked = tf.identity(x)
        save_v1(path, s, {"results": signature({"x": x}, {"a": a, "b": b}, "predict"),
                          "nested": signature({"x": x}, {"y": nested}, "predict"),
                          "mapped": signature({"x": x}, {"y": mapped}, "predict"),
                          "checked": signature({"x": x}, {"y": checked}, "predict")})


# ---- TF2 ----


class Linear(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable([[1.0, -1.0], [2.0, 0.5], [0.0, 3.0]], name="w")
        self.b = tf.Variable([0.5, -0.5], name="b")

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "input_example")])
    def serve(self, input_example):
        return {"output": tf.matmul(input_example, self.w) + self.b}


@model
def linear(path):
    m = Linear()
    save_v2(path, m, {"serving_default": m.serve})


class Vocabulary(tf.Module):
    def __init__(self, file):
        super().__init__()
        self.table = tf.lookup.StaticVocabularyTable(tf.lookup.TextFileInitializer(
            file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER), 2)
        self.prices = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
        self.prices.insert(["red", "green"], [1.5, 2.5])
        self.greeting = tf.Variable("hello, ", name="greeting")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
    def serve(self, words):
        return {"ids": self.table.lookup(words), "prices": self.prices.lookup(words),
                "texts": tf.strings.join([self.greeting, words])}


@model
def vocabulary(path):
    """Asset and table, mutable table, string variable."""
    m = Vocabulary(temp_file(path, "vocab.txt", "red\ngreen\nblue\n"))
    save_v2(path, m, {"serving_default": m.serve})


class Stateful(tf.Module):
    def __init__(self):
        super().__init__()
        self.count = tf.Variable(0, dtype=tf.int64, name="count")

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "step")])
    def add(self, step):
        return {"count": self.count.assign_add(step)}


@model
def stateful(path):
    m = Stateful()
    save_v2(path, m, {"serving_default": m.add})

class Lists(tf.Module):
    """TensorLists as tf.function writes them for loops, and each of their ops by itself."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "x")])
    def sums(self, x):
        n = tf.shape(x)[1]
        columns = tf.TensorArray(tf.float32, n).unstack(tf.transpose(x))
        out = tf.TensorArray(tf.float32, n)
        _, _, out = tf.while_loop(
            lambda i, *_: i < n,
            lambda i, sum, out: (i + 1, sum + columns.read(i), out.write(i, sum + columns.read(i))),
            [0, tf.zeros_like(x[:, 0]), out])
        return {"sums": tf.transpose(out.stack())}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
    def words(self, words):
        louder = tf.map_fn(lambda w: tf.strings.join([tf.strings.upper(w), "!"]), words)
        return {"louder": louder}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def grown(self, x):
        n, out = tf.size(x), tf.TensorArray(tf.int32, 0, dynamic_size=True)
        _, out = tf.while_loop(
            lambda i, _: i < n,
            lambda i, out: (i + 1, tf.cond(x[i] > 0, lambda: out.write(out.size(), x[i]), lambda: out)), [0, out])
        return {"positive": out.stack()}

    @tf.function(input_signature=[tf.TensorSpec([3], tf.float32, "x")])
    def values(self, x):
        """A list stays what it was when another one is made of it."""
        r, s = tf.raw_ops, tf.constant([], tf.int32)
        empty = r.TensorListReserve(element_shape=s, num_elements=3, element_dtype=tf.float32)
        put = lambda l, i, v: r.TensorListSetItem(input_handle=l, index=i, item=v)
        stack = lambda l: r.TensorListStack(input_handle=l, element_shape=s, element_dtype=tf.float32)
        a = put(empty, 0, x[0])
        b, c, d = put(a, 1, x[1]), put(a, 1, x[2]), put(a, 0, x[2])
        return {"list": tf.stack([stack(l) for l in (empty, a, b, c, d)])}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x"), tf.TensorSpec([None], tf.int32, "at")])
    def parts(self, x, at):
        r, s, f = tf.raw_ops, tf.constant([2]), tf.float32
        l = r.TensorListFromTensor(tensor=x, element_shape=s)
        less, last = r.TensorListPopBack(input_handle=l, element_shape=s, element_dtype=f)
        more = r.TensorListPushBack(input_handle=less, tensor=last * 10)
        again = r.TensorListPushBack(input_handle=less, tensor=last * 100)
        scattered = r.TensorListScatterV2(tensor=x, indices=at, element_shape=s, num_elements=-1)
        into = r.TensorListScatterIntoExistingList(input_handle=l, tensor=x[:1] * 7, indices=at[:1])
        pieces = r.TensorListSplit(tensor=x, element_shape=tf.constant([-1, 2]),
                                   lengths=tf.cast(tf.stack([1, tf.shape(x)[0] - 1]), tf.int64))
        joined, lengths = r.TensorListConcatV2(input_handle=pieces, element_shape=tf.constant([-1, 2]),
                                               leading_dims=tf.constant([], tf.int64), element_dtype=f)
        stack = lambda l: r.TensorListStack(input_handle=l, element_shape=s, element_dtype=f)
        return {"last": last, "more": stack(more), "again": stack(again), "scattered": stack(scattered),
                "into": stack(into), "joined": joined, "lengths": lengths,
                "gathered": r.TensorListGather(input_handle=l, indices=at, element_shape=s, element_dtype=f),
                "n": r.TensorListLength(input_handle=r.TensorListResize(input_handle=more, size=9)),
                "shape": r.TensorListElementShape(input_handle=pieces, shape_type=tf.int32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([], tf.int32, "i")])
    def one(self, x, i):
        """An item that was never set is zeros, if any other item says of what shape."""
        r, shape = tf.raw_ops, tf.constant(-1)
        l = r.TensorListReserve(element_shape=shape, num_elements=2, element_dtype=tf.float32)
        l = r.TensorListSetItem(input_handle=l, index=i, item=x)
        return {"item": r.TensorListGetItem(input_handle=l, index=1, element_shape=shape, element_dtype=tf.float32),
                "stacked": r.TensorListStack(input_handle=l, element_shape=shape, element_dtype=tf.float32)}


@model
def lists(path):
    m = Lists()
    save_v2(path, m, {k: getattr(m, k) for k in ("sums", "words", "grown", "values", "parts", "one")})


@model
def pictures(path):
    """The bytes of JPEGs and PNGs, decoded and made equally large."""
    m = tf.Module()

    def one(image):
        return tf.image.resize(tf.io.decode_image(image, channels=3, expand_animations=False), [4, 4])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve(image_bytes):
        pixels = tf.map_fn(one, image_bytes, fn_output_signature=tf.TensorSpec([4, 4, 3], tf.float32))
        return {"pixels": pixels, "mean": tf.reduce_mean(pixels, [1, 2])}

    m.serve = serve
    save_v2(path, m, {"serving_default": m.serve})


@model
def sharded(path):
    """A variable that the checkpoint holds in slices, which stand in several shards."""
    m = tf.Module()
    m.big = tf.Variable(tf.reshape(tf.range(640.0), [40, 16]), name="big")
    m.small = tf.Variable([1.0, 2.0], name="small")
    m.f = tf.function(lambda x: {"y": tf.gather(m.big, x) * m.small[0]},
                      input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=1024)
    tf.saved_model.save(m, path, signatures={"serving_default": m.f}, options=tf.saved_model.SaveOptions(
        experimental_sharding_callback=policy))
    strip(path)


@model
def keras_mlp(path):
    import keras

    keras.utils.set_random_seed(7)
    m = keras.Sequential([keras.layers.Input((4,), name="features"),
                          keras.layers.Dense(8, activation="relu"),
                          keras.layers.Dense(3, activation="softmax")])
    m.export(path, verbose=False)
    strip(path)


@model
def keras_saved(path):
    """Keras 3 saved as a plain module: the restore op fills copies of the variables that are read."""
    import keras

    ones, half = keras.initializers.Ones(), keras.initializers.Constant(0.5)
    m = keras.Sequential([keras.layers.Input((3,), name="features"),
                          keras.layers.Dense(2, kernel_initializer=ones, bias_initializer=half, name="dense")])
    tf.saved_model.save(m, path)
    strip(path)


@model
def in_text(path):
    """A variable, an asset and its table, as saved_model.pbtxt."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    m = tf.Module()
    m.scale = tf.Variable(2.5)
    m.table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
        temp_file(path, "words.txt", "red\ngreen\n"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER), -1)
    m.f = tf.function(lambda words: {"y": tf.cast(m.table.lookup(words), tf.float32) * m.scale},
                      input_signature=[tf.TensorSpec([None], tf.string, "words")])
    save_v2(path, m, {"serving_default": m.f})
    binary = os.path.join(path, "saved_model.pb")
    with open(binary, "rb") as f:
        pb = saved_model_pb2.SavedModel.FromString(f.read())
    with open(binary + "txt", "w") as f:
        f.write(text_format.MessageToString(pb))
    os.remove(binary)


def make(name):
    """In an empty directory, by a relative path: TensorFlow names tables after the files that they were read from."""
    path = os.path.join(name, "1")
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as elsewhere:
        os.chdir(elsewhere)
        try:
            MODELS[name](path)
            shutil.rmtree(os.path.join(HERE, name), ignore_errors=True)
            shutil.copytree(path, os.path.join(HERE, path))
        finally:
            os.chdir(here)


def main(names):
    for name in names or sorted(MODELS):
        v1.reset_default_graph()
        make(name)
        path = os.path.join(HERE, name, "1")
        size = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(path) for f in fs)
        print(f"{name}: {size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
