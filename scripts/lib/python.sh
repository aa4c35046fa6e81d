# The locked Python environments, from requirements.lock, every file checked by its hash. Needs say.sh.

# What requires-python in pyproject.toml says: one lock, with the hashes of the files for each of them.
IS_SUPPORTED='import sys; sys.exit(not (3, 11, 2) <= sys.version_info[:3] < (3, 15))'
SUPPORTED='Python 3.11.2 to 3.14'
DISTRIBUTIONS_PYTHON=/usr/bin/python3
SECOND_VENV=build/venv-distribution

# A Python that is supported and can make environments, whatever its command is called.
find_python() {
  local candidate
  for candidate in python3.11 python3 python python3.12 python3.13 python3.14; do
    if can_make_environments "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

can_make_environments() { "$1" -c "import venv, ensurepip; $IS_SUPPORTED" 2>/dev/null; }

is_supported() { "$1" -c "$IS_SUPPORTED" 2>/dev/null; }

version_of() { "$1" -c 'import platform; print(platform.python_version())'; }

ensure_python() {
  local python
  if is_in_place .venv; then
    say "Python environment: in place"
    return
  fi
  python=$(find_python) || die "$SUPPORTED with venv is needed: install it, then run this again"
  make_environment .venv "$python"
}

# For the tests: what users get who take the distribution's own Python, if that is another one. No reason to fail.
ensure_second_python() {
  local version
  if ! is_supported "$DISTRIBUTIONS_PYTHON"; then
    say "second Python environment: none, $DISTRIBUTIONS_PYTHON is not $SUPPORTED"
    return
  fi
  version=$(version_of "$DISTRIBUTIONS_PYTHON")
  if [ "$version" = "$(version_of .venv/bin/python)" ]; then
    say "second Python environment: none, .venv has the distribution's Python $version already"
  elif is_in_place "$SECOND_VENV"; then
    say "second Python environment: in place"
  elif ! can_make_environments "$DISTRIBUTIONS_PYTHON"; then
    say "second Python environment: none, $DISTRIBUTIONS_PYTHON has no venv (package python3-venv)"
  else
    make_environment "$SECOND_VENV" "$DISTRIBUTIONS_PYTHON"
  fi
}

wanted_environment() { cat requirements.lock pyproject.toml | sha256sum; }

is_in_place() { [ "$(cat "$1/.locked" 2>/dev/null)" = "$(wanted_environment)" ] && "$1/bin/python" -c '' 2>/dev/null; }

# make_environment DIRECTORY PYTHON
make_environment() {
  local name=${1##*/}
  name=${name#.}
  say "Python environment $1: installing requirements.lock for Python $(version_of "$2")"
  "$2" -m venv --clear "$1"
  logged "pip-$name" "the locked packages can't be installed: check that the package registry answers, then run this again" \
    "$1/bin/pip" install --no-deps --require-hashes --requirement requirements.lock
  logged "pip-project-$name" "the project itself can't be installed into $1" \
    "$1/bin/pip" install --no-deps --no-build-isolation --editable .
  wanted_environment >"$1/.locked"
}
