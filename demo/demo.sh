#!/usr/bin/env bash
# Shows dfetch at work: serves a real tree (a copy of the Go toolchain's sources and tools), fetches it
# onto an empty directory and onto a stale copy, verifies both, and says where the bytes came from. Each of the
# three lies in a directory of its own, since get looks for content beside its destination too.
# Usage: demo.sh PATH-OF-DFETCH. Everything happens in a fresh directory below ${TMPDIR:-/tmp}.
set -euo pipefail

dfetch=$(realpath "${1:?usage: demo.sh PATH-OF-DFETCH}")
work=$(mktemp -d "${TMPDIR:-/tmp}/dfetch-demo.XXXXXX")
export XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state
tree=$work/sender/tree
server=

cleanup() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	chmod -R u+w "$work" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

step() { printf '\n== %s\n' "$*"; }

# make_tree DIR: a tree of some ten thousand files, small and large, symlinks and an empty directory.
make_tree() {
	local root
	root=$("${GO:-go}" env GOROOT)
	mkdir -p "$1/pkg" "$1/empty"
	cp -r "$root/src" "$1/src"
	if [ -d "$root/pkg/tool" ]; then
		cp -r "$root/pkg/tool" "$1/pkg/tool"
	fi
	chmod -R u+w "$1"
	ln -s src/fmt/print.go "$1/print.go"
}

# make_stale TREE DIR: what somebody has who fetched the tree a while ago.
make_stale() {
	cp -a "$1" "$2"
	local file
	while read -r file; do # edited: a line more at the front, so that all that follows has moved
		{ echo "// an older version"; cat "$file"; } >"$file.old"
		mv "$file.old" "$file"
		touch -d '30 days ago' "$file"
	done < <(find "$2/src/net" -name '*.go' | sort)
	find "$2/src/os" -type f -exec touch -d '30 days ago' {} + # same bytes, another time
	rm -rf "$2/src/encoding" "$2/empty"      # not there yet
	mv "$2/src/strings" "$2/src/strings.was" # has another name since
	echo "left over" >"$2/leftover.txt"      # gone since; get keeps it without --delete
}

# wait_for_line FILE: the first line that the server prints, or its end.
wait_for_line() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		if [ "$(wc -l <"$1")" -gt 0 ]; then
			head -n 1 "$1"
			return
		fi
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	echo "the server gave no address:" >&2
	cat "$work/serve.log" >&2
	return 1
}

# fetch DEST [FLAG…]: gets the tree, which says where the bytes came from; verifies and compares it.
fetch() {
	local dest=$1
	shift
	"$dfetch" get "$address" "$dest" "$@"
	"$dfetch" verify "$address" "$dest"
	diff -r --no-dereference "$tree" "$dest"
}

step "making a tree and a stale copy of it in $work"
mkdir "$work/sender" "$work/new" "$work/old"
make_tree "$tree"
make_stale "$tree" "$work/old/tree"
printf '%s files, %s\n' "$(find "$tree" -type f | wc -l)" "$(du -sh "$tree" | cut -f1)"

step "serving it"
"$dfetch" serve "$tree" --listen 127.0.0.1:0 >"$work/address" 2>"$work/serve.log" &
server=$!
address=$(wait_for_line "$work/address")
echo "$address"

step "fetching it onto an empty directory"
fetch "$work/new/tree"

step "fetching it onto the stale copy"
fetch "$work/old/tree" --delete --max-delete 1000

step "both are what the recipe says, byte for byte"
