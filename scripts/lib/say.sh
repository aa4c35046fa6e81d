# Progress and failure, for every script: `say` one short line, `die` one sentence that names what to do.

say() { printf '==> [%3ds] %s\n' "$SECONDS" "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in build/setup/NAME.log; shows the log's end only if it fails.
logged() {
  local name=$1 hint=$2 log
  shift 2
  log=build/setup/$name.log
  mkdir -p build/setup
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 25 "$log" >&2
    die "$hint (full log: $log)"
  fi
}
