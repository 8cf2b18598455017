#!/bin/sh
# Starts the server as the image of TensorFlow Serving does, for MODEL_NAME below MODEL_BASE_PATH. Arguments of the
# container come last: a flag that is there again replaces the one here, and --model_config_file replaces the model.
exec tensorflow_model_server --port=8500 --rest_api_port=8501 --model_name="${MODEL_NAME}" \
    --model_base_path="${MODEL_BASE_PATH}/${MODEL_NAME}" "$@"
