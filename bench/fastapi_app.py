"""What people write by hand: FastAPI in front of TensorFlow. Run by bench/rest.py with uvicorn."""
import os

import tensorflow as tf
from fastapi import FastAPI, Request

app = FastAPI()
serve = tf.saved_model.load(os.environ["MODEL"]).signatures["serving_default"]


@app.post("/predict")
async def predict(request: Request):
    body = await request.json()
    out = serve(tf.constant(body["instances"], tf.float32))
    return {"predictions": out["output"].numpy().tolist()}
