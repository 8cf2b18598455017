"""PredictionLogs and TFRecord files, byte by byte: the tests need neither TensorFlow nor its protos."""
import struct


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """Strings, bytes and messages have wire type 2, numbers 0."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def checksummed(data):
    crc = crc32c(data)
    return data + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecords(*records):
    return b"".join(checksummed(struct.pack("<Q", len(r))) + checksummed(r) for r in records)


def spec(name="m", signature=""):
    return field(1, name) + (field(3, signature) if signature else b"")


def floats(*values):
    return field(1, 1) + field(2, field(2, field(1, len(values)))) + field(5, struct.pack(f"<{len(values)}f", *values))


def int64(value):
    return field(1, 9) + field(10, varint(value))


def example(**features):
    return field(1, b"".join(field(1, field(1, k) + field(2, field(2, field(1, struct.pack("<f", v)))))
                             for k, v in features.items()))


def examples(*serialized, context=None):
    listed = b"".join(field(1, e) for e in serialized)
    return field(1, listed) if context is None else field(2, listed + field(2, context))


def predict(inputs, model="m", signature="", outputs=()):
    request = field(1, spec(model, signature))
    request += b"".join(field(2, field(1, k) + field(2, t)) for k, t in inputs.items())
    return field(6, field(1, request + b"".join(field(3, o) for o in outputs)))


def classify(given, signature, model="m"):
    return field(2, field(1, field(1, spec(model, signature)) + field(2, given)))


def regress(given, signature, model="m"):
    return field(3, field(1, field(1, spec(model, signature)) + field(2, given)))


def multi(given, *tasks):
    """tasks: (signature, method), or (signature, method, model)."""
    listed = b"".join(field(1, field(1, spec(*(model or ["m"]), signature)) + field(2, f"tensorflow/serving/{method}"))
                      for signature, method, *model in tasks)
    return field(4, field(1, listed + field(2, given)))
