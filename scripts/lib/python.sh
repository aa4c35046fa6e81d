# The locked Python environment: .venv from requirements.lock, every file checked by its hash. Needs say.sh.

# A Python of exactly the version the lock file was made for, whatever its command is called.
find_python() {
  local candidate
  for candidate in python3.11 python3 python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

ensure_python() {
  local stamp=.venv/.locked wanted python
  wanted=$(cat requirements.lock pyproject.toml | sha256sum)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
    say "Python environment: in place"
    return
  fi
  python=$(find_python) || die "Python 3.11 with venv is needed: install it, then run this again"
  say "Python environment: installing requirements.lock"
  "$python" -m venv --clear .venv
  logged pip "the locked packages can't be installed: check that the package registry answers, then run this again" \
    .venv/bin/pip install --no-deps --require-hashes --requirement requirements.lock
  logged pip-project "the project itself can't be installed into .venv" \
    .venv/bin/pip install --no-deps --no-build-isolation --editable .
  echo "$wanted" >"$stamp"
}
