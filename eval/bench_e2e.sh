#!/usr/bin/env bash
# Measures dfetch beside rsync on this machine's loopback, prints the goals and what was reached, and leaves the
# runs as JSON lines. The scenarios are eval/scenarios/e2e-*.scenario.
#
#   eval/bench_e2e.sh [RESULTS]     (default eval/results/e2e.jsonl, or eval/out/e2e.jsonl with SCALE, ROUNDS or ONLY;
#                                  an older file is replaced once all has run)
#
# SCALE=0.02 makes everything smaller, ROUNDS=1 repeats less often, ONLY=e2e-file takes one scenario. At SCALE=1
# it needs 16 GB below eval/out, which it removes at the end, and about an hour of an idle machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scale=${SCALE:-1} rounds=${ROUNDS:-0} suite=${ONLY:-e2e} results=eval/results/e2e.jsonl
if [ -n "${SCALE:-}${ROUNDS:-}${ONLY:-}" ]; then results=eval/out/e2e.jsonl; fi
results=${1:-$results}
mkdir -p eval/out
exec 9> eval/out/bench_e2e.lock
flock -n 9 || { echo "bench_e2e.sh: it runs already" >&2; exit 1; }
need=$(awk -v s="$scale" 'BEGIN {printf "%d", 16000000 * s + 1000000}')
mkdir -p "$(dirname "$results")"
free=$(df --output=avail -k eval/out | tail -1)
if [ "$free" -lt "$need" ]; then
	echo "bench_e2e.sh: $free KB are free at eval/out, $need are needed; SCALE=0.1 needs less" >&2
	exit 1
fi
work=eval/out/e2e-work # what a killed run left in it goes with the next one
trap 'rm -rf "$work"' EXIT
rm -f "$results.new"
bin/lab run -suite "$suite" -scale "$scale" -rounds "$rounds" -work "$work" -o "$results.new"
mv "$results.new" "$results"
bin/lab goals "$results"
