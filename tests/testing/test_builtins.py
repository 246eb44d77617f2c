"""The checks that a plugin author runs, on everything built in, but for what is looked at in one backend alone: that is
in `tests/torch` and `tests/tensorflow`."""

from __future__ import annotations

from kit.testing import conformance

test_the_host_s_own = conformance("descentkit", backend="host", skips=False)
test_the_plugin_for_torch = conformance("descentkit-torch", backend="host", skips=False)
test_the_plugin_for_tensorflow = conformance("descentkit-tensorflow", backend="host", skips=False)
test_rules_across_backends = conformance("descentkit", backend="across", skips=False)
test_models_and_losses_across_backends = conformance("descentkit-torch", backend="across", skips=False)
