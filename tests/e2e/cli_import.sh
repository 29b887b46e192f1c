#!/usr/bin/env bash
# `mtlswrap import`: from YAML files to a table that check takes and explain agrees with; what is lost is said.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
M=$BUILD/mtlswrap
try() {
    S=0
    timeout $LIMIT "$@" >"$T/out" 2>"$T/err" </dev/null || S=$?
}
case_ok() { say "ok $1"; }

cat >"$T/policy.yaml" <<'YAML'
kind: MeshPolicy
metadata:
  name: default
spec:
  peers:
  - mtls: {}
---
kind: DestinationRule
metadata:
  name: a-rule-with-a-name-that-no-section-header-can-hold
  namespace: bookinfo
spec:
  host: ratings
  subsets:
  - name: v1
  trafficPolicy:
    tls:
      mode: ISTIO_MUTUAL
    portLevelSettings:
    - port:
        number: 9081
      tls:
        mode: DISABLE
YAML
cat >"$T/service.yaml" <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec:
  clusterIP: 127.1.0.12
  ports: [{port: 9080}, {port: 9081, targetPort: 9999}]
YAML
try "$M" import "$T/policy.yaml" "$T/service.yaml"
equal status 0 "$S"
cp "$T/out" "$T/mesh.ini"
has "$T/mesh.ini" '^; line 15: not carried over: spec.subsets'
has "$T/err" 'policy.yaml:15: warning: not carried over: spec.subsets'
try "$M" check "$T/mesh.ini"
equal 'status of check' 0 "$S"
try "$M" explain --config "$T/mesh.ini" --as bookinfo/productpage ratings:9080
has "$T/out" 'decision: ISTIO_MUTUAL, by .*mesh.ini:[0-9]+ \[DestinationRule'
try "$M" explain --config "$T/mesh.ini" --as bookinfo/productpage 127.1.0.12:9081
has "$T/out" 'decision: DISABLE, by .*mesh.ini:[0-9]+ \[DestinationRule'
try "$M" explain --config "$T/mesh.ini" --as bookinfo/ratings --listen 9080
has "$T/out" 'decision: STRICT, by .*mesh.ini:[0-9]+ \[MeshPolicy default\]'
case_ok round-trip

try "$M" import --strict "$T/policy.yaml"
equal 'status with --strict' 1 "$S"
try "$M" import --strict "$T/service.yaml"
equal 'status with --strict and nothing lost' 0 "$S"
printf 'kind: Policy\nmetadata: [\n' >"$T/broken.yaml"
try "$M" import "$T/broken.yaml"
equal status 78 "$S"
has "$T/err" 'broken.yaml:[0-9]+: error: '
try "$M" import "$T/none.yaml"
equal status 78 "$S"
has "$T/err" 'none.yaml: No such file'
try "$M" import
equal status 64 "$S"
case_ok refusals
