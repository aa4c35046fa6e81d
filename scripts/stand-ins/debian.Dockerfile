# The imported distribution, made to trust what the host trusts: installs inside builds then work
# behind a proxy that signs with a root of its own.
ARG VERSION
FROM jobyard-stand-in/root:${VERSION}
# Installs leave no package files behind in a layer, as in the public images.
RUN echo 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin"; };' >/etc/apt/apt.conf.d/90-no-package-files && \
    echo 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' >>/etc/apt/apt.conf.d/90-no-package-files
COPY host-ca.crt trust-host-ca.sh /tmp/
RUN sh /tmp/trust-host-ca.sh && rm /tmp/host-ca.crt /tmp/trust-host-ca.sh
# Python's requests, uv, pip and Node bring lists of roots of their own and have to be told.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    CURL_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    GIT_SSL_CAINFO=/etc/ssl/certs/ca-certificates.crt \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]
