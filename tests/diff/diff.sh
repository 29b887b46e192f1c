#!/bin/sh
# limit: 600
# The differential harness: every hand-written sequence and DIFF_SEEDS generated ones, plain and wrapped, in every mode.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/run" --build "${BUILD:-$here/../../build}" --mode all --seeds "${DIFF_SEEDS:-1200}" --keep 0
