"""Trains the bundled digit recogniser on scikit-learn's handwritten digits (8 x 8 pixels, 0..16).

    python examples/train_digits.py         needs tensorflow and scikit-learn

Writes examples/models/digits/1 (a Keras MLP, some 14 KB) and examples/digits.json: a request with ten
digits that the training has not seen, and what they are.
"""
import json
import pathlib

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

here = pathlib.Path(__file__).resolve().parent
keras.utils.set_random_seed(7)
digits = load_digits()
x, y = digits.data.astype("float32"), digits.target
train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.2, random_state=7)

model = keras.Sequential(
    [
        keras.Input((64,), name="pixels"),
        keras.layers.Rescaling(1.0 / 16),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(10, activation="softmax", name="probabilities"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train_x, train_y, epochs=60, verbose=0)
print("accuracy on unseen digits:", model.evaluate(test_x, test_y, verbose=0)[1])


def serve(pixels):
    p = model(pixels)
    return {"probabilities": p, "digit": tf.argmax(p, axis=1, output_type=tf.int32)}


# Not tf.saved_model.save of a module that holds the model: Keras 3 variables exported that way are not
# restored by anything that serves the graph, TensorFlow Serving included.
archive = keras.export.ExportArchive()
archive.track(model)
archive.add_endpoint("serve", serve, input_signature=[tf.TensorSpec([None, 64], tf.float32, name="pixels")])
archive.write_out(str(here / "models" / "digits" / "1"))

chosen = [int(np.flatnonzero(test_y == d)[0]) for d in range(10)]
request = {
    "instances": [[int(v) for v in test_x[i]] for i in chosen],
}
(here / "digits.json").write_text(json.dumps(request) + "\n")
