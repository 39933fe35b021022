#!/usr/bin/env bash
# Builds the documentation pages of every public room into .build/docs, warnings as errors.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .build/docs
for room in WeirBasics WeirKernels WeirModelFiles WeirKVCache WeirKVTransfer WeirSampling WeirModels WeirText WeirScheduling WeirCluster WeirPolicies WeirEngine WeirEvaluation WeirServing Weir; do
  swift package --disable-sandbox generate-documentation --target "$room" --warnings-as-errors --output-path ".build/docs/$room"
done
