# Sourced: start_server MODEL [flags of `weir serve`] serves on a free port until the script ends; sets $url and $log.
weir=.build/release/weir

start_server() {
  local model=$1 port=
  shift
  log=$(mktemp)
  "$weir" serve "$model" --host 127.0.0.1 --port 0 "$@" 2>"$log" &
  server=$!
  trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -f "$log"' EXIT
  for _ in $(seq 1 300); do
    port=$(sed -nE 's/.*listening on 127\.0\.0\.1:([0-9]+).*/\1/p' "$log" | head -1)
    if [ -n "$port" ]; then
      url="http://127.0.0.1:$port"
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.2
  done
  echo "$0: the server did not start:" >&2
  cat "$log" >&2
  exit 1
}
