"""The checks that a plugin author runs, on the host's own plugin and on the one for TensorFlow, in its worker."""

from __future__ import annotations

from kit.testing import conformance

test_the_host_s_records = conformance("descentkit", backend="tensorflow", skips=False)
test_the_plugin = conformance("descentkit-tensorflow", backend="tensorflow", skips=False)
