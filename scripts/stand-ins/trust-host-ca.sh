# Adds the roots of the host's bundle that the distribution's doesn't hold, in the distribution's own
# way, so that a later update-ca-certificates keeps them.
set -eu
awk -v out=/usr/local/share/ca-certificates/host- '
  /BEGIN CERTIFICATE/ { pem = "" }
  { pem = pem $0 "\n" }
  /END CERTIFICATE/ {
    if (FILENAME == ARGV[1]) known[pem] = 1
    else if (!(pem in known)) { file = out (++count) ".crt"; printf "%s", pem > file; close(file) }
  }' /etc/ssl/certs/ca-certificates.crt /tmp/host-ca.crt
update-ca-certificates
