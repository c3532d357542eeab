# Slow things that are run by hand. What every change must pass is .ci/run.
PYTHON ?= .venv/bin/python

.PHONY: ci meta coefficients readme golden accuracy behaviour exhaustive small no-fma \
	slow-tests import-time speed instructions memory compile tpu gpu speed-page resnet-speed few-bit

ci:
	CI=true bash .ci/run

# Planted defects that the verifier must catch.
meta:
	$(PYTHON) -m pytest -q -n 2 -o addopts= tests/meta

# Rewrites jaxacts/_coefficients*.py.
coefficients:
	$(PYTHON) docs/numerics/coefficients.py
	$(PYTHON) docs/numerics/coefficients_remainders.py
	$(PYTHON) docs/numerics/coefficients_periodic.py
	$(PYTHON) docs/numerics/coefficients_nested.py
	$(PYTHON) docs/numerics/coefficients_gated.py
	$(PYTHON) docs/numerics/coefficients_serf.py
	$(PYTHON) docs/numerics/coefficients_phish.py
	$(PYTHON) docs/numerics/coefficients_sigmoidal.py
	$(PYTHON) docs/numerics/coefficients_gelu.py
	$(PYTHON) docs/numerics/coefficients_mish.py
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
	XLA_FLAGS=--xla_cpu_max_isa=AVX $(PYTHON) -m pytest -q -n 2 \
	  -m "slow or not slow" tests/test_accuracy.py

# What importing jaxacts adds to importing jax.
import-time:
	$(PYTHON) benchmarks/import_time.py

# Value, gradient, jvp and second derivative of the usual functions beside jax.nn and
# torch, in memory, in cache, on other numbers, and with wider vectors; each row is kept in docs/speed.json as
# it comes (about half an hour, alone on the machine). `make speed-page` shows it.
# ROUNDS=15 for less; NAMES="silu gelu" for some.
SPEED = $(PYTHON) benchmarks/speed.py $(NAMES) --save --rounds $(or $(ROUNDS),25)
speed:
	$(SPEED) --against jax.nn torch torch.compile
	$(SPEED) --kind vjp --size cache --against jax.nn torch torch.compile
	$(SPEED) --kind value --size cache
	$(SPEED) --kind jvp second
	$(SPEED) --distribution wide negative
	$(SPEED) --vectors 512 --against jax.nn

# Instructions of the loops that XLA makes (needs objdump); kept in docs/instructions.json.
instructions:
	$(PYTHON) benchmarks/instructions.py $(NAMES) --save --dtype float32 bfloat16

# What backward keeps, and how long tracing, compiling and eager calls take; kept in
# docs/memory.json and docs/compile.json.
memory:
	$(PYTHON) benchmarks/memory.py $(NAMES) --save --dtype float32 bfloat16

compile:
	$(PYTHON) benchmarks/compile.py $(NAMES) --save --rounds $(or $(ROUNDS),25)

# What a TPU's compiler says, without a TPU (needs libtpu), and its page.
tpu:
	$(PYTHON) benchmarks/tpu.py $(NAMES) --save
	$(PYTHON) docs/tpu.py

# Bandwidth on a GPU, where there is one.
gpu:
	$(PYTHON) benchmarks/gpu.py $(NAMES)

# docs/speed.md, its picture and the table in README.md, from what was measured.
speed-page:
	$(PYTHON) docs/speed.py
	$(PYTHON) docs/readme.py

# Training steps of ResNets beside jax.nn and Flax's example (under 10 minutes);
# ARGUMENTS="--all" for every usual function in both. Writes docs/resnet-speed.md.
resnet-speed:
	$(PYTHON) benchmarks/resnet.py --save $(ARGUMENTS)
	$(PYTHON) docs/resnet_speed.py

# docs/few-bit.md: fifty training runs on Fashion-MNIST (about ten minutes), then errors
# and memory of few-bit slopes (about five).
few-bit:
	$(PYTHON) benchmarks/few_bit_training.py --seeds 5
	$(PYTHON) docs/few_bit.py --measure
