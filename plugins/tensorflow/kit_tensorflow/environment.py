"""The one place where TensorFlow and Keras are imported: with Keras on TensorFlow, and without their chatter.

from kit_tensorflow.environment import keras, tf
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from kit.errors import InvalidValueError

# What TensorFlow's C++ prints whatever its log level is, before its own logging is set up.
CHATTER = re.compile(
    rb"^WARNING: All log messages before absl::InitializeLog|^To enable the following instructions|^\s*$"
    rb"|^[IWEF]\d{4} .*(oneDNN|cuda|cuInit|rebuild TensorFlow|XLA service|cpu_feature_guard|computation_placer|mlir"
    rb"|Not handling type)"
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the C++ library's opening lines from standard error; everything else that was written is passed on."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):  # no standard error to keep clean
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept.read().splitlines(keepends=True):
                if not CHATTER.search(line):
                    os.write(2, line)


def _prepare() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    loaded = sys.modules.get("keras")
    if loaded is None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    elif loaded.config.backend() != "tensorflow":
        raise InvalidValueError(
            f"Keras is already running on '{loaded.config.backend()}' in this process; the tensorflow backend needs it "
            "on TensorFlow. Set KERAS_BACKEND=tensorflow before importing keras, or use executor='processes'."
        )


_prepare()
with quiet():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # looks for accelerators, and says so

tf.get_logger().setLevel("ERROR")  # retracing is announced as a warning though it is meant

__all__ = ["keras", "quiet", "tf"]
