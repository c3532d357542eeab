# Slow things that are run by hand. What every change must pass is .ci/run.
PYTHON ?= .venv/bin/python

.PHONY: ci coefficients readme import-time speed

ci:
	CI=true bash .ci/run

# Rewrites jaxacts/_coefficients.py (about four minutes).
coefficients:
	$(PYTHON) docs/numerics/coefficients.py
	$(PYTHON) -m ruff format jaxacts/_coefficients.py

# Rewrites the generated parts of README.md.
readme:
	$(PYTHON) docs/readme.py

# What importing jaxacts adds to importing jax.
import-time:
	$(PYTHON) benchmarks/import_time.py

# Value and gradient against jax.nn.
speed:
	$(PYTHON) benchmarks/speed.py
