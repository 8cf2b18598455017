"""A model that decodes the pictures it is sent: both engines, and pictures that nobody should send."""
import base64
import json
import struct

import numpy as np
import pytest

from conftest import ROOT, model_config

FILES = ROOT / "tests/fuzz/corpus/fuzz_engine_picture" # the first byte of each is the fuzzer's
GOOD = ["jpeg_colour", "jpeg_grey", "jpeg_progressive", "jpeg_inks", "png_RGB_8", "png_RGBA_16", "png_palette", "png_interlaced"]


def picture(name):
    return (FILES / name).read_bytes()[1:]


@pytest.fixture(scope="module", params=["native", "tensorflow"])
def server(request, servers):
    return servers(f"--engine={request.param}", config=model_config(("pictures", ROOT / "tests/models/pictures"))), request.param


def predict(server, *files):
    instances = [{"b64": base64.b64encode(f).decode()} for f in files]
    return server.ask("POST", "/v1/models/pictures:predict", json.dumps({"instances": instances}))


def test_pictures_of_every_kind_become_pixels(server):
    answer = predict(server[0], *map(picture, GOOD))
    assert answer.status == 200, answer.text
    rows = json.loads(answer.text)["predictions"]
    # What tf.io.decode_image and tf.image.resize of TensorFlow 2.21 said.
    expected = {"jpeg_colour": [137.331, 143.960, 149.699], "jpeg_grey": [182.656] * 3, "png_palette": [23.139, 24.139, 25.139]}
    for name, row in zip(GOOD, rows):
        assert np.shape(row["pixels"]) == (4, 4, 3)
        if name in expected:
            np.testing.assert_allclose(row["mean"], expected[name], atol=0.002)


def test_both_engines_see_the_same(servers):
    rows = []
    for engine in "native", "tensorflow":
        s = servers(f"--engine={engine}", config=model_config(("pictures", ROOT / "tests/models/pictures")))
        rows.append([p["pixels"] for p in json.loads(predict(s, *map(picture, GOOD)).text)["predictions"]])
    np.testing.assert_allclose(*rows, atol=1e-4)


@pytest.mark.parametrize("file, told", [
    (b"no picture", "Unknown image file format"), (b"", "Input is empty"),
    (picture("jpeg_colour")[:-60], "Invalid JPEG data"), (picture("png_RGB_8")[:-20], "Invalid PNG data"),
], ids=["text", "nothing", "half a JPEG", "half a PNG"])
def test_what_is_no_picture_is_the_clients_fault(server, file, told):
    answer = predict(server[0], picture("jpeg_grey"), file)
    assert answer.status == 400 and told in json.loads(answer.text)["error"], answer.text
    assert predict(server[0], picture("jpeg_grey")).status == 200


def test_what_only_tensorflow_decodes_says_so(server):
    gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
    answer = predict(server[0], gif)
    if server[1] == "tensorflow":
        assert answer.status == 200, answer.text
    else:
        assert answer.status == 501 and "not GIF: serve the model with --engine=tensorflow" in json.loads(answer.text)["error"]


def test_half_a_kilobyte_is_not_decoded_to_gigabytes(servers):
    file = bytearray(picture("jpeg_progressive"))
    at = file.index(b"\xff\xc2") + 5
    for size in 20_000, 65_500:
        file[at:at + 4] = struct.pack(">HH", size, size)
        s = servers("--engine=native", "--max_inflight_bytes=268435456", config=model_config(("pictures", ROOT / "tests/models/pictures")))
        answer = predict(s, bytes(file))
        assert answer.status == 400 and "Invalid JPEG data" in json.loads(answer.text)["error"], answer.text
        assert predict(s, picture("jpeg_grey")).status == 200
