# Slow things that are run by hand. What every change must pass is .ci/run.
PYTHON ?= .venv/bin/python

.PHONY: ci meta coefficients readme import-time

ci:
	CI=true bash .ci/run

# Planted defects that the verifier must catch.
meta:
	$(PYTHON) -m pytest -q -n 2 -o addopts= tests/meta

# Rewrites jaxacts/_coefficients.py (about four minutes).
coefficients:
	$(PYTHON) docs/numerics/coefficients.py
	$(PYTHON) docs/numerics/coefficients_remainders.py
	$(PYTHON) docs/numerics/coefficients_periodic.py
	$(PYTHON) docs/numerics/coefficients_nested.py
	$(PYTHON) docs/numerics/coefficients_gated.py
	$(PYTHON) -m ruff format jaxacts/_coefficients*.py

# Rewrites the generated parts of README.md.
readme:
	$(PYTHON) docs/readme.py

# What importing jaxacts adds to importing jax.
import-time:
	$(PYTHON) benchmarks/import_time.py
