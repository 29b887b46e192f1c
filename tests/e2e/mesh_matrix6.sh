#!/bin/bash
# The matrix of mesh_matrix.sh over IPv6, where loopback has only one address: in a network namespace that has more.
# limit: 600
exec unshare --net "$(dirname "$0")/mesh_matrix.sh" 6
