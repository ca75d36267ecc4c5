#!/usr/bin/env bash
# Measures the search of this machine's disk, prints the goals and what was reached, and leaves the runs as JSON lines.
# The scenarios are eval/scenarios/disk-*.scenario; package eval/diskbench says how they are measured.
#
#   eval/disk_bench.sh [RESULTS]     (default eval/results/disk.jsonl, or eval/out/disk.jsonl with SCALE, ROUNDS or ONLY;
#                                  an older file is replaced once all has run)
#
# SCALE=0.02 makes everything smaller, ROUNDS=1 repeats less often, ONLY=disk-search takes one scenario. At SCALE=1 it
# needs 12 GB and half a million inodes below eval/out, and half an hour of an idle machine. The made-up files stay in
# eval/out/data for the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scale=${SCALE:-1} rounds=${ROUNDS:-0} suite=${ONLY:-disk} results=eval/results/disk.jsonl
if [ -n "${SCALE:-}${ROUNDS:-}${ONLY:-}" ]; then results=eval/out/disk.jsonl; fi
results=${1:-$results}
mkdir -p "$(dirname "$results")"
mkdir -p eval/out
exec 9> eval/out/disk_bench.lock
flock -n 9 || { echo "disk_bench.sh: it runs already" >&2; exit 1; }
need=$(awk -v s="$scale" 'BEGIN {printf "%d", 12000000 * s + 1000000}')
inodes=$(awk -v s="$scale" 'BEGIN {printf "%d", 500000 * s + 10000}')
read -r free left < <(df --output=avail,iavail -k eval/out | tail -1)
if [ "$free" -lt "$need" ] || { [ "$left" -gt 0 ] && [ "$left" -lt "$inodes" ]; }; then
	echo "disk_bench.sh: $free KB and $left inodes are free at eval/out, $need and $inodes are needed; SCALE=0.1 needs less" >&2
	exit 1
fi
rm -f "$results.new"
bin/lab run -suite "$suite" -scale "$scale" -rounds "$rounds" -o "$results.new"
mv "$results.new" "$results"
bin/lab goals "$results"
