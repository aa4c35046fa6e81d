# Trixie has Python 3.13; 3.11 comes from bookworm, whose build runs on trixie's libraries.
set -eu
version=$1
export DEBIAN_FRONTEND=noninteractive
if [ "$version" = 3.11 ]; then
  sed 's/trixie/bookworm/g' /etc/apt/sources.list >/etc/apt/sources.list.d/bookworm.list
  printf 'Package: *\nPin: release n=bookworm*\nPin-Priority: 100\n' >/etc/apt/preferences.d/bookworm
fi
apt-get update
apt-get install -y --no-install-recommends "python$version" python3-pip-whl python3-setuptools-whl

# Unpacked rather than installed: these would bring the distribution's own python3 along, and with it
# a second interpreter that the public images don't have.
cd /tmp
apt-get download "python$version-venv"
[ "$version" != 3.11 ] || apt-get download python3-distutils python3-lib2to3
for package in ./*.deb; do dpkg-deb --extract "$package" /; done
rm ./*.deb
# The headers that extensions are built with, without the static library.
apt-get download "libpython$version-dev"
dpkg-deb --fsys-tarfile ./*.deb | tar --extract --directory / ./usr/include
rm ./*.deb

for name in python python3 "python$version"; do ln -s "/usr/bin/python$version" "/usr/local/bin/$name"; done
rm -f "/usr/lib/python$version/EXTERNALLY-MANAGED"
# People copy site-packages between stages by the public images' path.
mkdir -p "/usr/local/lib/python$version/dist-packages"
ln -s dist-packages "/usr/local/lib/python$version/site-packages"
"python$version" -m venv /tmp/venv
set -- pip
[ "$version" != 3.11 ] || set -- pip setuptools wheel
/tmp/venv/bin/pip --python "/usr/bin/python$version" install --no-cache-dir "$@"
rm -rf /tmp/venv /etc/apt/sources.list.d/bookworm.list /etc/apt/preferences.d/bookworm /var/lib/apt/lists/*
