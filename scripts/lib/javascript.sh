# The JavaScript libraries of the pages, by app/web/javascript/package-lock.json. Needs say.sh and .venv.

# ensure_javascript all|demo. The demonstration does without them where they can't be fetched: pages work, but don't
# change by themselves.
ensure_javascript() {
  local folder=app/web/javascript
  if .venv/bin/python $folder/backend.py check; then
    say "JavaScript libraries: in place"
    return
  fi
  say "JavaScript libraries: fetching"
  if ! command -v npm >/dev/null; then
    logged pip-npm "an npm can't be installed: check that the package registry answers, then run this again" \
      .venv/bin/pip install --no-deps --require-hashes --requirement $folder/npm.lock
  fi
  if [ "$1" = demo ]; then
    .venv/bin/python $folder/backend.py || say "JavaScript libraries: not fetched, so pages have to be loaded again to change"
  else
    logged npm "the JavaScript libraries can't be fetched: check that the package registry of npm answers, then run this again" \
      .venv/bin/python $folder/backend.py
  fi
}
