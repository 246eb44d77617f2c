# Each target works alone, first, on a machine with Python 3.11 or newer and nothing of ours installed.
# PYTHON: the interpreter that .venv is made with. PIP_* settings of yours are used; no package address stands here.
PYTHON ?= python3
EXTRAS := corpus,mnist,xarray,tensorboard,mlflow,lab,docs,test
BIN := .venv/bin
READY := .venv/ready
JAX := .venv-jax/ready
RAY := .venv-ray/ready

.PHONY: demo test test-jax test-ray slow lab bench docs pins clean

demo: $(READY)
	$(BIN)/kit compare --out kit-compare
	@echo "The report is at $(CURDIR)/kit-compare/report.html"

test: $(READY) $(JAX)
	$(BIN)/python tests/suite.py

test-jax: $(READY) $(JAX)
	$(BIN)/python tests/suite.py jax

test-ray: $(RAY)
	.venv-ray/bin/python tests/suite.py ray

slow: $(READY)
	$(BIN)/python tests/suite.py slow

lab: $(READY)
	$(BIN)/kit start kit-notebooks

bench: $(READY)
	$(BIN)/python -m bench

# The set-up, repeated only when what is to be installed has changed.
$(READY): pyproject.toml plugins/torch/pyproject.toml plugins/tensorflow/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("descentkit needs Python 3.11 or newer; $(PYTHON) is %d.%d. Say `make PYTHON=…`." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-e ".[$(EXTRAS)]" -e plugins/torch -e plugins/tensorflow -c constraints.txt
	@touch $@

docs: $(READY)
	$(BIN)/python -m sphinx -q -W -b html docs docs/build
	@echo "The pages are at $(CURDIR)/docs/build/index.html"

# JAX is not part of the installation: for its plugin's tests there is an environment that sees .venv and adds to it.
$(JAX): $(READY) plugins/jax/pyproject.toml
	$(BIN)/python -m venv --clear --without-pip .venv-jax
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_paths()["purelib"])' \
		> "$$(.venv-jax/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/below.pth"
	.venv-jax/bin/python -m pip install --quiet --disable-pip-version-check -e plugins/jax -c constraints.txt
	@touch $@

# Ray's environment has no JupyterLab, whose packages make each of its processes two seconds slower to start.
$(RAY): plugins/ray/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check hatchling pytest \
		-e . -e plugins/torch -e plugins/tensorflow -e plugins/ray -c constraints.txt
	@touch $@

# Pins what .venv, .venv-jax and .venv-ray hold now. A local version label (torch's "+cpu") is cut off, so that every build of it fits.
pins: $(READY) $(JAX) $(RAY)
	{ sed '/^[^#]/d' constraints.txt; for python in .venv-jax/bin/python .venv-ray/bin/python; do \
		$$python -m pip freeze --all --exclude-editable; done | sed '/^pip==/d; s/+[a-z0-9.]*$$//' | sort -fu; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv .venv-jax .venv-ray kit-compare
