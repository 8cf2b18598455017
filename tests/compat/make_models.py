"""Makes the models of the conformance table: tests/compat/models/<name>/<version>.

    build/venv/bin/python tests/compat/make_models.py

Graph-mode models as TF1's builder writes them: a few KB each, no function library. The half_plus_two
family has the shape of TensorFlow Serving's own sample: the predict input "x" is not a placeholder but a
tensor in the middle of the graph, which Example parsing computes when classify or regress feed it.
"""
import os
import pathlib
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf  # noqa: E402

v1 = tf.compat.v1
v1.disable_eager_execution()
HERE = pathlib.Path(__file__).resolve().parent / "models"
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{m}" for m in ("predict", "classify", "regress"))
build = v1.saved_model.utils.build_tensor_info


def signature(inputs, outputs, method=PREDICT):
    return v1.saved_model.build_signature_def(
        {k: build(t) for k, t in inputs.items()}, {k: build(t) for k, t in outputs.items()}, method)


def export(name, version, make):
    """make() builds the graph and returns its signatures."""
    target = HERE / name / str(version)
    shutil.rmtree(target, ignore_errors=True)
    with v1.Graph().as_default(), v1.Session() as session:
        signatures = make()
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(target))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures,
                                             strip_default_attrs=True)
        builder.save()


def half_plus(b, also=None):
    def make():
        example = v1.placeholder(tf.string, name="tf_example")
        x, x2 = tf.raw_ops.ParseExample(
            serialized=example, names=[], sparse_keys=[], dense_keys=["x", "x2"],
            dense_defaults=[tf.constant([], tf.float32), tf.constant([0.0])], sparse_types=[],
            dense_shapes=[[1], [1]], name="ParseExample/ParseExample").dense_values
        x, x2 = tf.identity(x, name="x"), tf.identity(x2, name="x2")
        a = v1.get_variable("a", initializer=0.5, use_resource=False)
        c0 = v1.get_variable("b", initializer=b, use_resource=False)
        c = v1.get_variable("c", initializer=3.0, use_resource=False)
        y = tf.add(tf.multiply(a, x), c0, name="y")
        y2 = tf.add(tf.multiply(a, x), c, name="y2")
        y3 = tf.add(tf.multiply(a, x2), c, name="y3")
        more = {also: signature({"inputs": example}, {"outputs": y}, REGRESS)} if also else {}
        return more | {
            "serving_default": signature({"x": x}, {"y": y}),
            "regress_x_to_y": signature({"inputs": example}, {"outputs": y}, REGRESS),
            "regress_x_to_y2": signature({"inputs": example}, {"outputs": y2}, REGRESS),
            "regress_x2_to_y3": signature({"inputs": x2}, {"outputs": y3}, REGRESS),
            "classify_x_to_y": signature({"inputs": example}, {"scores": y}, CLASSIFY),
            "classify_x2_to_y3": signature({"inputs": x2}, {"scores": y3}, CLASSIFY),
        }
    return make


def counter():
    v = v1.get_variable("counter", initializer=0.0, use_resource=False)
    delta = v1.placeholder(tf.float32, name="delta")
    return {
        "get_counter": signature({}, {"output": v}),
        "incr_counter": signature({}, {"output": v1.assign_add(v, 1.0)}),
        "incr_counter_by": signature({"delta": delta}, {"output": v1.assign_add(v, delta)}),
        "reset_counter": signature({}, {"output": v1.assign(v, 0.0)}),
    }


def identity(dtype):
    def make():
        x = v1.placeholder(dtype, name="x")
        return {"serving_default": signature({"x": x}, {"y": tf.identity(x, name="y")})}
    return make


def named(a_type, b_type):
    def make():
        a, b = v1.placeholder(a_type, name="a"), v1.placeholder(b_type, name="b")
        return {"serving_default": signature({"a": a, "b": b}, {"oa": tf.identity(a), "ob": tf.identity(b)})}
    return make


def constant(**outputs):
    def make():
        x = v1.placeholder(tf.float32, name="x")
        return {"serving_default": signature({"x": x}, {k: tf.constant(*v) for k, v in outputs.items()})}
    return make


def bytes_out():
    s = v1.placeholder(tf.string, name="s")
    return {"serving_default": signature({"s": s}, {"out_bytes": tf.identity(s)})}


def classifier():
    example = v1.placeholder(tf.string, [None], name="tf_example")
    n = tf.shape(example)[:1]
    rows = tf.concat([n, [1]], 0)
    classes = tf.tile(tf.constant([["cat", "dog"]]), rows)
    scores = tf.tile(tf.constant([[0.2, 0.7]]), rows)
    return {"serving_default": signature({"inputs": example}, {"classes": classes, "scores": scores}, CLASSIFY)}


def main():
    for version in (123, 124):
        export("half_plus_two", version, half_plus(2.0))
    export("half_plus_three", 123, half_plus(3.0, REGRESS))
    export("counter", 123, counter)
    for t in "float double int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool string half".split():
        export(f"ident_{t}", 1, identity({"float": tf.float32, "double": tf.float64}.get(t) or getattr(tf, t)))
    export("multi", 1, named(tf.float32, tf.int32))
    export("multi_str", 1, named(tf.string, tf.string))
    export("string_bytes_out", 1, bytes_out)
    export("scalar_out", 1, constant(y=(2.0,)))
    export("batch_mismatch_out", 1, constant(y=([2.0, 3.0],), z=([2.0],)))
    export("half_out", 1, constant(y=([1.0], tf.half)))
    export("empty_out", 1, constant(y=([], tf.float32, [0, 3])))
    export("classifier", 1, classifier)


if __name__ == "__main__":
    main()
