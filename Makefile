# Slow things that are run by hand. What every change must pass is .ci/run.
PYTHON ?= .venv/bin/python

.PHONY: ci meta coefficients readme golden accuracy behaviour exhaustive small no-fma \
	slow-tests import-time speed memory compile few-bit

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
	$(PYTHON) docs/numerics/coefficients_composed.py
	$(PYTHON) -m ruff format jaxacts/_coefficients*.py

# Rewrites the generated parts of README.md.
readme:
	$(PYTHON) docs/readme.py

# Measures every function against exact arithmetic and keeps the figures, which
# may only fall (about 40 minutes); NAMES="mish gelu" for some.
golden:
	$(PYTHON) tests/golden/update.py $(NAMES)

# docs/accuracy.md and the table in README.md, with jax.nn measured again (about 15
# minutes).
accuracy:
	$(PYTHON) docs/accuracy.py --measure
	$(PYTHON) docs/readme.py

# Every check of behaviour on every function, in float32 and bfloat16.
behaviour:
	$(PYTHON) -m jaxacts verify --all --dtype float32 --dtype bfloat16 \
	  $(foreach k,transforms shapes parameters devices derivatives residuals lowering \
	  processors,--check $(k))

# All 2^32 numbers of float32, in three orders; added to docs/exhaustive.json.
exhaustive:
	$(PYTHON) benchmarks/verification.py exhaustive $(or $(NAMES),silu)

# All 16-bit inputs of all functions, from a cold start.
small:
	$(PYTHON) benchmarks/verification.py small

# The tests that are left out of CI: accuracy in further settings and dtypes.
slow-tests:
	$(PYTHON) -m pytest -q -n 2 -m slow

# The accuracy tests as on a processor without fused multiply-add.
no-fma:
	XLA_FLAGS=--xla_cpu_max_isa=SSE4_2 $(PYTHON) -m pytest -q -n 2 \
	  -m "slow or not slow" tests/test_accuracy.py

# What importing jaxacts adds to importing jax.
import-time:
	$(PYTHON) benchmarks/import_time.py

# Value and gradient of the usual functions beside jax.nn and torch (some minutes);
# ARGUMENTS="--all --dtype float32" for others.
speed:
	$(PYTHON) benchmarks/speed.py $(ARGUMENTS)

# What backward keeps, and how long tracing and compiling take.
memory:
	$(PYTHON) benchmarks/memory.py $(ARGUMENTS)

compile:
	$(PYTHON) benchmarks/compile.py $(ARGUMENTS)

# docs/few-bit.md: fifty training runs on Fashion-MNIST (about ten minutes), then errors
# and memory of few-bit slopes (about five).
few-bit:
	$(PYTHON) benchmarks/few_bit_training.py --seeds 5
	$(PYTHON) docs/few_bit.py --measure
