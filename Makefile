PORT ?= 8001
PYTHON ?= python3

.PHONY: serve test build release bench clean

serve: twittosphere.db  ## the site on 127.0.0.1
	.venv/bin/datasette . --host 127.0.0.1 --port $(PORT)

build: twittosphere.db  ## the database

release: .venv/test  ## every form of the data, in dist/; SINCE=FILE.db says what is new since that one
	.venv/bin/python release.py $(if $(SINCE),--since $(SINCE))

test: .venv/test  ## everything, in Chromium too
	command -v chromium > /dev/null && command -v nginx > /dev/null || { apt-get update -qq && apt-get install -y -qq chromium nginx-light; }
	.venv/bin/pytest

bench: twittosphere.db .venv/test .venv-bench .venv-peers build/million/twittosphere.db  ## build and page times beside their peers, attacks, at random, Lighthouse scores: an hour, into benchmarks/RESULTS.md
	PATH=$$PWD/.venv-peers/bin:$$PATH .venv-bench/bin/python benchmarks/build.py
	.venv-bench/bin/python benchmarks/serve.py
	.venv-bench/bin/python benchmarks/serve.py --site build/million
	PATH=$$PWD/.venv/bin:$$PATH .venv-bench/bin/python benchmarks/hostile.py
	PATH=$$PWD/.venv/bin:$$PATH .venv-bench/bin/python benchmarks/hostile.py --site build/million
	.venv/bin/pip install -q -e ".[engines]"
	.venv/bin/python benchmarks/engines.py
	.venv/bin/python benchmarks/engines.py --site build/million
	.venv/bin/python benchmarks/lighthouse.py
	FUZZ=50000 .venv/bin/pytest tests/test_fuzz.py tests/test_openapi.py

build/million/twittosphere.db: .venv/run build_db.py validate.py benchmarks/generate.py
	.venv/bin/python benchmarks/generate.py build/million/data
	.venv/bin/python build_db.py --data build/million/data --out $@

twittosphere.db: .venv/run build_db.py validate.py $(wildcard data/*)
	.venv/bin/python build_db.py --gzip

.venv/run: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -e .
	touch $@

.venv/test: .venv/run
	.venv/bin/pip install -q -e ".[test]"
	touch $@

.venv-bench: pyproject.toml
	$(PYTHON) -m venv $@
	$@/bin/pip install -q -e ".[bench]"

.venv-peers:
	$(PYTHON) -m venv $@
	$@/bin/pip install -q csvs-to-sqlite==1.3.1

clean:
	rm -rf .venv .venv-bench .venv-peers dist twittosphere.db twittosphere.db.gz inspect-data.json .*.building *.egg-info build
