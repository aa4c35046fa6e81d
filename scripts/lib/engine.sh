# The container engine: find a client that can build with BuildKit, start the engine if none answers.
# Needs say.sh. find_docker sets DOCKER, the path of that client.

ENGINE_LOG=/var/log/jobyard-dockerd.log

# Every docker client of this machine, those on PATH first: the first one may lack what we need.
docker_clients() {
  { type -ap docker || true; ls /usr/bin/docker /usr/local/bin/docker 2>/dev/null || true; } | awk '!seen[$0]++'
}

engine_answers() {
  local client
  for client in $(docker_clients); do
    if timeout 10 "$client" version --format '{{.Server.Version}}' >/dev/null 2>&1; then return; fi
  done
  return 1
}

# Proof by building: `docker buildx` may be missing, and 20.10 has BuildKit only when asked for.
find_docker() {
  local client
  for client in $(docker_clients); do
    if printf 'FROM scratch\nLABEL jobyard.probe=1\n' |
      DOCKER_BUILDKIT=1 timeout 60 "$client" build --quiet - >/dev/null 2>&1; then
      DOCKER=$client
      return
    fi
  done
  return 1
}

# Waits until the engine answers, the process ends or the seconds have passed.
wait_for_engine() {
  local pid=$1 until=$((SECONDS + $2))
  while ((SECONDS < until)) && kill -0 "$pid" 2>/dev/null; do
    if engine_answers; then return; fi
    sleep 0.1
  done
  return 1
}

# Whether a process of that name lives; one that only waits to be reaped doesn't.
is_alive() { pgrep -x -r D,R,S "$1" >/dev/null; }

# Pid files left by a machine that went down: the engine only looks whether the number is in use now.
forget_dead_engine() {
  rm -f /var/run/docker.pid
  is_alive containerd || rm -f /var/run/docker/containerd/containerd.pid
}

# Starts dockerd without an init system; where the kernel lacks what the nft iptables needs, once more
# with the legacy one. (Without overlay file systems dockerd itself falls back to vfs.)
start_dockerd() {
  if is_alive dockerd; then
    wait_for_engine "$(pgrep -o -x dockerd)" 60 || die "a dockerd runs already but doesn't answer: end it and run this again"
    return
  fi
  forget_dead_engine
  if try_dockerd "$PATH"; then return; fi
  if tail -n 5 "$ENGINE_LOG" | grep -q iptables; then
    say "container engine: trying again with the legacy iptables"
    if try_dockerd "$(legacy_iptables):$PATH"; then return; fi
  fi
  grep -v 'level=info' "$ENGINE_LOG" | tail -n 5 >&2
  case $(tail -n 5 "$ENGINE_LOG") in
    *cgroup*) die "the engine needs cgroups: mount them (inside a container: run that one privileged), then run this again" ;;
    *iptables*) die "the engine may not set up its network here (inside a container: run that one privileged); start one elsewhere and set DOCKER_HOST" ;;
    *) die "the container engine doesn't start on this machine (log: $ENGINE_LOG); start one elsewhere and set DOCKER_HOST" ;;
  esac
}

# One try, with the PATH given; fails when the process has ended.
try_dockerd() {
  local pid
  PATH=$1 setsid nohup dockerd >"$ENGINE_LOG" 2>&1 </dev/null 9>&- &
  pid=$!
  if wait_for_engine "$pid" 60; then return; fi
  if kill "$pid" 2>/dev/null; then die "dockerd runs but doesn't answer within 60 s: see $ENGINE_LOG"; fi
  return 1
}

# A directory in which the iptables commands are the legacy ones, for dockerd's PATH alone.
legacy_iptables() {
  local directory=/run/jobyard-iptables name
  mkdir -p "$directory"
  for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf "/usr/sbin/${name/tables/tables-legacy}" "$directory/$name"
  done
  echo "$directory"
}

# An engine that answers is used as it is, and none is ever stopped.
ensure_engine() {
  if engine_answers; then
    say "container engine: already running"
  elif [ -n "${DOCKER_HOST:-}" ]; then
    die "no engine answers at DOCKER_HOST ($DOCKER_HOST): start it, or unset DOCKER_HOST to have one installed here"
  elif [ "$(id -u)" != 0 ]; then
    die "no container engine answers: start Docker (or run this as root on Debian or Ubuntu, and it will), then run this again"
  else
    command -v dockerd >/dev/null || install_packages docker.io
    say "container engine: starting"
    if [ -d /run/systemd/system ]; then systemctl start docker; else start_dockerd; fi
    engine_answers || die "the container engine was started but doesn't answer: see 'journalctl -u docker' or $ENGINE_LOG"
  fi
  find_docker || die "no docker client here can build with BuildKit: install docker-buildx (or docker.io on Debian 12), then run this again"
  say "container engine: $("$DOCKER" info --format '{{.ServerVersion}} on {{.Driver}}'), building with $DOCKER"
}

# An engine may answer and build, and yet lack what running takes (cgroups, most often).
prove_run() {
  logged run-container "the engine answers but can't run a container: 'docker run --rm busybox true' shows why" \
    timeout 60 "$DOCKER" run --rm --network none busybox:latest true
}
