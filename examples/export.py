"""Exports a TensorFlow model so that Sluice can serve it.

    python examples/export.py [DIR]         default: examples/models/my_model/1

The model is a small linear one; replace it with your own. What matters:
  * the directory's last part is the version, a number: my_model/1
  * the signature "serving_default" names the input and the output that clients see
"""
import pathlib
import sys

import tensorflow as tf


class MyModel(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = tf.Variable([[0.5], [-1.0], [2.0]], name="weights")
        self.bias = tf.Variable([0.25], name="bias")

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="input_example")])
    def serve(self, input_example):
        return {"output": tf.matmul(input_example, self.weights) + self.bias}


def main():
    here = pathlib.Path(__file__).resolve().parent
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "models" / "my_model" / "1"
    model = MyModel()
    tf.saved_model.save(model, str(target), signatures={"serving_default": model.serve})
    print(f"exported to {target}")
    print("for [1.0, 2.0, 3.0] TensorFlow itself says", model.serve(tf.constant([[1.0, 2.0, 3.0]]))["output"].numpy())


if __name__ == "__main__":
    main()
