# Base images: pulled, or stand-ins under the same names where no registry answers.
# Needs say.sh, packages.sh, engine.sh and DOCKER.

HOST_CA=/etc/ssl/certs/ca-certificates.crt

# The fields of scripts/base-images, comments left out.
base_images() { grep -v '^ *\(#\|$\)' scripts/base-images; }

versions_of() { base_images | awk -v recipe="$1" '$1 == recipe { print $2 }'; }

# Changes with the recipes and with the roots the host trusts: stand-ins of another key are built anew.
stand_in_key() { cat scripts/stand-ins/* "$HOST_CA" | sha256sum | cut -c1-16; }

# Whether the image is there: pulled (no key), or a stand-in of this key.
has_image() {
  local key
  key=$("$DOCKER" image inspect --format '{{index .Config.Labels "jobyard.stand-in.key"}}' "$1" 2>/dev/null) || return 1
  [ -z "$key" ] || [ "$key" = "$2" ]
}

ensure_base_images() {
  local key name missing=()
  key=$(stand_in_key)
  while read -r _ _ name _; do
    has_image "$name" "$key" || missing+=("$name")
  done < <(base_images)
  if [ ${#missing[@]} = 0 ]; then
    say "base images: all there"
    return
  fi
  say "base images: ${#missing[@]} missing, asking the registry"
  if timeout 20 "$DOCKER" pull --quiet busybox:latest >/dev/null 2>&1; then
    for name in "${missing[@]}"; do
      say "base images: pulling $name"
      logged "pull-${name//[:\/]/-}" "$name can't be pulled: try 'docker pull $name'" timeout 600 "$DOCKER" pull "$name"
    done
  else
    say "base images: no registry answers, making stand-ins from the distribution's packages"
    build_stand_ins "$key"
  fi
}

# Two bootstraps side by side, then recipe by recipe: those of one recipe don't need one another.
build_stand_ins() {
  local key=$1 recipe context versions
  local -x DOCKER_BUILDKIT=1
  command -v mmdebstrap >/dev/null || install_packages mmdebstrap debian-archive-keyring
  context=build/setup/stand-ins
  rm -rf "$context" && mkdir -p "$context"
  cp scripts/stand-ins/* "$context/"
  cp "$HOST_CA" "$context/host-ca.crt"
  mapfile -t versions < <(versions_of debian)
  in_parallel import_root "${versions[@]}"
  for recipe in $(base_images | awk '!seen[$1]++ { print $1 }'); do
    mapfile -t versions < <(versions_of "$recipe")
    in_parallel "build_stand_in $key $context $recipe" "${versions[@]}"
  done
}

# Runs `COMMAND ARGUMENT` for every argument at once; fails if one fails. COMMAND may be several words.
in_parallel() {
  local command=$1 argument pids=() pid failed=0
  shift
  for argument in "$@"; do
    # shellcheck disable=SC2086
    $command "$argument" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return $failed
}

import_root() {
  local suite=$1 image=jobyard-stand-in/root:$1
  if "$DOCKER" image inspect "$image" >/dev/null 2>&1; then return; fi
  say "bootstrapping $suite"
  logged "bootstrap-$suite" "Debian $suite can't be bootstrapped: check that the package mirror holds it" \
    bootstrap "$suite" "build/setup/$suite.tar"
  logged "import-$suite" "the engine refused the image of $suite: is its disk full?" \
    "$DOCKER" import "build/setup/$suite.tar" "$image"
  rm "build/setup/$suite.tar"
}

bootstrap() {
  local suite=$1 tar=$2
  mmdebstrap --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    "$suite" "$tar"
}

build_stand_in() {
  local key=$1 context=$2 recipe=$3 version=$4 name aliases alias
  read -r _ _ name aliases < <(base_images | awk -v r="$recipe" -v v="$version" '$1 == r && $2 == v')
  logged "stand-in-$recipe-$version" "the stand-in for $name can't be built" \
    "$DOCKER" build --progress=plain --file "$context/$recipe.Dockerfile" --build-arg "VERSION=$version" \
    --label jobyard.stand-in=true --label "jobyard.stand-in.key=$key" \
    --label "jobyard.stand-in.what=$recipe $version from distribution packages, in place of $name" \
    --tag "jobyard-stand-in/$recipe:$version" "$context"
  for alias in $name $aliases; do "$DOCKER" tag "jobyard-stand-in/$recipe:$version" "$alias"; done
  say "stand-in for $name${aliases:+, $aliases}"
}
