"""Makes the models and the custom op library that the tests of the TensorFlow engine run.

    tensorflow_models.py DIR

DIR/<model>/ is a version directory; DIR/ops.so the library. What is there already and was made by
this very script is kept.
"""
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = os.path.dirname(os.path.abspath(__file__))


def fingerprint():
    h = hashlib.sha256()
    for name in ("tensorflow_models.py", "tensorflow_ops.cc"):
        with open(os.path.join(HERE, name), "rb") as f:
            h.update(f.read())
    return h.hexdigest() + sys.executable


def save(tf, out, name, signatures, module=None):
    path = os.path.join(out, name)
    shutil.rmtree(path, ignore_errors=True)
    tf.saved_model.save(module or tf.Module(), path, signatures=signatures)


def function(tf, fn, *spec):
    return tf.function(fn, input_signature=spec).get_concrete_function()


def make_echo(tf, out):
    dtypes = [tf.float32, tf.float64, tf.int32, tf.uint8, tf.int16, tf.int8, tf.string, tf.complex64,
              tf.int64, tf.bool, tf.qint8, tf.quint8, tf.qint32, tf.bfloat16, tf.qint16, tf.quint16,
              tf.uint16, tf.complex128, tf.float16, tf.uint32, tf.uint64]
    dtypes += [getattr(tf.dtypes, n) for n in ("int4", "uint4") if hasattr(tf.dtypes, n)]
    with tf.Graph().as_default() as g, tf.compat.v1.Session(graph=g) as s:
        signatures = {}
        for t in dtypes:
            x = tf.compat.v1.placeholder(t, name="x_" + t.name)
            y = tf.identity(x, name="y_" + t.name)
            signatures[t.name] = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        path = os.path.join(out, "echo")
        shutil.rmtree(path, ignore_errors=True)
        b = tf.compat.v1.saved_model.Builder(path)
        b.add_meta_graph_and_variables(s, ["serve"], signatures)
        b.save()


def make_v1(tf, out):
    """Signatures that point nowhere, at an op without outputs, and at a resource."""
    with tf.Graph().as_default() as g, tf.compat.v1.Session(graph=g) as s:
        x = tf.compat.v1.placeholder(tf.float32, name="x")
        y = tf.identity(x, name="y")
        tf.no_op(name="nothing")
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, name="table")
        make = tf.compat.v1.saved_model.predict_signature_def
        broken = make({"x": x}, {"y": y})
        broken.inputs["x"].name = "gone:0"
        too_far = make({"x": x}, {"y": y})
        too_far.outputs["y"].name = "y:3"
        no_output = make({"x": x}, {"y": y})
        no_output.outputs["y"].name = "nothing"
        resource = make({"x": x}, {"y": y})
        resource.outputs["y"].name = table.name
        path = os.path.join(out, "v1")
        shutil.rmtree(path, ignore_errors=True)
        b = tf.compat.v1.saved_model.Builder(path)
        b.add_meta_graph_and_variables(s, ["serve"], {
            "fine": make({"x": x}, {"y": y}), "broken": broken, "no_output": no_output,
            "resource": resource, "too_far": too_far})
        b.save()


def make_misc(tf, out):
    f = tf.TensorSpec
    save(tf, out, "add_one", {"serving_default": function(
        tf, lambda x: {"y": x + 1.0}, f([None], tf.float32, "x"))})
    save(tf, out, "half_plus_two", {"serving_default": function(
        tf, lambda x: {"y": 0.5 * x + 2.0}, f([None], tf.float32, "x"))})
    save(tf, out, "strings", {
        "join": function(tf, lambda a, b: {"y": tf.strings.join([a, b], "-"), "z": tf.strings.upper(a)},
                         f([None], tf.string, "a"), f([None], tf.string, "b")),
        "reshape": function(tf, lambda x: {"y": tf.reshape(x, [2, 3])}, f([None], tf.float32, "x")),
        "read": function(tf, lambda path: {"y": tf.io.read_file(path)}, f([], tf.string, "path")),
        "many": function(tf, lambda n: {"y": tf.strings.as_string(tf.range(n))}, f([], tf.int32, "n")),
        "grow": function(tf, lambda n: {"y": tf.ones([n], tf.float32)}, f([], tf.int32, "n"))})

    def spin(n):
        c = lambda i, a: i < n
        b = lambda i, a: (i + 1, a * 1.0000001)
        return {"y": tf.while_loop(c, b, [tf.constant(0, tf.int64), tf.constant(1.0)])[1]}
    save(tf, out, "spin", {"serving_default": function(tf, spin, f([], tf.int64, "n"))})

    class Keeper(tf.Module):
        def __init__(self):
            super().__init__()
            self.v = tf.Variable(tf.zeros([0]), shape=[None], dtype=tf.float32)

        @tf.function(input_signature=[f([None], tf.float32, "x")])
        def put(self, x):
            self.v.assign(x)
            return {"n": tf.size(x)}

        @tf.function(input_signature=[])
        def get(self):
            return {"y": self.v.read_value()}
    k = Keeper()
    save(tf, out, "keeper", {"put": k.put, "get": k.get}, k)


def make_ops(tf, out):
    library = os.path.join(out, "ops.so")
    subprocess.check_call(
        ["g++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-o", library,
         os.path.join(HERE, "tensorflow_ops.cc")]
        + tf.sysconfig.get_compile_flags() + tf.sysconfig.get_link_flags())
    ops = tf.load_op_library(library)
    f = tf.TensorSpec
    save(tf, out, "custom", {
        "end": function(tf, lambda how: {"y": ops.sluice_end(how=how)}, f([], tf.string, "how")),
        "try": function(tf, lambda what: {"y": ops.sluice_try(what=what)},
                        f([None], tf.string, "what"))})


def make_future(out):
    """half_plus_two, but its graph asks for a TensorFlow that is not written yet."""
    from tensorflow.core.protobuf import saved_model_pb2
    path = os.path.join(out, "future")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(os.path.join(out, "half_plus_two"), path)
    m = saved_model_pb2.SavedModel()
    file = os.path.join(path, "saved_model.pb")
    with open(file, "rb") as f:
        m.ParseFromString(f.read())
    m.meta_graphs[0].graph_def.versions.min_consumer = 99999
    with open(file, "wb") as f:
        f.write(m.SerializeToString())


def main():
    out = sys.argv[1]
    stamp = os.path.join(out, "made-by")
    os.makedirs(out, exist_ok=True)
    lock = open(os.path.join(out, "lock"), "w")  # tests run side by side; held until the end
    fcntl.flock(lock, fcntl.LOCK_EX)
    if os.path.exists(stamp) and open(stamp).read() == fingerprint():
        return
    import tensorflow as tf
    make_echo(tf, out)
    make_v1(tf, out)
    make_misc(tf, out)
    make_ops(tf, out)
    make_future(out)
    with open(stamp, "w") as f:
        f.write(fingerprint())


main()
