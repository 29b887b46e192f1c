#!/bin/sh
# limit: 300
# The contract suite (tests/contract): one test body over every pair of {ours, OpenSSL}. Linked as the engine
# is, with what stands in for OpenSSL's own lookups.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$top/build}
MAKEFLAGS='' make -s -C "$top" BUILD="$BUILD" "$BUILD/contract"
exec "$BUILD/contract" -j1
