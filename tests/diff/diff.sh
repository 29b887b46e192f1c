#!/bin/sh
# limit: 600
# The differential harness: every hand-written sequence and DIFF_SEEDS generated ones, plain and wrapped.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/run" --build "${BUILD:-$here/../../build}" --seeds "${DIFF_SEEDS:-2000}" --keep 0
