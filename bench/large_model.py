"""A model of so many megabytes: y = x W, one square variable, in build/models/large_<MB>/1.

    build/venv/bin/python bench/large_model.py 500
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def make(megabytes):
    path = ROOT / "build" / "models" / f"large_{megabytes}" / "1"
    if (path / "saved_model.pb").exists():
        return path
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    n = int((megabytes * 1e6 / 4) ** 0.5)

    class Large(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.random.normal([n, n], seed=1))

        @tf.function(input_signature=[tf.TensorSpec([None, n], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": tf.matmul(x, self.w)}

    m = Large()
    tf.saved_model.save(m, str(path), signatures=m.__call__)
    return path


if __name__ == "__main__":
    print(make(int(sys.argv[1])))
