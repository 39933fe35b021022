#!/usr/bin/env bash
# Builds every fuzz entry with libFuzzer and the address sanitizer and runs each of them.
# usage: Fuzz/run.sh [SECONDS per entry, default 10] [ENTRY ...]
# A crash leaves its input in .build/fuzz/ENTRY-crash-* and makes this script fail.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
shift || true
entries=("$@")
if [ ${#entries[@]} -eq 0 ]; then
  for file in Fuzz/*Fuzz.swift; do entries+=("$(basename "$file" .swift)"); done
fi

out=.build/fuzz
mkdir -p "$out"
flags=(-O -swift-version 6 -parse-as-library -sanitize=fuzzer,address -I "$out" -L "$out"
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility)

# rooms in the order of their layers
rooms=(WeirBasics WeirModelFiles WeirSampling WeirText WeirCluster)
links=()
for room in "${rooms[@]}"; do
  mapfile -t sources < <(find "Sources/$room" -name '*.swift')
  # a room is built again when it or a lower one changed
  changed=$(for below in "${rooms[@]:0:${#links[@]}+1}"; do
    find "Sources/$below" -newer "$out/lib$room.a" -name '*.swift' -print -quit 2>/dev/null || true
  done)
  if [ ! -e "$out/lib$room.a" ] || [ -n "$changed" ]; then
    # an archive keeps members of earlier builds
    rm -f "$out/lib$room.a"
    swiftc "${flags[@]}" -wmo -static -emit-library -emit-module -emit-module-path "$out/$room.swiftmodule" \
      -module-name "$room" -o "$out/lib$room.a" "${sources[@]}"
  fi
  links=("-l$room" "${links[@]}")
done

for entry in "${entries[@]}"; do
  # task files are read in a room above the engine; their folder needs no room but the first and is compiled in
  own=("Fuzz/$entry.swift")
  case $entry in
    TaskFile*) own+=(Sources/WeirEvaluation/Tasks/*.swift) ;;
    # messages between nodes: a room above C targets, their folder needs the vocabulary alone
    TransferMessage*) own+=(Sources/WeirKVTransfer/Messages/*.swift) ;;
  esac
  swiftc "${flags[@]}" -module-name "${entry}Entry" -o "$out/$entry.run" "${own[@]}" "${links[@]}" \
    -lm -lswiftGlibc -lswiftSynchronization 2> >(grep -v 'Cannot export local symbol' >&2)
  mkdir -p "$out/$entry"
  rm -f "$out/$entry"-crash-*
  case $entry in
    GGUF*) cp Tests/Golden/modelfiles/metadata.gguf "$out/$entry/" ;;
    Safetensors*) cp Tests/Golden/modelfiles/*.safetensors "$out/$entry/" ;;
    TaskFile*)
      printf '{"id": "a", "messages": [{"role": "user", "content": "Who?"}], "answers": ["Ada"], "all_of": ["7"], "tags": {"set": "x", "n": 2.5, "b": true}, "fact_span": [1, 3]}\n\n{"id": "b", "prompt": "p", "question": "q", "answers": ["r"]}\n' > "$out/$entry/seed.jsonl"
      ;;
    ClusterWire*) cp Tests/Golden/cluster/*.json "$out/$entry/" ;;
    JSON*) printf '{"a": [1, -2.5e3, "\\u00e9\\ud83d\\ude00", null, true], "b": {"c": {}}}' > "$out/$entry/seed.json" ;;
  esac
  echo "== $entry for $seconds s"
  # a trapped Swift process can linger: the outer limit ends it
  SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0 timeout -k 5 $((seconds + 60)) "$out/$entry.run" \
    -seed=1 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$out/$entry-crash-" "$out/$entry" \
    2>&1 | grep -E "Done|ERROR|SUMMARY|Fatal|    #[1-9] .*Weir" || true
  if compgen -G "$out/$entry-crash-*" > /dev/null; then
    echo "$entry: crash input in $out/$entry-crash-*"
    exit 1
  fi
done
