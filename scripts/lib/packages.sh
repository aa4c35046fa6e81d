# Packages of the distribution. Needs say.sh and python.sh.

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Installs what is missing; without root or apt, one sentence says what to install.
install_packages() {
  if ! can_install; then
    die "these packages are missing: $*; install them (as root on Debian or Ubuntu this script does it), then run this again"
  fi
  say "installing $*"
  if [ ! -e build/setup/.apt-updated ] || [ -n "$(find build/setup/.apt-updated -mmin +720)" ]; then
    logged apt-update "the package lists can't be fetched: check the network and /etc/apt, then run this again" \
      apt-get -o DPkg::Lock::Timeout=300 update
    touch build/setup/.apt-updated
  fi
  DEBIAN_FRONTEND=noninteractive logged apt-install "apt-get can't install $*: run it by hand to see why" \
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

# The same for servers that tests start by themselves: no package's script starts one meanwhile.
install_unstarted() {
  local policy=/usr/sbin/policy-rc.d
  if ! can_install || [ -e "$policy" ]; then
    install_packages "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  (install_packages "$@") || { rm -f "$policy"; exit 1; }
  rm -f "$policy"
}

# Tools the tests and the server use, by the command or file that proves each; `demo`: only what the server needs.
ensure_tools() {
  local for=$1 missing=() servers=()
  command -v git >/dev/null || missing+=(git)
  if ! find_python >/dev/null; then
    is_supported "$DISTRIBUTIONS_PYTHON" || die "$SUPPORTED is needed: install it (Debian 12 and 13 have one as python3), then run this again"
    missing+=(python3-venv)
  elif [ "$for" = all ] && can_install && is_supported "$DISTRIBUTIONS_PYTHON" &&
    ! can_make_environments "$DISTRIBUTIONS_PYTHON"; then
    missing+=(python3-venv) # for the second environment, without which the rest is of use
  fi
  command -v ps >/dev/null || missing+=(procps)
  if [ "$for" = all ]; then
    command -v ip >/dev/null || missing+=(iproute2)
    PATH="$PATH:/usr/sbin" command -v mkfs.btrfs >/dev/null || missing+=(btrfs-progs)
    PATH="$PATH:/usr/sbin" command -v sshd >/dev/null || missing+=(openssh-server)
    command -v docker-registry >/dev/null || missing+=(docker-registry)
    command -v chromium >/dev/null || missing+=(chromium)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    command -v docker-compose >/dev/null || missing+=(docker-compose)
    command -v prometheus >/dev/null || servers+=(prometheus)
    command -v caddy >/dev/null || servers+=(caddy)
    PATH="$PATH:/usr/sbin" command -v nginx >/dev/null || servers+=(nginx-light)
  fi
  [ -r /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
  [ ${#servers[@]} = 0 ] || install_unstarted "${servers[@]}"
}
